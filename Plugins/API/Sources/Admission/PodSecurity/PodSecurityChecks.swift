import Objects

/// The rules of the Pod Security Standards, and what a pod breaks of them in the words of Kubernetes. Pure.
enum PodSecurityChecks {
    /// One broken rule.
    struct Violation: Equatable {
        var reason: String
        var detail: String
    }

    /// All that a pod breaks of a level: the baseline first, each in the order of the rules' names.
    static func violations(_ pod: PodSecuritySubject, _ level: PodSecurityLevel) -> [Violation] {
        guard level.level != .privileged else { return [] }
        let isRestricted = level.level == .restricted
        var found: [Violation?] = [
            pod.appArmorProfile(),
            // What a stricter rule covers is said once.
            isRestricted && level.isAtLeast(22) ? nil : pod.addedCapabilities(), pod.hostNamespaces(),
            isRestricted ? nil : pod.hostPathVolumes(), pod.hostPorts(),
            level.isAtLeast(34) ? pod.probeHosts() : nil, pod.privileged(), pod.procMount(level),
            pod.seLinuxOptions(level),
            isRestricted && level.isAtLeast(19) ? nil : pod.seccompProfile(level), pod.sysctls(level),
            pod.hostProcess(),
        ]
        if isRestricted {
            found += [
                level.isAtLeast(8) ? pod.privilegeEscalation(level) : nil,
                level.isAtLeast(22) ? pod.undroppedCapabilities(level) : nil, pod.restrictedVolumes(),
                pod.runAsNonRoot(level), level.isAtLeast(23) ? pod.runAsUser(level) : nil,
                level.isAtLeast(19) ? pod.missingSeccompProfile(level) : nil,
            ]
        }
        return found.compactMap { $0 }
    }

    /// "hostPort (container "a" uses hostPort 80), …".
    static func detail(_ violations: [Violation]) -> String {
        violations.map { $0.detail.isEmpty ? $0.reason : "\($0.reason) (\($0.detail))" }.joined(separator: ", ")
    }
}

/// A pod, or the template of one, as the rules look at it.
struct PodSecuritySubject {
    var annotations: JSON
    var spec: JSON

    init(metadata: JSON, spec: JSON) {
        annotations = metadata["annotations"]
        self.spec = spec
    }

    var context: JSON { spec["securityContext"] }
    /// Init, ordinary and ephemeral ones, in this order.
    var containers: [JSON] {
        ["initContainers", "containers", "ephemeralContainers"].flatMap { spec[$0].arrayValue }
    }
    var isWindows: Bool { spec["os"]["name"].stringValue == "windows" }
    /// Root within a user namespace is nobody outside.
    var hasUserNamespace: Bool { spec["hostUsers"].boolValue == false }

    /// The names of the containers of which something holds.
    func names(_ holds: (JSON) -> Bool) -> [String] {
        containers.filter(holds).map { $0["name"].stringValue ?? "" }
    }

    /// "pod and containers "a", "b"".
    static func setters(pod: Bool, _ containers: [String], and word: String = "and") -> String {
        let parts = (pod ? ["pod"] : []) + (containers.isEmpty ? [] : [counted("container", containers)])
        return parts.joined(separator: " \(word) ")
    }

    /// "container "a"", "containers "a", "b"".
    static func counted(_ word: String, _ names: [String]) -> String {
        "\(plural(word, names.count)) \(quoted(names))"
    }

    static func plural(_ word: String, _ count: Int) -> String { count == 1 ? word : word + "s" }
    static func quoted(_ names: [String]) -> String { names.map { "\"\($0)\"" }.joined(separator: ", ") }
}
