import Kernel
import PluginAPI

/// One client: asks for this and that, remembers what it saw, and goes by it sometimes.
struct SimulatedClient {
    let number: Int
    let run: StoreRun
    let client: StoreClient
    var generator: Generator
    private let keys: [String]
    private var known: [String: UInt64] = [:]
    private var leases: [UInt64] { run.leases }
    private var latest: UInt64 = 0

    init(number: Int, run: StoreRun, client: StoreClient, generator: Generator) {
        self.number = number
        self.run = run
        self.client = client
        self.generator = generator
        keys = (0..<run.keys).flatMap { ["pods/a/\($0)", "pods/b/\($0)", "nodes//\($0)"] }
    }

    /// Makes so many requests.
    mutating func work(_ count: Int) {
        for _ in 0..<count {
            if generator.oneIn(3) { run.scheduler.sleep(nanoseconds: UInt64(generator.below(3_000_000))) }
            if generator.oneIn(80) { run.scheduler.sleep(nanoseconds: UInt64(generator.below(4_000_000_000))) }
            step()
        }
    }

    private mutating func step() {
        switch generator.below(100) {
        case ..<45: write(generator.oneIn(4) ? transaction() : [single()])
        case ..<55: get()
        case ..<70: list()
        case ..<74: run.beginWatch(client, name: "client \(number)'s watch")
        case ..<76: run.cancelWatch(client, &generator)
        case ..<80: grant()
        case ..<90: keepAlive()
        case ..<92: revoke()
        case ..<95: compact()
        case ..<97: _ = perform(.versions(generator.pick(keys)))
        case ..<98: run.backUp(number)
        default: get()
        }
    }

    private mutating func perform(_ request: Request) -> Response { run.perform(client, number, request) }

    private mutating func expected(_ key: String) -> UInt64 { generator.oneIn(2) ? known[key] ?? 0 : 0 }

    private mutating func lease() -> UInt64 { leases.isEmpty || !generator.oneIn(3) ? 0 : generator.pick(leases) }

    private mutating func single() -> WriteStep {
        let key = generator.pick(keys)
        switch generator.below(10) {
        case ..<3: return WriteStep(kind: .create, key: key, tag: run.tag(), lease: lease())
        case ..<7: return WriteStep(kind: .update, key: key, tag: run.tag(), lease: lease(), expected: expected(key))
        case ..<8: return WriteStep(kind: .put, key: key, tag: run.tag(), lease: lease())
        default: return WriteStep(kind: .delete, key: key, expected: expected(key))
        }
    }

    private mutating func transaction() -> [WriteStep] {
        var left = keys
        var steps: [WriteStep] = []
        for _ in 0..<min(keys.count, generator.number(in: 1...4)) {
            let key = left.remove(at: generator.below(left.count))
            if generator.oneIn(4) {
                steps.append(WriteStep(kind: .check, key: key, expected: expected(key)))
            } else {
                var step = single()
                step.key = key
                step.expected = step.kind == .update || step.kind == .delete ? expected(key) : 0
                if generator.oneIn(2) && step.kind != .delete {
                    step.kind = .put
                    step.expected = 0
                }
                steps.append(step)
            }
        }
        return steps
    }

    private mutating func write(_ steps: [WriteStep]) {
        switch perform(.write(steps)) {
        case .done(let revision):
            latest = max(latest, revision)
            for step in steps where step.kind != .check { known[step.key] = step.isPut ? revision : nil }
        case .failed(_, let revision?, let position?, _):
            known[steps[position].key] = revision == 0 ? nil : revision
        default: if generator.oneIn(2) { known[steps[0].key] = nil }
        }
    }

    private mutating func past() -> UInt64 {
        generator.oneIn(2) || latest < 2 ? 0 : latest - UInt64(generator.below(Int(min(latest, 10))))
    }

    private mutating func get() {
        let key = generator.pick(keys)
        if case .record(let seen) = perform(.get(key, revision: past())) { known[key] = seen.revision }
    }

    private mutating func list() {
        let prefix = generator.pick(["", "pods/", "pods/b/", "nodes/"])
        let app = generator.oneIn(3) ? generator.pick(["web", "db"]) : nil
        let limit = generator.oneIn(2) ? 0 : generator.number(in: 1...6)
        var revision = past()
        var after = ""
        for _ in 0..<20 {
            guard
                case .page(let shown, let records, let more, _) = perform(
                    .list(prefix: prefix, app: app, revision: revision, limit: limit, after: after))
            else { return }
            revision = shown
            latest = max(latest, shown)
            for record in records where generator.oneIn(3) { known[record.key] = record.revision }
            guard more, let last = records.last else { return }
            after = last.key
        }
    }

    private mutating func grant() {
        let times: [UInt64] = [300, 1000, 2500, 6000]
        if case .lease(let lease) = perform(.grant(milliseconds: generator.pick(times))) { run.leases.append(lease) }
    }

    private mutating func keepAlive() {
        guard !leases.isEmpty else { return }
        let lease = generator.pick(leases)
        if case .failed(HOSTD_ERROR_NOT_FOUND, _, _, _) = perform(.keepAlive(lease)), generator.oneIn(2) {
            run.leases.removeAll { $0 == lease }
        }
    }

    private mutating func revoke() {
        guard !leases.isEmpty else { return }
        _ = perform(.revoke(generator.pick(leases)))
    }

    /// Never past what the observer has: it is what the checker knows.
    private mutating func compact() {
        guard run.observed > 1 else { return }
        let back = UInt64(generator.below(Int(min(run.observed, 20))))
        _ = perform(.compact(run.observed - back))
    }
}
