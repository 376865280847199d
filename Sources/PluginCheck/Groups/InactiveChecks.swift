import CPluginCheck
import Kernel
import PluginAPI

/// Slots that are called before activate and after deactivate.
enum InactiveChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        for role in session.description?.provides ?? [] where role != HOSTD_STATE_1 {
            call(session, role, "before activate") { () throws(Breach) in
                let subject = try session.instance()
                let outcome = subject.configure()
                try expect(outcome.isOK, "configure failed: \(outcome.words)", rule: 11)
                return subject
            }
            call(session, role, "after deactivate") { () throws(Breach) in
                let subject = try session.activeInstance()
                session.judge(subject.deactivate())
                return subject
            }
        }
    }

    private static func call(
        _ session: Session, _ role: String, _ moment: String, _ make: () throws(Breach) -> Subject
    ) {
        let made = session.prepare(20, "an instance \(moment)", interface: role) { () throws(Breach) in
            let subject = try make()
            guard let pointer = subject.interface(role) else { throw Breach("it returns no table", rule: 4) }
            return (subject, try CheckedTable(role, pointer))
        }
        guard let (subject, table) = made else { return }
        for slot in table.slots where table.isThere(slot) {
            session.check(20, "a call \(moment)", interface: role, slot: slot.name) {
                try call(subject, table, slot, session)
            }
        }
        subject.destroy()
    }

    private static func call(
        _ subject: Subject, _ table: CheckedTable, _ slot: CheckedTable.Slot, _ session: Session
    ) throws(Breach) {
        let values = HostileValues(role: table.id, slot: slot, scratch: session.scratch).ordinary
        let answer = subject.call(table, slot, values)
        if let operation = answer.operation {
            let times = check_operation_wait(operation, 1, answer.isOK ? 2_000_000_000 : 0)
            try expect(
                !answer.isOK || times > 0, "it accepted an operation and did not complete it: nothing may run now")
        }
        try expect(
            answer.stream == nil || !answer.isOK, "it accepted a stream: nothing may run while it is not active")
    }
}
