import Glibc
import Kernel
import Simulation

func fail(_ message: String) -> Never {
    let line = "simulate: \(message)\n"
    _ = write(2, line, line.utf8.count)
    exit(2)
}

func say(_ line: String) {
    _ = write(1, line + "\n", line.utf8.count + 1)
}

/// The command: what it was asked for, and doing it.
struct Simulate {
    private var count = 2000
    private var first: UInt64 = 1
    private var isOne = false
    private var faults: [PlantedFault] = []
    private var replays = false
    private var traces = false
    private var jobs = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    init(_ arguments: ArraySlice<String>) {
        var arguments = arguments
        var hasCount = false
        func value(_ option: String) -> String { arguments.popFirst() ?? { fail("\(option) needs a value") }() }
        func number(_ option: String) -> Int {
            guard let number = Int(value(option)), number > 0 else { fail("\(option) needs a number from 1") }
            return number
        }
        while let option = arguments.popFirst() {
            switch option {
            case "--seeds":
                count = number(option)
                hasCount = true
            case "--seed":
                first = UInt64(number(option))
                isOne = true
            case "--jobs": jobs = number(option)
            case "--fault":
                let name = value(option)
                guard let known = PlantedFault(rawValue: name) else {
                    fail("no fault \(name); there are: \(PlantedFault.allCases.map(\.rawValue).joined(separator: " "))")
                }
                faults = [known]
            case "--faults": faults = PlantedFault.allCases
            case "--replay": replays = true
            case "--trace": traces = true
            default:
                fail("unknown option \(option); there are --seeds --seed --fault --faults --replay --jobs --trace")
            }
        }
        if hasCount { isOne = false }
    }

    func run() -> Never {
        if traces { trace() }
        if !faults.isEmpty { findFaults() }
        runSeeds()
    }

    private func trace() -> Never {
        let verdict = Campaign.run(seed: first, fault: faults.first) { say($0) }
        show(verdict)
        exit(verdict.problems.isEmpty ? 0 : 1)
    }

    private func show(_ verdict: Verdict) {
        for problem in verdict.problems { say("seed \(verdict.seed): \(problem)") }
    }

    private var seeds: [UInt64] { (0..<(isOne && faults.isEmpty ? 1 : count)).map { first + UInt64($0) } }

    /// Plants each fault and runs seeds until one finds it.
    private func findFaults() -> Never {
        var missed = 0
        for fault in faults {
            var tried = 0
            var found: Verdict?
            Campaign.run(seeds: seeds, fault: fault, jobs: jobs) { verdict in
                tried += 1
                if !verdict.problems.isEmpty { found = verdict }
                return found == nil
            }
            let name = fault.rawValue + String(repeating: " ", count: max(1, 32 - fault.rawValue.count))
            if let found {
                say("\(name)found by seed \(found.seed), the \(tried)th: \(found.problems[0].prefix(150))")
            } else {
                missed += 1
                say("\(name)NOT FOUND by \(tried) seeds")
            }
        }
        exit(missed == 0 ? 0 : 1)
    }

    private func runSeeds() -> Never {
        var failed: [UInt64] = []
        var traces: [UInt64: UInt64] = [:]
        var points: UInt64 = 0
        var revisions: UInt64 = 0
        Campaign.run(seeds: seeds, fault: nil, jobs: jobs) { verdict in
            show(verdict)
            traces[verdict.seed] = verdict.trace
            points += verdict.points
            revisions += verdict.revisions
            if !verdict.problems.isEmpty { failed.append(verdict.seed) }
            return failed.count < 10
        }
        let differing = replays ? replay(traces) : 0
        say("\(traces.count) seeds, \(points) points, \(revisions) revisions, \(failed.count) failed")
        if let seed = failed.first { say("to see one: script/simulate --seed \(seed) --trace") }
        exit(failed.isEmpty && differing == 0 ? 0 : 1)
    }

    /// Runs all again; returns how many went another way.
    private func replay(_ traces: [UInt64: UInt64]) -> Int {
        var differing = 0
        Campaign.run(seeds: traces.keys.sorted(), fault: nil, jobs: jobs) { verdict in
            if traces[verdict.seed] != verdict.trace {
                differing += 1
                say("seed \(verdict.seed): the second run went another way")
            }
            return true
        }
        say("\(traces.count - differing) of \(traces.count) seeds went the same way twice")
        return differing
    }
}
