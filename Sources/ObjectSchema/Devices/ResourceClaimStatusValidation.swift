import Objects

/// The rules of a claim's status: what it was given, who has reserved it, and what drivers say of its devices.
/// See https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-claim-v1/#ResourceClaimStatus.
enum ResourceClaimStatusValidation {
    static func errors(in claim: JSON, from old: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        let (status, before) = (claim["status"], old["status"])
        check(reservations: status, before, isDeleted: claim.deletionTimestamp != nil, &errors)
        check(devices: status, &errors)
        guard status["allocation"].exists else { return errors }
        if before["allocation"].exists {
            if before["allocation"] != status["allocation"] {
                errors.append(.invalid("status.allocation", status["allocation"], "field is immutable"))
            }
        } else {
            check(allocation: status["allocation"]["devices"], RequestNames(claim["spec"]["devices"]), &errors)
            let selector = status["allocation"]["nodeSelector"]
            if selector.exists {
                var faults: [FieldError] = []
                PlacementValidation.nodeSelector(selector, &faults)
                errors += faults.map { $0.moved(below: FieldPath(text: "status.allocation.nodeSelector")) }
            }
        }
        return errors
    }

    private static func check(
        reservations status: JSON, _ before: JSON, isDeleted: Bool, _ errors: inout [FieldError]
    ) {
        let (place, reserved) = ("status.reservedFor", status["reservedFor"])
        guard DeviceClaimValidation.isWithin(reserved, 256, place, &errors) else { return }
        for (index, consumer) in reserved.arrayValue.enumerated() {
            for field in ["resource", "name", "uid"] where consumer[field].isEmpty {
                errors.append(.required("\(place)[\(index)].\(field)"))
            }
        }
        DeviceClaimValidation.repeated(reserved.arrayValue.map { $0["uid"] }, place, &errors)
        guard !reserved.isEmpty else { return }
        if !status["allocation"].exists {
            errors.append(.forbidden(place, "may not be specified when `allocated` is not set"))
        } else if isDeleted {
            let known = before["reservedFor"].arrayValue
            if reserved.arrayValue.contains(where: { !known.contains($0) }) {
                errors.append(
                    .forbidden(
                        place,
                        "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"))
            }
        }
    }

    // MARK: - Allocation

    private static func check(allocation: JSON, _ names: RequestNames, _ errors: inout [FieldError]) {
        let place = "status.allocation.devices"
        if DeviceClaimValidation.isWithin(allocation["results"], 32, "\(place).results", &errors) {
            for (index, result) in allocation["results"].arrayValue.enumerated() {
                let place = "\(place).results[\(index)]"
                errors += names.errors(of: result["request"], "\(place).request")
                check(deviceOf: result, place, &errors)
                ResourceSliceValidation.check(conditionsOf: result, place, &errors)
                DeviceClaimValidation.check(tolerations: result["tolerations"], "\(place).tolerations", &errors)
            }
        }
        guard DeviceClaimValidation.isWithin(allocation["config"], 64, "\(place).config", &errors) else { return }
        for (index, config) in allocation["config"].arrayValue.enumerated() {
            let place = "\(place).config[\(index)]"
            let source = config["source"].stringValue ?? ""
            if source.isEmpty {
                errors.append(.required("\(place).source"))
            } else if source != "FromClaim", source != "FromClass" {
                errors.append(.notSupported("\(place).source", config["source"], ["FromClaim", "FromClass"]))
            }
            DeviceClaimValidation.check(references: config["requests"], "\(place).requests", names, &errors)
            DeviceClaimValidation.check(configuration: config, place, &errors)
        }
    }

    private static func check(deviceOf value: JSON, _ place: String, _ errors: inout [FieldError]) {
        errors += DeviceNames.driver(value["driver"], "\(place).driver")
        errors += DeviceNames.pool(value["pool"], "\(place).pool")
        errors += DeviceNames.label(value["device"], "\(place).device")
        if let share = value["shareID"].stringValue, !isUID(share) {
            errors.append(.invalid("\(place).shareID", value["shareID"], malformation(ofUID: share)))
        }
    }

