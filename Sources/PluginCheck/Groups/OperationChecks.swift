import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// Slots with a completion: exactly once, after a cancel too, and over when the plugin is deactivated.
enum OperationChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        for role in session.description?.provides ?? [] {
            guard let slots = session.slots(of: role, with: "c") else { continue }
            for name in slots {
                session.check(12, "a completion", interface: role, slot: name) { try once(session, role, name) }
                session.check(12, "cancels", interface: role, slot: name) { try cancelled(session, role, name) }
                session.check(12, "many at once", interface: role, slot: name) { try many(session, role, name) }
            }
        }
    }

    private static func start(
        _ session: Session, _ role: String, _ name: String
    ) throws(Breach) -> (Subject, CheckedTable, CheckedTable.Slot, [Value]) {
        let subject = try session.activeInstance()
        guard let pointer = subject.interface(role) else { throw Breach("it returns no table", rule: 4) }
        let table = try CheckedTable(role, pointer)
        guard let slot = table.slot(name) else { throw Breach("the slot is gone", rule: 5) }
        return (subject, table, slot, HostileValues(role: role, slot: slot, scratch: session.scratch).ordinary)
    }

    /// What is outstanding completes by the end of deactivate, and nothing completes twice until after destroy.
    private static func once(_ session: Session, _ role: String, _ name: String) throws(Breach) {
        let (subject, table, slot, values) = try start(session, role, name)
        let answer = subject.call(table, slot, values)
        guard let operation = answer.operation else { return }
        if answer.isOK { _ = check_operation_wait(operation, 1, 1_000_000_000) }
        session.judge(subject.deactivate())
        let times = check_operation_wait(operation, 1, 0)
        subject.destroy()
        try expect(answer.isOK || times == 0, "it refused the operation and completed it")
        try expect(!answer.isOK || times > 0, "the operation was not completed when deactivate had returned")
        let late = check_operation_wait(operation, 2, 200_000_000)
        try expect(late < 2, "it completed one operation \(late) times")
        if late == 1 { try judge(operation) }
    }

    private static func judge(_ operation: OpaquePointer) throws(Breach) {
        let status = check_operation_status(operation)
        try expect(status <= 0, "it completed with the positive status \(status)", rule: 9)
        try expect(
            check_operation_has_wrong_error(operation) == 0,
            "it completed with \(statusName(status)) and \(status == 0 ? "an error" : "no error")", rule: 9)
    }

    private static func cancelled(_ session: Session, _ role: String, _ name: String) throws(Breach) {
        let (subject, table, slot, values) = try start(session, role, name)
        defer {
            session.judge(subject.deactivate())
            subject.destroy()
        }
        guard let closer = slot.closer else { return }
        let answer = subject.call(table, slot, values)
        for handle in [answer.number, answer.number, 0x7FFF_FFFF_0000_0007] where answer.isOK {
            let ended = subject.call(table, table.slots[Int(closer)], [.number(handle), .error(errorSize)])
            try expect(
                ended.isOK || (handle != answer.number && ended.outcome.status == HOSTD_ERROR_NOT_FOUND),
                "a cancel answered \(ended.outcome.words); it is idempotent, and NOT_FOUND is for unknown handles")
        }
        guard answer.isOK, let operation = answer.operation else { return }
        try expect(check_operation_wait(operation, 1, 3_000_000_000) > 0, "no completion came within 3 s of the cancel")
        try expect(check_operation_wait(operation, 2, 100_000_000) == 1, "it completed twice after cancels")
    }

    /// Calls that are made and refused together must not be mixed up.
    private static func many(_ session: Session, _ role: String, _ name: String) throws(Breach) {
        let (subject, table, slot, values) = try start(session, role, name)
        let answers = (0..<64).map { _ in subject.call(table, slot, values) }
        for answer in answers where answer.isOK { subject.end(table, slot, answer) }
        let deadline = monotonicNanoseconds() + 3_000_000_000
        for answer in answers where answer.isOK {
            let now = monotonicNanoseconds()
            guard let operation = answer.operation, now < deadline else { continue }
            _ = check_operation_wait(operation, 1, deadline - now)
        }
        session.judge(subject.deactivate())
        let wrong = answers.filter { answer in
            answer.operation.map { check_operation_wait($0, 2, 0) != (answer.isOK ? 1 : 0) } ?? false
        }
        subject.destroy()
        try expect(wrong.isEmpty, "\(wrong.count) of 64 operations did not complete exactly once")
    }

    private static let errorSize = UInt64(MemoryLayout<hostd_error>.size)
}

extension Session {
    /// Names of the slots of a role that have a letter; nil when the table cannot be had or there are none.
    func slots(of role: String, with letter: Character) -> [String]? {
        let names = prepare(4, "the slots with \(letter)", interface: role) { () throws(Breach) -> [String] in
            let subject = try instance()
            defer { subject.destroy() }
            judge(subject.configure())
            guard let pointer = subject.interface(role) else { throw Breach("it returns no table") }
            let table = try CheckedTable(role, pointer)
            return table.slots.filter { $0.has(letter) && table.isThere($0) }.map(\.name)
        }
        return names.flatMap { $0.isEmpty ? nil : $0 }
    }
}
