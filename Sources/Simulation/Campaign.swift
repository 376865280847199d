import CSimulation
import Glibc
import Kernel
import PluginAPI

#if SIMULATION
    /// What became of one seed.
    package struct Verdict: Sendable {
        package var seed: UInt64
        /// Of everything that happened; equal for equal seeds.
        package var trace: UInt64
        package var points: UInt64
        package var revisions: UInt64
        package var problems: [String]
    }

    /// Runs seeds, each in a process of its own: so a run leaves nothing behind, and one that dies is a finding.
    package enum Campaign {
        /// Runs one seed in this process, once in its life.
        package static func run(seed: UInt64, fault: PlantedFault?, log: ((String) -> Void)?) -> Verdict {
            plantedFault = fault
            if let fault, fault.isOfQueues { return runQueues(seed: seed, log: log) }
            if let fault, fault.isOfElections { return runElections(seed: seed, log: log) }
            if seed % 8 == 7 && fault == nil { return runQueues(seed: seed, log: log) }
            if seed % 8 == 3 && fault == nil { return runElections(seed: seed, log: log) }
            let run = StoreRun(seed: seed)
            run.scheduler.log = log
            simulationOfThreads = run.scheduler
            run.run()
            var problems = run.problems
            if problems.isEmpty { problems = HistoryChecker.problems(of: run.history) }
            return Verdict(
                seed: seed, trace: run.scheduler.trace, points: run.scheduler.points,
                revisions: UInt64(run.history.finalRevision), problems: problems)
        }

        private static func runQueues(seed: UInt64, log: ((String) -> Void)?) -> Verdict {
            let run = QueueRun(seed: seed)
            run.scheduler.log = log
            simulationOfThreads = run.scheduler
            run.run()
            return Verdict(
                seed: seed, trace: run.scheduler.trace, points: run.scheduler.points, revisions: 0,
                problems: run.problems)
        }

        private static func runElections(seed: UInt64, log: ((String) -> Void)?) -> Verdict {
            let run = ElectionRun(seed: seed)
            run.scheduler.log = log
            simulationOfThreads = run.scheduler
            run.run()
            return Verdict(
                seed: seed, trace: run.scheduler.trace, points: run.scheduler.points, revisions: 0,
                problems: run.problems)
        }

        /// Runs seeds in child processes, `jobs` at once, and hands each verdict to `body` in order of seeds, which ends the
        /// campaign by false.
        package static func run(
            seeds: [UInt64], fault: PlantedFault?, jobs: Int, _ body: (Verdict) -> Bool
        ) {
            var children: [(seed: UInt64, process: pid_t, output: Int32)] = []
            var next = 0
            while next < seeds.count || !children.isEmpty {
                while next < seeds.count && children.count < jobs {
                    children.append(start(seeds[next], fault, core: next % jobs))
                    next += 1
                }
                let child = children.removeFirst()
                if !body(verdict(of: child.seed, child.process, child.output)) {
                    for child in children {
                        kill(child.process, SIGKILL)
                        waitpid(child.process, nil, 0)
                        close(child.output)
                    }
                    return
                }
            }
        }

        private static func start(_ seed: UInt64, _ fault: PlantedFault?, core: Int) -> (UInt64, pid_t, Int32) {
            var ends: [Int32] = [0, 0]
            precondition(pipe(&ends) == 0, "no pipe: \(String(cString: strerror(errno)))")
            let process = simulation_fork()
            precondition(process >= 0, "no process can be started: \(String(cString: strerror(errno)))")
            if process == 0 {
                close(ends[0])
                simulation_stay_on(Int32(core))
                alarm(60)
                let verdict = run(seed: seed, fault: fault, log: nil)
                let text =
                    "\(verdict.trace) \(verdict.points) \(verdict.revisions)\n"
                    + verdict.problems.map { $0.replacing("\n", with: " ").prefix(2000) + "\n" }.joined()
                var bytes = Array(text.utf8)[...]
                while !bytes.isEmpty {
                    let written = bytes.withUnsafeBytes { write(ends[1], $0.baseAddress, $0.count) }
                    if written <= 0 { _exit(9) }
                    bytes = bytes.dropFirst(written)
                }
                _exit(0)
            }
            close(ends[1])
            return (seed, process, ends[0])
        }

        private static func verdict(of seed: UInt64, _ process: pid_t, _ output: Int32) -> Verdict {
            var text: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 16 << 10)
            while true {
                let count = read(output, &buffer, buffer.count)
                if count <= 0 { break }
                text += buffer[..<count]
            }
            close(output)
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0 && errno == EINTR {}
            var lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
            let numbers = lines.first?.split(separator: " ").compactMap { UInt64($0) } ?? []
            guard status == 0, numbers.count == 3 else {
                return Verdict(
                    seed: seed, trace: 0, points: 0, revisions: 0,
                    problems: [
                        status & 0x7F == SIGALRM
                            ? "the run does not end" : "the process ends by signal \(status & 0x7F)"
                    ])
            }
            lines.removeFirst()
            return Verdict(seed: seed, trace: numbers[0], points: numbers[1], revisions: numbers[2], problems: lines)
        }
    }

    extension PlantedFault {
        /// Whether it is one of the work queues, not of the store.
        package var isOfQueues: Bool { [.reconcileAddLost, .priorityIgnored, .drainDropsReady].contains(self) }

        /// Whether it is one of elections.
        package var isOfElections: Bool { [.leaderStaysOn, .resignedKeyStays].contains(self) }
    }
#endif
