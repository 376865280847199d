import Objects

/// The resource claims of a pod as its node sees them: what keeps it from starting. Pure.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/.
enum PodDeviceClaims {
    /// Why the pod does not have what it claims; nil when nothing is missing. No driver of devices that go by claims registers with
    /// this node, so that whoever was given such devices waits for one.
    /// - Parameter claim: the claim of this name in the pod's namespace.
    static func problem(of pod: Pod, claim: (String) throws -> JSON?) rethrows -> String? {
        let extended = pod.object["status"]["extendedResourceClaimStatus"]
        for entry in pod.specification["resourceClaims"].arrayValue + (extended.exists ? [extended] : []) {
            guard let name = name(of: entry, in: pod) else { continue }
            guard !name.isEmpty else { return "pod \"\(pod.namespace)/\(pod.name)\": ResourceClaim not created yet" }
            guard let found = try claim(name) else {
                return
                    "fetch ResourceClaim \(pod.namespace)/\(name): resourceclaims.resource.k8s.io \"\(name)\" not found"
            }
            let consumers = found["status"]["reservedFor"].arrayValue
            guard consumers.contains(where: { $0["uid"].stringValue == pod.uid }) else {
                return
                    "pod \(pod.name)(\(pod.uid)) is not allowed to use resource claim \(name)(\(found.uid))"
            }
            let results = found["status"]["allocation"]["devices"]["results"].arrayValue
            if let driver = results.first?["driver"].stringValue { return "DRA driver \(driver) is not registered" }
        }
        return nil
    }

    static func areUsed(by pod: Pod) -> Bool {
        !pod.specification["resourceClaims"].isEmpty || pod.object["status"]["extendedResourceClaimStatus"].exists
    }

    /// Nil for a claim that is not needed, empty for one that is not made yet.
    private static func name(of entry: JSON, in pod: Pod) -> String? {
        if let name = entry["resourceClaimName"].stringValue { return name }
        let statuses = pod.object["status"]["resourceClaimStatuses"].arrayValue
        guard let status = statuses.first(where: { $0["name"] == entry["name"] }) else { return "" }
        return status["resourceClaimName"].stringValue
    }
}
