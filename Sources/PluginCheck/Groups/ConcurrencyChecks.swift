import CInterposer
import CPluginCheck
import Kernel
import PluginAPI
import Synchronization

/// Eight threads in the slots of a role at once, through the interposer, as the tag any-thread allows.
enum ConcurrencyChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        for role in session.description?.provides ?? [] {
            guard !CheckedTable.serial.contains(role) else {
                session.reporter.skip("\(role) from many threads", "its header says that calls of one table are serial")
                continue
            }
            guard let (subject, table) = session.active(role) else { continue }
            session.check(10, "eight threads at once", interface: role) {
                try stress(StressRun(session, subject, table))
            }
            session.check(11, "deactivate after it", interface: role) {
                let outcome = subject.deactivate()
                session.judge(outcome)
                subject.destroy()
                try expect(outcome.isOK, "deactivate failed: \(outcome.words)")
            }
        }
    }
}

/// Free functions, without captures: C calls them.
private func stress(_ run: StressRun) throws(Breach) {
    BreachCounter.shared.reset()
    interposer_set_reporter(takeBreach)
    check_in_threads(8, workInThread, Unmanaged.passUnretained(run).toOpaque())
    run.wait()
    interposer_set_reporter(nil)
    if let first = BreachCounter.shared.first { throw Breach(first, rule: first.contains("complet") ? 12 : 9) }
    if let wrong = run.problem { throw Breach(wrong.what, rule: wrong.rule) }
}

private func takeBreach(_ role: UnsafePointer<CChar>, _ slot: UnsafePointer<CChar>, _ what: UnsafePointer<CChar>) {
    BreachCounter.shared.add("\(String(cString: slot)): \(String(cString: what))")
}

private func workInThread(_ context: UnsafeMutableRawPointer?, _ number: UInt32) {
    guard let context else { return }
    // SAFETY: the run outlives its threads, which are joined.
    Unmanaged<StressRun>.fromOpaque(context).takeUnretainedValue().work(number, calls: 150)
}

/// What the interposer tells of while threads run.
private final class BreachCounter: Sendable {
    static let shared = BreachCounter()
    private let breaches = Mutex<[String]>([])

    func reset() { breaches.withLock { $0 = [] } }
    func add(_ breach: String) { breaches.withLock { $0.append(breach) } }
    var first: String? { breaches.withLock { $0.first } }
}
