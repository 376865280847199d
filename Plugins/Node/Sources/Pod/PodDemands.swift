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
        let contexts = [pod.specification["securityContext"]] + pod.containers.map { $0.object["securityContext"] }
        let profiles = contexts.map { $0["appArmorProfile"] }
        guard let profile = profiles.first(where: { $0["type"].stringValue == "Localhost" }) else { return nil }
        return WaitingReason(
            reason: "AppArmor",
            message:
                "Cannot enforce AppArmor: the profile \"\(profile["localhostProfile"].stringValue ?? "")\" cannot be "
                + "applied, this node's runtimes set no AppArmor profiles")
    }
}
