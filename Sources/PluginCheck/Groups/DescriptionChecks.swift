import Kernel
import PluginAPI

/// What the plugin says of itself: well formed, within limits, and always the same.
enum DescriptionChecks {
    static func run(_ session: Session) {
        guard session.open() else { return unreadable(session) }
        session.check(18, "the description") {
            let subject = try session.instance()
            defer { subject.destroy() }
            let (outcome, bytes) = subject.describe()
            session.judge(outcome)
            try expect(outcome.isOK, "describe answered \(outcome.words)")
            try parse(bytes)
        }
        session.check(18, "the schema") {
            let subject = try session.instance()
            defer { subject.destroy() }
            let (outcome, bytes) = subject.schema()
            session.judge(outcome)
            try expect(outcome.isOK, "schema answered \(outcome.words)")
            try expect(bytes.count <= 256 << 10, "it has \(bytes.count) bytes; at most \(256 << 10) are allowed")
            if bytes.isEmpty { return }
            do { _ = try OptionSchema(try JSON(parsing: bytes)) } catch { throw Breach("\(error)") }
        }
        session.check(18, "the same at any time") { try sameAlways(session) }
        if let role = session.options.role {
            session.check(18, "the role that is asked for", interface: role) {
                let provided = session.description?.provides ?? []
                try expect(
                    provided.contains(role), "it provides \(provided.joined(separator: ", ")), and not \(role)")
            }
        }
    }

    /// The session could not be opened: why, as a finding.
    private static func unreadable(_ session: Session) {
        guard let entry = session.entry else { return }
        session.check(18, "the description") {
            let (subject, outcome) = Subject.enter(session, entry)
            session.judge(outcome)
            guard let subject else { throw Breach("entry answered \(outcome.words)", rule: 2) }
            if let missing = subject.missingFunction { throw Breach("the function \(missing) is NULL", rule: 2) }
            let (described, bytes) = subject.describe()
            session.judge(described)
            try expect(described.isOK, "describe answered \(described.words)")
            try parse(bytes)
        }
    }

    private static func parse(_ bytes: [UInt8]) throws(Breach) {
        try expect(bytes.count <= 64 << 10, "it has \(bytes.count) bytes; at most \(64 << 10) are allowed")
        do throws(PluginFailure) { _ = try PluginDescription(parsing: bytes) } catch { throw Breach(error.message) }
    }

    private static func sameAlways(_ session: Session) throws(Breach) {
        let subject = try session.instance()
        defer { subject.destroy() }
        let (first, schema) = (subject.describe().bytes, subject.schema().bytes)
        func compare(_ moment: String) throws(Breach) {
            try expect(subject.describe().bytes == first, "describe answers something else \(moment)")
            try expect(subject.schema().bytes == schema, "schema answers something else \(moment)")
        }
        try compare("at the second call")
        session.judge(subject.configure())
        try compare("after configure")
        try session.prepareCompanions(of: subject.description?.requires ?? [])
        guard subject.activate().isOK else { return }  // The life cycle's own checks tell of it.
        try compare("while active")
        session.judge(subject.deactivate())
        try compare("after deactivate")
    }
}
