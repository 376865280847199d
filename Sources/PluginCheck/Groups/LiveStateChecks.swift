import Kernel
import PluginAPI

/// The live half of hostd.state/1: an instance that follows another one knows what that knows.
enum LiveStateChecks {
    private static let slots = ["export_base", "export_changes", "export_end", "import_changes"]

    static func run(_ session: Session) {
        let present = session.prepare(24, "slots of a live handover", interface: HOSTD_STATE_1) {
            () throws(Breach) -> Int in
            let subject = try session.instance()
            defer { subject.destroy() }
            session.judge(subject.configure())
            let table = try StateCalls(subject).table
            return slots.count { name in table.slot(name).map(table.isThere) ?? false }
        }
        guard let present, present > 0 else { return }
        session.check(24, "all slots or none", interface: HOSTD_STATE_1) { () throws(Breach) in
            try expect(present == slots.count, "\(present) of \(slots.joined(separator: ", ")) are there")
        }
        guard present == slots.count else { return }
        session.check(24, "marks", interface: HOSTD_STATE_1) { () throws(Breach) in try marks(session) }
        session.check(24, "a follower", interface: HOSTD_STATE_1) { () throws(Breach) in try follow(session) }
        session.check(24, "changes that are rubbish", interface: HOSTD_STATE_1, slot: "import_changes") {
            () throws(Breach) in
            try refuse(session)
        }
    }

    private static func marks(_ session: Session) throws(Breach) {
        let subject = try session.activeInstance()
        let calls = try StateCalls(subject)
        RoleState.fill(subject, session)
        let (mark, base) = try calls.base()
        let whole = try calls.bytes("export_state")
        try expect(StateChecks.isSame(base, whole), "export_base and export_state do not hand out the same")
        for other in [0, mark &+ 0x1234_5678, UInt64.max] where other != mark {
            try expect(!calls.answer("export_changes", other).isOK, "export_changes takes the unknown mark \(other)")
            try expect(calls.answer("export_end", other).isOK, "export_end refuses the unknown mark \(other)")
        }
        _ = try calls.bytes("export_changes", mark)
        try expect(calls.answer("export_end", mark).isOK, "export_end refuses its mark")
        try expect(!calls.answer("export_changes", mark).isOK, "export_changes takes a mark that was ended")
        session.judge(subject.deactivate())
        subject.destroy()
    }

    /// Two instances, of which the second one follows the first.
    private static func pair(_ session: Session) throws(Breach) -> (old: StateCalls, new: StateCalls, mark: UInt64) {
        let old = try StateCalls(session.activeInstance())
        RoleState.fill(old.subject, session)
        let (mark, base) = try old.base()
        let subject = try session.instance()
        session.judge(subject.configure())
        let new = try StateCalls(subject)
        let taken = new.take("import_state", base)
        try expect(taken.isOK, "import_state of a base failed: \(taken.outcome.words)")
        let active = subject.activate()
        session.judge(active)
        try expect(active.isOK, "activate after import_state failed: \(active.words)")
        return (old, new, mark)
    }

    private static func end(_ calls: StateCalls, _ session: Session) {
        session.judge(calls.subject.deactivate())
        calls.subject.destroy()
    }

    private static func follow(_ session: Session) throws(Breach) {
        let (old, new, mark) = try pair(session)
        for round in 0..<3 {
            if round > 0 { RoleState.change(old.subject, session, round) }
            let changes = try old.bytes("export_changes", mark)
            let taken = new.take("import_changes", changes)
            try expect(taken.isOK, "import_changes of its own changes failed: \(taken.outcome.words)")
            let (one, other) = (try old.bytes("export_state"), try new.bytes("export_state"))
            try expect(
                StateChecks.isSame(one, other),
                "after \(round + 1) rounds of changes the follower exports \(other.count) bytes, the other one \(one.count) "
                    + "different ones")
        }
        try expect(old.answer("export_end", mark).isOK, "export_end refuses its mark")
        end(old, session)
        end(new, session)
    }

    private static func refuse(_ session: Session) throws(Breach) {
        let (old, new, mark) = try pair(session)
        RoleState.change(old.subject, session, 1)
        let changes = try old.bytes("export_changes", mark)
        let line = (changes.firstIndex(of: 0x0A) ?? 0) + 1
        var before = try new.bytes("export_state")
        for (name, bytes) in [
            ("nothing", []), ("another format", Array("com.example.nobody-knows/7\nx".utf8)),
            ("ill-formed UTF-8", [0xFF, 0xFE, 0x0A]),
        ] {
            try expect(!new.take("import_changes", bytes).isOK, "\(name) was taken")
        }
        let halves = Array(changes[..<(line + (changes.count - line) / 2)])
        for bytes in [halves, Array(changes[..<line]) + [0xFF, 0x00, 0x7B, 0xFF]] + StateChecks.variants(of: changes) {
            let isTaken = new.take("import_changes", bytes).isOK
            let after = try new.bytes("export_state")
            try expect(
                isTaken || StateChecks.isSame(before, after), "a refused import_changes has changed what it knows")
            before = after
        }
        end(old, session)
        end(new, session)
    }
}

/// Calls of one instance's hostd.state/1.
struct StateCalls {
    let subject: Subject
    let table: CheckedTable

    private static let error = Value.error(UInt64(MemoryLayout<hostd_error>.size))

    init(_ subject: Subject) throws(Breach) {
        guard let pointer = subject.interface(HOSTD_STATE_1) else { throw Breach("the table is gone", rule: 4) }
        self.subject = subject
        table = try CheckedTable(HOSTD_STATE_1, pointer)
    }

    private func call(_ name: String, _ values: [Value]) -> SlotAnswer {
        guard let slot = table.slot(name), table.isThere(slot) else {
            return SlotAnswer(outcome: Outcome(status: HOSTD_ERROR_NOT_SUPPORTED, message: "\(name) is missing"))
        }
        return subject.call(table, slot, values + [Self.error])
    }

    func take(_ name: String, _ bytes: [UInt8]) -> SlotAnswer { call(name, [.bytes(bytes)]) }

    /// A slot that is given a mark.
    func answer(_ name: String, _ mark: UInt64) -> SlotAnswer {
        call(name, name == "export_changes" ? [.number(mark), .output] : [.number(mark)])
    }

    func base() throws(Breach) -> (mark: UInt64, state: [UInt8]) {
        let answer = call("export_base", [.output, .output])
        try expect(answer.isOK, "export_base failed: \(answer.outcome.words)")
        return (answer.number, answer.output)
    }

    /// What a slot hands out, which it must.
    func bytes(_ name: String, _ mark: UInt64? = nil) throws(Breach) -> [UInt8] {
        let given = mark.map { answer(name, $0) } ?? call(name, [.output])
        try expect(given.isOK, "\(name) failed: \(given.outcome.words)")
        return given.output
    }
}
