import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// Entry and negotiation: what a host may offer, and what the image may do to the process meanwhile.
enum EntryChecks {
    static func run(_ session: Session) {
        let before = ProcessFacts.now()
        guard session.open(), let entry = session.entry else { return }
        session.check(23, "opening and entry leave the process as it is") {
            try expect(before.changes(to: .now()).isEmpty, "changed: \(before.changes(to: .now()))")
        }
        offers(session, entry)
        room(session, entry)
        again(session, entry)
    }

    private static func offers(_ session: Session, _ entry: @escaping hostd_plugin_entry_function) {
        for range in [(UInt32(2), UInt32(9)), (0, 0), (99, 200), (.max, .max)] {
            session.check(2, "a host without version 1", detail: "offers \(range.0) to \(range.1)") {
                let (subject, outcome) = Subject.enter(session, entry, offering: range)
                session.judge(outcome)
                guard let subject else {
                    try expect(
                        outcome.status == HOSTD_ERROR_VERSION,
                        "it answered \(outcome.words); HOSTD_ERROR_VERSION is for what cannot be negotiated")
                    return
                }
                let version = subject.version
                try expect(
                    (range.0...range.1).contains(version), "it chose version \(version), which was not offered")
            }
        }
        for range in [(UInt32(1), UInt32(1)), (0, 7), (1, .max)] {
            session.check(2, "a host with version 1", detail: "offers \(range.0) to \(range.1)") {
                let (subject, outcome) = Subject.enter(session, entry, offering: range)
                session.judge(outcome)
                guard let subject else { throw Breach("it refused: \(outcome.words)") }
                try expect(
                    (range.0...range.1).contains(subject.version),
                    "it chose version \(subject.version), which was not offered")
                subject.destroy()
            }
        }
    }

    private static func room(_ session: Session, _ entry: @escaping hostd_plugin_entry_function) {
        session.check(3, "the table that entry fills", detail: "room for the struct of version 1") {
            let (subject, outcome) = Subject.enter(session, entry)
            guard let subject else { throw Breach("it refused: \(outcome.words)", rule: 2) }
            let size = subject.tableSize
            try expect(
                size == UInt32(MemoryLayout<hostd_plugin>.size),
                "struct_size is \(size); the host gave room for \(MemoryLayout<hostd_plugin>.size)")
            if let missing = subject.missingFunction { throw Breach("the function \(missing) is NULL", rule: 2) }
            subject.destroy()
        }
        for size in [UInt64(0), 4, 8, 24] {
            session.check(3, "a refusal with a small hostd_error", detail: "\(size) bytes") {
                let room = ErrorRoom(size: size)
                session.judge(Subject.enter(session, entry, offering: (99, 99), error: room).outcome)
            }
        }
    }

    private static func again(_ session: Session, _ entry: @escaping hostd_plugin_entry_function) {
        session.check(21, "entry while another instance is there") {
            let (first, second) = (try session.instance(), try session.instance())
            first.destroy()
            let (outcome, _) = second.describe()
            session.judge(outcome)
            try expect(outcome.isOK, "after the end of the first the second says \(outcome.words)")
            _ = second.interface(session.description?.provides.first ?? "none/1")
            second.destroy()
        }
        session.check(21, "entry again after destroy") {
            for _ in 0..<3 { try session.instance().destroy() }
        }
    }
}
