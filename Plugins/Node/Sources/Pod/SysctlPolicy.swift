import Objects

/// Which kernel parameters pods may set. Those that cannot harm the node or other pods are open to all; others that belong to
/// a pod's namespaces only where the node's administrator says so.
/// See https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/.
struct SysctlPolicy: Sendable {
    static let safe: Set<String> = [
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    ]

    /// Dotted names; one that ends with "*" stands for all that begin like it.
    var allowed: [String] = []

    /// The first parameter of the pod that is not allowed; nil when all are.
    func forbidden(in pod: Pod) -> String? {
        pod.specification["securityContext"]["sysctls"].arrayValue.compactMap { $0["name"].stringValue }.first { name in
            let dotted = Self.dotted(name)
            return !Self.safe.contains(dotted) && !allowed.contains { Self.matches($0, dotted) }
        }
    }

    private static func matches(_ pattern: String, _ name: String) -> Bool {
        pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
    }

    /// Names may be written with slashes, and then hold dots (sysctl.d(5)).
    private static func dotted(_ name: String) -> String {
        guard let separator = name.first(where: { $0 == "." || $0 == "/" }), separator == "/" else { return name }
        return String(name.map { $0 == "/" ? "." : $0 == "." ? "/" : $0 })
    }
}
