import Kernel
import PluginAPI

/// hostd.state/1: what one instance hands out another takes, and rubbish is refused.
enum StateChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        let offered = session.prepare(22, "hostd.state/1") { () throws(Breach) -> Bool in
            let subject = try session.instance()
            defer { subject.destroy() }
            session.judge(subject.configure())
            return subject.interface(HOSTD_STATE_1) != nil
        }
        guard offered == true else { return }
        let state = session.prepare(22, "export", interface: HOSTD_STATE_1) { () throws(Breach) in
            try export(session)
        }
        guard let state else { return }
        session.check(22, "round trip", interface: HOSTD_STATE_1) { try roundTrip(session, state) }
        for (name, bytes, mustBeRefused) in damaged(state) {
            session.check(22, "import of rubbish", interface: HOSTD_STATE_1, slot: "import_state", detail: name) {
                try refuse(session, bytes, mustBeRefused: mustBeRefused)
            }
        }
        LiveStateChecks.run(session)
    }

    private static func export(_ session: Session) throws(Breach) -> [UInt8] {
        let subject = try session.activeInstance()
        RoleState.fill(subject, session)
        let calls = try StateCalls(subject)
        let (first, second) = (try calls.bytes("export_state"), try calls.bytes("export_state"))
        session.judge(subject.deactivate())
        subject.destroy()
        try expect(isSame(first, second), "two exports one after the other are not the same")
        guard let line = first.firstIndex(of: 0x0A) else { throw Breach("the state has no first line") }
        let format = String(decoding: first[..<line], as: UTF8.self)
        try expect(
            isFormat(format),
            "the first line is \(format.debugDescription); it is the id of a format, such as com.example.state/1")
        return first
    }

    private static func isFormat(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let version = Int(parts[1]), version > 0 else { return false }
        return !parts[0].isEmpty
            && parts[0].utf8.allSatisfy {
                ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2E || $0 == 0x2D
            }
    }

    /// The order of records is the format's affair: the same bytes, in whatever order.
    static func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left == right || (left.count == right.count && left.sorted() == right.sorted())
    }

    private static func roundTrip(_ session: Session, _ state: [UInt8]) throws(Breach) {
        let subject = try session.instance()
        session.judge(subject.configure())
        let calls = try StateCalls(subject)
        let taken = calls.take("import_state", state)
        try expect(taken.isOK, "import_state of its own state failed: \(taken.outcome.words)")
        let active = subject.activate()
        session.judge(active)
        try expect(active.isOK, "activate after import_state failed: \(active.words)")
        let again = try calls.bytes("export_state")
        session.judge(subject.deactivate())
        subject.destroy()
        try expect(
            isSame(state, again), "\(state.count) bytes were taken over, and \(again.count) different ones come out")
    }

    private static func damaged(_ state: [UInt8]) -> [(name: String, bytes: [UInt8], mustBeRefused: Bool)] {
        var result: [(String, [UInt8], Bool)] = [
            ("nothing", [], true), ("another format", Array("com.example.nobody-knows/7\nx".utf8), true),
            ("no first line", Array("x".utf8), true), ("ill-formed UTF-8", [0xFF, 0xFE, 0x0A], true),
            ("a million bytes", [UInt8](repeating: 0x78, count: 1 << 20), true),
        ]
        let line = (state.firstIndex(of: 0x0A) ?? 0) + 1
        if state.count > line {
            result.append(("a half", Array(state[..<(line + (state.count - line) / 2)]), false))
            result.append(("rubbish after the first line", Array(state[..<line]) + [0xFF, 0x00, 0x7B, 0xFF], false))
        }
        for (index, bytes) in variants(of: state).enumerated() {
            result.append(("changed bytes, variant \(index)", bytes, false))
        }
        return result
    }

    /// A state with some bytes behind the first line changed, in many ways.
    static func variants(of state: [UInt8]) -> [[UInt8]] {
        let line = (state.firstIndex(of: 0x0A) ?? 0) + 1
        guard state.count > line else { return [] }
        var random: UInt64 = 0x2545_F491_4F6C_DD1D
        return (0..<40).map { _ in
            var bytes = state
            for _ in 0..<4 {
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[line + Int(random >> 33) % (state.count - line)] = UInt8(truncatingIfNeeded: random >> 24)
            }
            return bytes
        }
    }

    private static func refuse(_ session: Session, _ bytes: [UInt8], mustBeRefused: Bool) throws(Breach) {
        let subject = try session.instance()
        session.judge(subject.configure())
        let answer = try StateCalls(subject).take("import_state", bytes)
        try expect(!answer.isOK || !mustBeRefused, "it was taken")
        // Refused or taken, the instance works.
        let active = subject.activate()
        session.judge(active)
        if !answer.isOK { try expect(active.isOK, "activate after a refused import failed: \(active.words)") }
        if active.isOK { session.judge(subject.deactivate()) }
        subject.destroy()
    }
}

/// Something to export: what ordinary arguments make, and pods on nodes.
enum RoleState {
    static func fill(_ subject: Subject, _ session: Session) {
        for role in subject.description?.provides ?? [] where role != HOSTD_STATE_1 {
            guard let pointer = subject.interface(role), let table = try? CheckedTable(role, pointer) else { continue }
            for slot in table.slots where table.isThere(slot) && !slot.has("c") && !slot.has("v") {
                subject.call(
                    table, slot, HostileValues(role: role, slot: slot, scratch: session.scratch).ordinary)
            }
            guard role == HOSTD_SCHEDULER_1 else { continue }
            let scheduler = SchedulerCalls(subject: subject, table: table)
            for node in 0..<3 { scheduler.nodeSet("node-\(node)", cpu: 4000) }
            for pod in 0..<8 { _ = scheduler.schedule("pod-\(pod)", cpu: 500) }
        }
    }

    /// Something that is new, and something that is gone.
    static func change(_ subject: Subject, _ session: Session, _ round: Int) {
        fill(subject, session)
        guard let pointer = subject.interface(HOSTD_SCHEDULER_1),
            let table = try? CheckedTable(HOSTD_SCHEDULER_1, pointer)
        else { return }
        let scheduler = SchedulerCalls(subject: subject, table: table)
        scheduler.nodeRemove("node-\(round)")
        scheduler.podRemove("pod-\(round)")
        scheduler.nodeSet("more-\(round)", cpu: 4000)
        _ = scheduler.schedule("more-\(round)", cpu: 500)
    }
}
