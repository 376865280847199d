import Glibc
import Kernel
import PluginAPI

/// Calls of roles whose requests and responses are JSON (slots `tboe`).
struct JSONCalls {
    let subject: Subject
    let table: CheckedTable
    let session: Session

    struct Answer {
        let outcome: Outcome
        let json: JSON

        var isOK: Bool { outcome.isOK }
        var words: String { outcome.isOK ? json.serializedString() : outcome.words }
    }

    /// An answer that is no JSON is a breach.
    func call(_ name: String, _ request: JSON, seconds: UInt64 = 20) throws(Breach) -> Answer {
        guard let slot = table.slot(name), table.isThere(slot) else {
            return Answer(
                outcome: Outcome(status: HOSTD_ERROR_NOT_SUPPORTED, message: "\(name) is missing"), json: .null)
        }
        let deadline = Value.number(monotonicNanoseconds() + seconds * 1_000_000_000)
        let error = Value.error(UInt64(MemoryLayout<hostd_error>.size))
        let answer = subject.call(table, slot, [deadline, .bytes(request.serialized()), .output, error])
        guard answer.isOK else { return Answer(outcome: answer.outcome, json: .null) }
        if answer.output.isEmpty { return Answer(outcome: answer.outcome, json: [:]) }
        guard let json = try? JSON(parsing: answer.output) else {
            throw Breach("\(name) answered no JSON: \(Value.bytes(answer.output).words)")
        }
        return Answer(outcome: answer.outcome, json: json)
    }

    /// As `call`, for what must succeed; UNAVAILABLE that a retry can help is asked again for five seconds.
    @discardableResult
    func succeed(_ name: String, _ request: JSON, rule: Int? = nil) throws(Breach) -> JSON {
        var answer = try call(name, request)
        for _ in 0..<100 where answer.outcome.status == HOSTD_ERROR_UNAVAILABLE && answer.outcome.isRetryable {
            usleep(50_000)
            answer = try call(name, request)
        }
        try expect(answer.isOK, "\(name) of \(request.serializedString()) failed: \(answer.words)", rule: rule)
        return answer.json
    }
}

/// Runs the checks of one role that the plugin provides.
enum RoleChecks {
    typealias Check = (rule: Int, name: String, body: (JSONCalls) throws(Breach) -> Void)

    static func run(_ session: Session, _ role: String, _ checks: [Check]) {
        guard session.open(), session.description?.provides.contains(role) == true,
            let (subject, table) = session.active(role)
        else { return }
        let calls = JSONCalls(subject: subject, table: table, session: session)
        for (rule, name, body) in checks {
            session.check(rule, name, interface: role) { try body(calls) }
        }
        session.judge(subject.deactivate())
        subject.destroy()
    }
}