    /// In the words of those who read UIDs in all their forms, of which one will do here.
    private static func malformation(ofUID text: String) -> String {
        let normal =
            "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
        let isUpper = text.utf8.count == 36 && isUID(text.lowercased())
        let bare = text.utf8.count == 32 && text.utf8.allSatisfy { $0 &- 0x30 < 10 || ($0 | 0x20) &- 0x61 < 6 }
        if isUpper || bare { return normal }
        let why = text.utf8.count == 36 ? "invalid UUID format" : "invalid UUID length: \(text.utf8.count)"
        return "error validating uid: \(why)"
    }

    private static func isUID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && parts.allSatisfy { $0.utf8.allSatisfy { $0 &- 0x30 < 10 || $0 &- 0x61 < 6 } }
    }

    // MARK: - What drivers say

    /// A device by driver, pool and name, and by its share where it has several.
    private static func key(_ value: JSON) -> JSON {
        .array(["driver", "pool", "device", "shareID"].map { value[$0] })
    }

    private static func check(devices status: JSON, _ errors: inout [FieldError]) {
        let given = Set(status["allocation"]["devices"]["results"].arrayValue.map(key))
        for (index, device) in status["devices"].arrayValue.enumerated() {
            let place = "status.devices[\(index)]"
            check(deviceOf: device, place, &errors)
            if !given.contains(key(device)) {
                let parts = ["driver", "pool", "device", "shareID"].compactMap { device[$0].stringValue }
                errors.append(
                    .invalid(
                        place, .string(parts.joined(separator: "/")), "must be an allocated device in the claim"))
            }
            _ = DeviceClaimValidation.isWithin(device["conditions"], 8, "\(place).conditions", &errors)
            check(conditions: device["conditions"], "\(place).conditions", &errors)
            if device["data"].exists { errors += DeviceNames.parameters(device["data"], "\(place).data") }
            check(network: device["networkData"], "\(place).networkData", &errors)
        }
        DeviceClaimValidation.repeated(status["devices"].arrayValue.map(key), "status.devices", &errors)
    }

    private static func check(network: JSON, _ place: String, _ errors: inout [FieldError]) {
        for (field, limit) in [("interfaceName", 256), ("hardwareAddress", 128)]
        where (network[field].stringValue ?? "").utf8.count > limit {
            errors.append(.tooLong("\(place).\(field)", limit: limit))
        }
        guard DeviceClaimValidation.isWithin(network["ips"], 16, "\(place).ips", &errors) else { return }
        for (index, address) in network["ips"].arrayValue.enumerated() {
            guard let complaint = IPSyntax.interfaceComplaint(address.stringValue ?? "") else { continue }
            errors.append(.invalid("\(place).ips[\(index)]", address, complaint))
        }
        DeviceClaimValidation.repeated(network["ips"].arrayValue, "\(place).ips", &errors)
    }

    private static func check(conditions: JSON, _ place: String, _ errors: inout [FieldError]) {
        var types: Set<JSON> = []
        for (index, condition) in conditions.arrayValue.enumerated() {
            let place = "\(place)[\(index)]"
            if !types.insert(condition["type"]).inserted {
                errors.append(.duplicate("\(place).type", condition["type"]))
            }
            errors += DeviceNames.labelName(condition["type"], "\(place).type")
            let states = ["False", "True", "Unknown"]
            if !states.contains(condition["status"].stringValue ?? "") {
                errors.append(
                    .notSupported("\(place).status", .string(condition["status"].stringValue ?? ""), states))
            }
            let generation = condition["observedGeneration"]
            if generation.integerValue ?? 0 < 0 {
                errors.append(
                    .invalid("\(place).observedGeneration", generation, "must be greater than or equal to zero"))
            }
            if condition["lastTransitionTime"].isEmpty {
                errors.append(.required("\(place).lastTransitionTime", "must be set"))
            }
            let reason = condition["reason"].stringValue ?? ""
            if reason.isEmpty {
                errors.append(.required("\(place).reason", "must be set"))
            } else {
                errors += NameChecks.conditionReason(reason).map {
                    .invalid("\(place).reason", .string(reason), $0)
                }
            }
            for (field, limit) in [("reason", 1024), ("message", 32_768)]
            where (condition[field].stringValue ?? "").utf8.count > limit {
                errors.append(.tooLong("\(place).\(field)", limit: limit))
            }
        }
    }
}
