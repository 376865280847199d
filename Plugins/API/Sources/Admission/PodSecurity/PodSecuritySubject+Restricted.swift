import Objects

/// The rules of level restricted: what hardened pods say of themselves.
extension PodSecuritySubject {
    func privilegeEscalation(_ level: PodSecurityLevel) -> Violation? {
        if level.isAtLeast(25), isWindows { return nil }
        let bad = names { $0["securityContext"]["allowPrivilegeEscalation"].boolValue != false }
        guard !bad.isEmpty else { return nil }
        return Violation(
            reason: "allowPrivilegeEscalation != false",
            detail: "\(Self.counted("container", bad)) must set securityContext.allowPrivilegeEscalation=false")
    }

    func undroppedCapabilities(_ level: PodSecurityLevel) -> Violation? {
        if level.isAtLeast(25), isWindows { return nil }
        let bad = names { !$0["securityContext"]["capabilities"]["drop"].arrayValue.contains("ALL") }
        var details: [String] = []
        if !bad.isEmpty {
            details.append("\(Self.counted("container", bad)) must set securityContext.capabilities.drop=[\"ALL\"]")
        }
        if let added = addedCapabilities(beyond: ["NET_BIND_SERVICE"]) { details.append(added) }
        guard !details.isEmpty else { return nil }
        return Violation(reason: "unrestricted capabilities", detail: details.joined(separator: "; "))
    }

    private static let coreVolumes: Set = [
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
    ]

    func restrictedVolumes() -> Violation? {
        var bad: [String] = []
        var types: Set<String> = []
        for volume in spec["volumes"].arrayValue {
            let sources = (volume.objectValue ?? [:]).map(\.key).filter { $0 != "name" }
            guard !sources.contains(where: Self.coreVolumes.contains) else { continue }
            bad.append(volume["name"].stringValue ?? "")
            types.formUnion(sources.isEmpty ? ["unknown"] : sources)
        }
        guard !bad.isEmpty else { return nil }
        return Violation(
            reason: "restricted volume types",
            detail: "\(Self.counted("volume", bad)) \(bad.count == 1 ? "uses" : "use") "
                + Self.counted("restricted volume type", types.sorted()))
    }

    func runAsNonRoot(_ level: PodSecurityLevel) -> Violation? {
        if level.isAtLeast(35), hasUserNamespace { return nil }
        let pod = context["runAsNonRoot"].boolValue
        let explicit = names { $0["securityContext"]["runAsNonRoot"].boolValue == false }
        if pod == false || !explicit.isEmpty {
            return Violation(
                reason: "runAsNonRoot != true",
                detail: "\(Self.setters(pod: pod == false, explicit)) must not set securityContext.runAsNonRoot=false")
        }
        let silent = pod == true ? [] : names { $0["securityContext"]["runAsNonRoot"].boolValue == nil }
        guard !silent.isEmpty else { return nil }
        return Violation(
            reason: "runAsNonRoot != true",
            detail: "\(Self.setters(pod: true, silent, and: "or")) must set securityContext.runAsNonRoot=true")
    }

    func runAsUser(_ level: PodSecurityLevel) -> Violation? {
        if level.isAtLeast(35), hasUserNamespace { return nil }
        let isPodBad = context["runAsUser"].integerValue == 0
        let bad = names { $0["securityContext"]["runAsUser"].integerValue == 0 }
        guard isPodBad || !bad.isEmpty else { return nil }
        return Violation(
            reason: "runAsUser=0", detail: "\(Self.setters(pod: isPodBad, bad)) must not set runAsUser=0")
    }

    func missingSeccompProfile(_ level: PodSecurityLevel) -> Violation? {
        if level.isAtLeast(25), isWindows { return nil }
        if let bad = badSeccompProfile() { return bad }
        guard context["seccompProfile"].isNull else { return nil }
        let silent = names { $0["securityContext"]["seccompProfile"].isNull }
        guard !silent.isEmpty else { return nil }
        return Violation(
            reason: "seccompProfile",
            detail: "\(Self.setters(pod: true, silent, and: "or")) must set securityContext.seccompProfile.type to "
                + "\"RuntimeDefault\" or \"Localhost\"")
    }
}
