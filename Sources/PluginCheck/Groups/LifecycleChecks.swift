import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// Every order of the life cycle that a host makes, and those that it must not make.
enum LifecycleChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        legal(session)
        illegal(session)
        session.check(21, "two active instances") { try sideBySide(session) }
    }

    // MARK: Legal orders

    private static func legal(_ session: Session) {
        session.check(21, "destroy after entry") { try session.instance().destroy() }
        session.check(21, "destroy after describe and schema") {
            let subject = try session.instance()
            _ = (subject.describe(), subject.schema())
            subject.destroy()
        }
        session.check(21, "destroy after configure") {
            let subject = try session.instance()
            try succeed(subject.configure(), "configure", session)
            subject.destroy()
            try endedCleanly(subject)
        }
        session.check(21, "configure again") {
            let subject = try session.instance()
            try succeed(subject.configure(), "configure", session)
            try succeed(subject.configure(), "the second configure", session)
            subject.destroy()
        }
        session.check(11, "activate, deactivate, destroy") {
            let subject = try session.activeInstance()
            try succeed(subject.deactivate(), "deactivate", session)
            try expectNothingOpen(subject)
            subject.destroy()
            try endedCleanly(subject)
        }
        session.check(21, "configure between deactivate and activate") {
            let subject = try session.activeInstance()
            try succeed(subject.deactivate(), "deactivate", session)
            try succeed(subject.configure(), "configure", session)
            try succeed(subject.activate(), "activate", session)
            try succeed(subject.deactivate(), "the second deactivate", session)
            subject.destroy()
        }
        session.check(11, "activate and deactivate five times") { try fiveTimes(session) }
        session.check(23, "a life leaves the process as it is") { try guest(session) }
    }

    private static func guest(_ session: Session) throws(Breach) {
        let (facts, resources) = (session.factsBefore, session.resourcesBefore)
        let subject = try session.activeInstance()
        let active = facts.changes(to: .now())
        let inherited = Resources.now().inherited.subtracting(resources.inherited)
        try succeed(subject.deactivate(), "deactivate", session)
        subject.destroy()
        try expect(active.isEmpty, "while it is active, this is changed: \(active)")
        let after = facts.changes(to: .now())
        try expect(after.isEmpty, "after destroy this is changed: \(after)")
        try expect(inherited.isEmpty, "descriptors without O_CLOEXEC: \(inherited.sorted().prefix(3))")
    }

    /// What one turn leaves behind five turns leave five times: caches of the process do not count.
    private static func fiveTimes(_ session: Session) throws(Breach) {
        let subject = try session.activeInstance()
        try succeed(subject.deactivate(), "deactivate", session)
        usleep(20_000)
        let first = Resources.now()
        for _ in 0..<4 {
            try succeed(subject.activate(), "activate", session)
            try succeed(subject.deactivate(), "deactivate", session)
        }
        try expectNothingOpen(subject)
        var last = Resources.now()
        // A thread that was joined is seen for a moment still.
        for _ in 0..<50 where !last.newThreads(since: first).isEmpty {
            usleep(10_000)
            last = .now()
        }
        let threads = last.newThreads(since: first)
        try expect(threads.isEmpty, "threads are left after deactivate: \(threads.joined(separator: ", "))")
        let descriptors = last.newDescriptors(since: first)
        try expect(descriptors.count < 4, "descriptors are left after deactivate: \(descriptors.prefix(4))")
        subject.destroy()
        try endedCleanly(subject)
    }

    private static func expectNothingOpen(_ subject: Subject) throws(Breach) {
        if let open = subject.offer.open { throw Breach("open after deactivate: \(open)", rule: 11) }
    }

    private static func endedCleanly(_ subject: Subject) throws(Breach) {
        if let open = subject.offer.open { throw Breach("open after destroy: \(open)", rule: 11) }
        if let buffers = subject.offer.buffers {
            throw Breach("buffers of the host were not released until destroy: \(buffers)", rule: 8)
        }
    }

    private static func succeed(_ outcome: Outcome, _ step: String, _ session: Session) throws(Breach) {
        session.judge(outcome)
        try expect(outcome.isOK, "\(step) failed: \(outcome.words)", rule: nil)
    }

    // MARK: Illegal orders

    private static func illegal(_ session: Session) {
        session.check(20, "activate before configure") {
            let subject = try session.instance()
            let outcome = subject.activate()
            session.judge(outcome)
            try expect(!outcome.isOK, "it succeeded")
            subject.destroy()
        }
        session.check(20, "deactivate before activate") {
            let subject = try session.instance()
            session.judge(subject.deactivate())
            session.judge(subject.configure())
            session.judge(subject.deactivate())
            subject.destroy()
        }
        session.check(20, "activate while active") {
            let subject = try session.activeInstance()
            let outcome = subject.activate()
            session.judge(outcome)
            let ended = subject.deactivate()
            subject.destroy()
            try expect(!outcome.isOK, "it succeeded")
            try expect(ended.isOK, "deactivate failed after it: \(ended.words)")
        }
        session.check(20, "configure while active") {
            let subject = try session.activeInstance()
            let outcome = subject.configure()
            session.judge(outcome)
            session.judge(subject.deactivate())
            subject.destroy()
            try expect(!outcome.isOK, "it succeeded")
        }
        session.check(20, "deactivate twice") {
            let subject = try session.activeInstance()
            try succeed(subject.deactivate(), "deactivate", session)
            session.judge(subject.deactivate())
            subject.destroy()
        }
    }

    /// A swap holds two instances; one after the other is active where both cannot be.
    private static func sideBySide(_ session: Session) throws(Breach) {
        let first = try session.activeInstance()
        let second = try session.instance()
        try succeed(second.configure(), "configure of a second instance", session)
        let overlapping = second.activate()
        session.judge(overlapping)
        try succeed(first.deactivate(), "deactivate of the first", session)
        if !overlapping.isOK { try succeed(second.activate(), "activate of the second", session) }
        first.destroy()
        let (described, _) = second.describe()
        try expect(described.isOK, "after the end of the first the second says \(described.words)")
        try succeed(second.deactivate(), "deactivate of the second", session)
        second.destroy()
    }
}
