import Objects

/// Settings of services that do nothing.
enum ServiceWarnings {
    static func texts(_ service: JSON) -> [String] {
        let spec = service["spec"]
        let type = spec["type"].stringValue ?? "ClusterIP"
        let isHeadless = type == "ClusterIP" && spec["clusterIP"] == "None"
        let hasExternalIPs = !spec["externalIPs"].isEmpty
        var texts: [String] = []
        let hints = "service.kubernetes.io/topology-aware-hints"
        if service.annotations[hints].exists {
            texts.append("annotation \(hints) is deprecated, please use service.kubernetes.io/topology-mode instead")
        }
        if isHeadless {
            if !spec["loadBalancerIP"].isEmpty { texts.append("spec.loadBalancerIP is ignored for headless services") }
            if hasExternalIPs { texts.append("spec.externalIPs is ignored for headless services") }
            if spec["sessionAffinity"] == "ClientIP" {
                texts.append("spec.SessionAffinity is ignored for headless services")
            }
        }
        if hasExternalIPs, !isHeadless, type != "ExternalName" {
            texts.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
        }
        if type == "ExternalName" {
            if hasExternalIPs { texts.append(#"spec.externalIPs is ignored when spec.type is "ExternalName""#) }
        } else if !spec["externalName"].isEmpty {
            texts.append(#"spec.externalName is ignored when spec.type is not "ExternalName""#)
        }
        if spec["trafficDistribution"] == "PreferClose" {
            texts.append(#"spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone""#)
        }
        return texts
    }
}
