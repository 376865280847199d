import Objects

/// In which order groups and their versions are listed: the numbers of APIService objects, for those that this server
/// keeps itself. Higher ones come first; clients that look for a kind by a short name take the first group that has it.
/// See https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/api-service-v1/.
struct APIPriority: Sendable, Equatable {
    var group: Int64
    var version: Int64

    /// Of groups that definitions of custom resources make.
    static let custom = APIPriority(group: 1000, version: 100)
    /// Of a group of the server's own that is not among those below.
    private static let other: Int64 = 15000

    private static let groups: [String: Int64] = [
        "": 18000, "apiregistration.k8s.io": 18000, "apps": 17800, "events.k8s.io": 17750,
        "authentication.k8s.io": 17700,
        "authorization.k8s.io": 17600, "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300,
        "networking.k8s.io": 17200, "policy": 17100, "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800,
        "admissionregistration.k8s.io": 16700, "apiextensions.k8s.io": 16700, "scheduling.k8s.io": 16600,
        "coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200, "resource.k8s.io": 16200,
        "flowcontrol.apiserver.k8s.io": 16100, UsageObjects.group: 100,
    ]

    /// Of a version of one of the server's own groups.
    init(group: String, version: String) {
        self.group = Self.groups[group] ?? Self.other
        switch (group, version) {
        case ("", _): self.version = 1
        case (UsageObjects.group, _): self.version = 100
        case ("autoscaling", "v2"): self.version = 30
        case ("flowcontrol.apiserver.k8s.io", "v1"): self.version = 21
        case (_, let version) where version.contains("alpha"): self.version = 1
        case (_, let version) where version.contains("beta"): self.version = 9
        default: self.version = 15
        }
    }

    init(group: Int64, version: Int64) {
        self.group = group
        self.version = version
    }
}
