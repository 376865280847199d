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
            errors.append(
                .invalid(
                    "\(place).shareID", value["shareID"],
                    "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
                ))
        }
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
        for (index, address) in network["ips"].arrayValue.enumerated()
        where !IPSyntax.isRange(address.stringValue ?? "") {
            errors.append(
                .invalid(
                    "\(place).ips[\(index)]", address,
                    "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"))
        }
        DeviceClaimValidation.repeated(network["ips"].arrayValue, "\(place).ips", &errors)
    }
}
