import Objects

/// A level of the Pod Security Standards, as of one version of Kubernetes.
/// See https://kubernetes.io/docs/concepts/security/pod-security-standards/.
struct PodSecurityLevel: Sendable, Hashable, CustomStringConvertible {
    enum Level: String, Sendable, CaseIterable, Comparable {
        case privileged
        case baseline
        case restricted

        static func < (left: Level, right: Level) -> Bool {
            allCases.firstIndex(of: left) ?? 0 < allCases.firstIndex(of: right) ?? 0
        }
    }

    var level = Level.privileged
    /// Of Kubernetes 1.x; nil = the latest.
    var minor: Int?

    /// Whether the rules are those of 1.`minor` or later.
    func isAtLeast(_ minor: Int) -> Bool { self.minor.map { $0 >= minor } ?? true }

    var description: String { "\(level.rawValue):\(minor.map { "v1.\($0)" } ?? "latest")" }
}

/// What the labels of a namespace say about its pods.
/// See https://kubernetes.io/docs/concepts/security/pod-security-admission/.
struct PodSecurityPolicy: Sendable, Hashable {
    static let prefix = "pod-security.kubernetes.io/"

    var enforce = PodSecurityLevel()
    var audit = PodSecurityLevel()
    var warn = PodSecurityLevel()
    /// What of the labels cannot be read.
    var mistakes: [Mistake] = []

    struct Mistake: Sendable, Hashable {
        var label: String
        var value: String
        var problem: String

        var cause: APIStatus.Cause { .invalid("metadata.labels[\(label)]", .string(value), problem) }
    }

    /// Whether there is nothing to look at.
    var isPrivileged: Bool { [enforce, audit, warn].allSatisfy { $0.level == .privileged } }

    init(labels: JSON) {
        // What cannot be read is enforced as strictly as can be, and neither audited nor warned of.
        enforce = level("enforce", labels, unreadable: .restricted)
        audit = level("audit", labels, unreadable: .privileged)
        warn = level("warn", labels, unreadable: .privileged)
    }

    private mutating func level(
        _ mode: String, _ labels: JSON, unreadable: PodSecurityLevel.Level
    ) -> PodSecurityLevel {
        var result = PodSecurityLevel()
        let label = Self.prefix + mode
        if let text = labels[label].stringValue {
            if let level = PodSecurityLevel.Level(rawValue: text) {
                result.level = level
            } else {
                result.level = unreadable
                mistakes.append(
                    Mistake(label: label, value: text, problem: "must be one of privileged, baseline, restricted"))
            }
        }
        if let text = labels[label + "-version"].stringValue, text != "latest" {
            if text.hasPrefix("v1."), let minor = Int(text.dropFirst(3)), minor >= 0, "v1.\(minor)" == text {
                result.minor = minor
            } else {
                mistakes.append(
                    Mistake(label: label + "-version", value: text, problem: #"must be "latest" or "v1.x""#))
            }
        }
        return result
    }
}
