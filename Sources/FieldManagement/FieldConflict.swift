/// Fields that an apply would change and that others own.
public struct FieldConflicts: Error, Sendable, Equatable {
    public struct Conflict: Sendable, Equatable {
        public let manager: FieldManagerIdentity
        /// When the manager wrote last; empty when unknown.
        public let time: String
        public let path: [FieldStep]

        /// `.spec.template.spec.containers[name="web"].image`.
        public var field: String { path.map(\.description).joined() }

        /// `"kubectl" using apps/v1 at 2030-01-02T03:04:05Z`.
        public var managerText: String {
            var text = "\"\(manager.name)\""
            if !manager.subresource.isEmpty { text += " with subresource \"\(manager.subresource)\"" }
            guard manager.operation == .update else { return text }
            return text + " using \(manager.apiVersion)" + (time.isEmpty ? "" : " at \(time)")
        }
    }

    /// Never empty, by manager and path.
    public let conflicts: [Conflict]

    /// The text of Kubernetes' Status for them.
    public var message: String {
        guard conflicts.count > 1 else {
            let only = conflicts[0]
            return "Apply failed with 1 conflict: conflict with \(only.managerText): \(only.field)"
        }
        var lines: [String] = []
        var manager = ""
        for conflict in conflicts {
            if conflict.managerText != manager {
                manager = conflict.managerText
                lines.append("conflicts with \(manager):")
            }
            lines.append("- \(conflict.field)")
        }
        return "Apply failed with \(conflicts.count) conflicts: \(lines.joined(separator: "\n"))"
    }

    init?(_ sets: [(FieldManagerIdentity, String, FieldSet)]) {
        let all = sets.flatMap { manager, time, fields in
            fields.paths.map { Conflict(manager: manager, time: time, path: $0) }
        }
        guard !all.isEmpty else { return nil }
        conflicts = all.enumerated().sorted {
            ($0.element.managerText, $0.offset) < ($1.element.managerText, $1.offset)
        }.map(\.element)
    }

    var fields: FieldSet { FieldSet(conflicts.map(\.path)) }
}
