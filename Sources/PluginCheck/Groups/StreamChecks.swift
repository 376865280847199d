import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// Slots with a sink: serial, and silent after the end, the cancel, and deactivate.
enum StreamChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        for role in session.description?.provides ?? [] {
            guard let slots = session.slots(of: role, with: "v") else { continue }
            for name in slots {
                session.check(13, "cancel", interface: role, slot: name) { try cancelled(session, role, name) }
                session.check(13, "cancel while a sink runs", interface: role, slot: name) {
                    try cancelledInside(session, role, name)
                }
                session.check(11, "left open at deactivate", interface: role, slot: name) {
                    try leftOpen(session, role, name)
                }
            }
        }
    }

    private struct Opened {
        let subject: Subject
        let table: CheckedTable
        let slot: CheckedTable.Slot
        let answer: SlotAnswer
        let stream: OpaquePointer
    }

    /// nil when the plugin refuses a subscription with ordinary arguments.
    private static func open(_ session: Session, _ role: String, _ name: String) throws(Breach) -> Opened? {
        let subject = try session.activeInstance()
        guard let pointer = subject.interface(role) else { throw Breach("it returns no table", rule: 4) }
        let table = try CheckedTable(role, pointer)
        guard let slot = table.slot(name) else { throw Breach("the slot is gone", rule: 5) }
        let values = HostileValues(role: role, slot: slot, scratch: session.scratch).ordinary
        let answer = subject.call(table, slot, values)
        guard answer.isOK, let stream = answer.stream else {
            session.judge(subject.deactivate())
            subject.destroy()
            return nil
        }
        return Opened(subject: subject, table: table, slot: slot, answer: answer, stream: stream)
    }

    private static func close(_ opened: Opened, _ session: Session) {
        session.judge(opened.subject.deactivate())
        opened.subject.destroy()
    }

    /// Slots that make something happen that a stream may tell of are unknown: other calls are made meanwhile.
    private static func stir(_ opened: Opened, _ session: Session) {
        for slot in opened.table.slots where opened.table.isThere(slot) && !slot.has("v") && slot.name != "reset" {
            guard slot.letters != ["h", "e"] else { continue }
            let values = HostileValues(role: opened.table.id, slot: slot, scratch: session.scratch).ordinary
            let answer = opened.subject.call(opened.table, slot, values)
            if answer.isOK { opened.subject.end(opened.table, slot, answer) }
        }
    }

    private static func cancelled(_ session: Session, _ role: String, _ name: String) throws(Breach) {
        guard let opened = try open(session, role, name) else { return }
        stir(opened, session)
        _ = check_stream_wait(opened.stream, 1, 300_000_000)
        let first = opened.subject.end(opened.table, opened.slot, opened.answer)
        let second = opened.subject.end(opened.table, opened.slot, opened.answer)
        stir(opened, session)
        usleep(100_000)
        close(opened, session)
        if let first { try expect(first.isOK, "the cancel failed: \(first.outcome.words)") }
        if let second { try expect(second.isOK, "the second cancel failed: \(second.outcome.words)") }
        try judge(opened.stream)
    }

    private static func cancelledInside(_ session: Session, _ role: String, _ name: String) throws(Breach) {
        guard let opened = try open(session, role, name) else { return }
        check_stream_linger(opened.stream, 30_000_000)
        stir(opened, session)
        opened.subject.end(opened.table, opened.slot, opened.answer)
        check_stream_linger(opened.stream, 0)
        usleep(50_000)
        close(opened, session)
        try judge(opened.stream)
    }

    private static func leftOpen(_ session: Session, _ role: String, _ name: String) throws(Breach) {
        guard let opened = try open(session, role, name) else { return }
        session.judge(opened.subject.deactivate())
        check_stream_cancelled(opened.stream)
        usleep(100_000)
        opened.subject.destroy()
        var state = check_stream_state()
        check_stream_look(opened.stream, &state)
        try expect(state.after_cancel == 0, "\(state.after_cancel) messages came after deactivate had returned")
    }

    private static func judge(_ stream: OpaquePointer) throws(Breach) {
        var state = check_stream_state()
        check_stream_look(stream, &state)
        try expect(state.overlapping == 0, "the sink was called \(state.overlapping) times while it was running")
        try expect(state.after_end == 0, "\(state.after_end) messages came after END or RESYNC")
        try expect(state.after_cancel == 0, "\(state.after_cancel) messages came after the cancel had returned")
        try expect(
            state.unknown_kinds == 0, "\(state.unknown_kinds) messages were of a kind that the header does not know")
    }
}
