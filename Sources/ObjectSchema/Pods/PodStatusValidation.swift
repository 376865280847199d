import Objects

/// Rules of the status of pods, which nodes write.
enum PodStatusValidation {
    private static let ownConditions: Set = ["PodScheduled", "Ready", "Initialized"]

    static func errors(from old: JSON, to new: JSON) -> [FieldError] {
        let (before, after) = (old["status"], new["status"])
        var errors = PodAnnotationValidation.update(from: old, to: new)
        PodAnnotationValidation.annotations(of: new, new["spec"], at: "metadata.annotations", &errors)
        // Kubernetes places conditions in the metadata.
        for (index, condition) in after["conditions"].arrayValue.enumerated() {
            let type = condition["type"].stringValue ?? ""
            if ownConditions.contains(type) { continue }
            errors += NameChecks.qualifiedName(type).map {
                .invalid("metadata.conditions[\(index)].Type", .string(type), $0)
            }
        }
        if after["nominatedNodeName"] != before["nominatedNodeName"],
            let name = after["nominatedNodeName"].stringValue, !name.isEmpty
        {
            errors += NameChecks.dns1123Subdomain(name).map {
                .invalid("status.nominatedNodeName", .string(name), $0)
            }
        }
        if after["qosClass"] != before["qosClass"], before["qosClass"].exists {
            errors.append(.invalid("status.qosClass", after["qosClass"], "field is immutable"))
        }
        restarts(old, new, &errors)
        claims(new, &errors)
        addresses(after["podIPs"], at: "status.podIPs", &errors)
        let hosts = after["hostIPs"]
        if hosts.count > 0, hosts[0]["ip"] != after["hostIP"] {
            errors.append(.invalid("status.hostIPs[0].ip", hosts[0]["ip"], "must be equal to `hostIP`"))
        }
        addresses(hosts, at: "status.hostIPs", &errors)
        users(new, &errors)
        return errors
    }

    // MARK: - Restarts

    /// What has ended and is not to be started again stays ended.
    private static func restarts(_ old: JSON, _ new: JSON, _ errors: inout [FieldError]) {
        let spec = old["spec"]
        for (list, statuses) in [
            ("containers", "containerStatuses"), ("initContainers", "initContainerStatuses"),
            ("ephemeralContainers", "ephemeralContainerStatuses"),
        ] {
            let policy = list == "ephemeralContainers" ? "Never" : spec["restartPolicy"].stringValue ?? "Always"
            if policy == "Always" { continue }
            for (index, status) in old["status"][statuses].arrayValue.enumerated() {
                let ended = status["state"]["terminated"]
                guard ended.exists, policy != "OnFailure" || ended["exitCode"] == 0,
                    !hasOwnPolicy(spec, list, status["name"])
                else { continue }
                let present = new["status"][statuses].arrayValue.first { $0["name"] == status["name"] }
                if let present, present["state"]["terminated"].isNull {
                    errors.append(
                        .forbidden(
                            "status.\(statuses)[\(index)].state", "may not be transitioned to non-terminated state"))
                }
            }
        }
    }

    /// Whether the pod's policy does not say all: a container has one of its own, or some have rules that start all of them.
    private static func hasOwnPolicy(_ spec: JSON, _ list: String, _ name: JSON) -> Bool {
        if spec[list].arrayValue.contains(where: { $0["name"] == name && !$0["restartPolicy"].isEmpty }) { return true }
        return ["containers", "initContainers"].contains { list in
            spec[list].arrayValue.contains { !$0["restartPolicyRules"].isEmpty }
        }
    }

    // MARK: - What it has

    private static func claims(_ pod: JSON, _ errors: inout [FieldError]) {
        var seen: Set<String> = []
        for (index, status) in pod["status"]["resourceClaimStatuses"].arrayValue.enumerated() {
            let name = status["name"].stringValue ?? ""
            let place = "status.resourceClaimStatuses[\(index)].name"
            if !pod["spec"]["resourceClaims"].arrayValue.contains(where: { $0["name"].stringValue == name }) {
                errors.append(
                    .invalid(
                        place, .string(name), "must match the name of an entry in `spec.resourceClaims`"))
            }
            if !seen.insert(name).inserted { errors.append(.duplicate(place, .string(name))) }
            if let claim = status["resourceClaimName"].stringValue {
                errors += NameChecks.dns1123Subdomain(claim).map { .invalid(place, .string(claim), $0) }
            }
        }
    }

    /// One of each family.
    private static func addresses(
        _ list: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let addresses = list.arrayValue.map { $0["ip"].stringValue ?? "" }
        for (index, address) in addresses.enumerated() {
            errors += IPSyntax.addressComplaints(address).map {
                .invalid("\(place())[\(index)]", .string(address), $0)
            }
        }
        let areAddresses = addresses.allSatisfy(IPSyntax.isAddress)
        guard addresses.count > 1 else { return }
        if !areAddresses || addresses.count > 2 || Set(addresses.map { $0.contains(":") }).count != 2 {
            errors.append(.invalid(place(), list, "may specify no more than one IP for each IP family"))
        }
        for (index, address) in addresses.enumerated() where addresses[..<index].contains(address) {
            errors.append(.duplicate("\(place())[\(index)]", list[index]))
        }
    }

    private static let lastIdentity = Int64(Int32.max)

    private static func users(_ pod: JSON, _ errors: inout [FieldError]) {
        let isWindows = pod["spec"]["os"]["name"] == "windows"
        for list in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
            for (index, status) in pod["status"][list].arrayValue.enumerated() {
                let user = status["user"]["linux"]
                guard user.exists else { continue }
                func check(_ number: JSON, _ field: String) {
                    guard let value = number.integerValue, !(0...lastIdentity).contains(value) else { return }
                    errors.append(
                        .invalid(
                            "status.\(list)[\(index)].linux.\(field)", number,
                            "must be between 0 and \(lastIdentity), inclusive"))
                }
                if isWindows {
                    errors.append(
                        .forbidden("status.\(list)[\(index)].linux", "cannot be set for a windows pod"))
                    continue
                }
                check(user["uid"], "uid")
                check(user["gid"], "gid")
                for (position, group) in user["supplementalGroups"].arrayValue.enumerated() {
                    check(group, "supplementalGroups[\(position)]")
                }
            }
        }
    }
}
