import Objects

/// What a pod asks of the kernel that this node does not give. What is meant as protection is refused rather than left out.
struct PodDemands {
    let pod: Pod
    let sysctls: SysctlPolicy

    /// The first reason against the pod, in the kubelet's terms; nil when there is none.
    var refusal: WaitingReason? {
        if let name = sysctls.forbidden(in: pod) {
            return WaitingReason(
                reason: "SysctlForbidden",
                message:
                    "forbidden sysctl: \"\(name)\" not allowlisted: the option allowedUnsafeSysctls of the plugin node "
                    + "names those that pods may set beside the safe ones")
        }
        if let missing { return missing }
        let contexts = [pod.specification["securityContext"]] + pod.containers.map { $0.object["securityContext"] }
        let profiles = contexts.map { $0["appArmorProfile"] }
        guard let profile = profiles.first(where: { $0["type"].stringValue == "Localhost" }) else { return nil }
        return WaitingReason(
            reason: "AppArmor",
            message:
                "Cannot enforce AppArmor: the profile \"\(profile["localhostProfile"].stringValue ?? "")\" cannot be "
                + "applied, this node's runtimes set no AppArmor profiles")
    }
    /// What the pod's specification names and no runtime of this node does. It would be left out without a word.
    private var missing: WaitingReason? {
        let specification = pod.specification
        var wishes: [(String, String)] = []
        for volume in specification["volumes"].arrayValue {
            let name = volume["name"].stringValue ?? ""
            for source in volume["projected"]["sources"].arrayValue {
                for kind in ["clusterTrustBundle", "podCertificate"] where source[kind].exists {
                    wishes.append((kind, "the projection \(kind) in volume \"\(name)\""))
                }
            }
        }
        guard !wishes.isEmpty else { return nil }
        return WaitingReason(
            reason: "PodFeatureUnsupported",
            message: "Pod was rejected: this node does not give "
                + wishes.map(\.1).joined(separator: ", nor ") + "; leave it out, or run the pod on a node that does")
    }
}
