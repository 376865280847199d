import Objects

/// Rules of the kinds of `storage.k8s.io` that relate several fields.
/// See https://kubernetes.io/docs/concepts/storage/.
enum StorageKindsValidation {
    private static let longestDriver = 63
    private static let longestNodeID = 192
    private static let shortestToken: Int64 = 600
    private static let longestToken: Int64 = 1 << 32

    // MARK: - StorageClasses

    static func storageClass(_ object: JSON, _ errors: inout [FieldError]) {
        var seen: Set<JSON> = []
        for (index, term) in object["allowedTopologies"].arrayValue.enumerated() {
            let place = "allowedTopologies[\(index)].matchLabelExpressions"
            var places: JSONObject = [:]
            for (position, expression) in term["matchLabelExpressions"].arrayValue.enumerated() {
                let key = expression["key"].stringValue ?? ""
                if places.contains(key) {
                    errors.append(.duplicate("\(place)[\(position)].key", .string(key)))
                }
                check(expression, key, "\(place)[\(position)]", &errors)
                let values = expression["values"].arrayValue.compactMap(\.stringValue)
                places[key] = JSON(values.sorted { $0.precedesByBytes($1) })
            }
            let sorted = places.keys.sorted { $0.precedesByBytes($1) }.map { ($0, places[$0] ?? .null) }
            if places.isEmpty || !seen.insert(.object(JSONObject(sorted))).inserted {
                errors.append(.duplicate(place, ""))
            }
        }
    }

    private static func check(_ expression: JSON, _ key: String, _ place: String, _ errors: inout [FieldError]) {
        let values = expression["values"].arrayValue
        if values.isEmpty { errors.append(.required("\(place).values")) }
        for (index, value) in values.enumerated() where values[..<index].contains(value) {
            errors.append(.duplicate("\(place).values[\(index)]", value))
        }
        errors += NameChecks.qualifiedName(key).map { .invalid("\(place).key", .string(key), $0) }
    }

    // MARK: - Attachments and drivers

    static func attachment(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let source = spec["source"]
        let (volume, inline) = (source["persistentVolumeName"], source["inlineVolumeSpec"])
        let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        switch (volume.exists, inline.exists) {
        case (false, false): errors.append(.required("\(place).source", detail))
        case (true, true): errors.append(.forbidden("\(place).source", detail))
        case (true, false):
            let path = "\(place).source.persistentVolumeName"
            if volume.isEmpty { errors.append(.required(path, "must specify non empty persistentVolumeName")) }
            errors += NameChecks.dns1123Subdomain(volume.stringValue ?? "").map { .invalid(path, volume, $0) }
        case (false, true): break
        }
        let node = spec["nodeName"].stringValue ?? ""
        errors += NameChecks.dns1123Subdomain(node).map { .invalid("\(place).nodeName", .string(node), $0) }
        if !spec["attacher"].isEmpty { check(driver: spec["attacher"], "\(place).attacher", &errors) }
    }

    private static func check(driver: JSON, _ place: String, _ errors: inout [FieldError]) {
        let name = driver.stringValue ?? ""
        if name.isEmpty { errors.append(.required(place)) }
        if name.utf8.count > longestDriver { errors.append(.tooLong(place, limit: longestDriver)) }
        errors += NameChecks.dns1123Subdomain(name.lowercased()).map { .invalid(place, .string(name), $0) }
    }

    static func driver(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        for mode in spec["volumeLifecycleModes"].arrayValue where mode != "Persistent" && mode != "Ephemeral" {
            errors.append(.notSupported("\(place).volumeLifecycleModes", mode, ["Persistent", "Ephemeral"]))
        }
        var seen: Set<String> = []
        for (index, token) in spec["tokenRequests"].arrayValue.enumerated() {
            let path = "\(place).tokenRequests[\(index)]"
            let audience = token["audience"].stringValue ?? ""
            guard seen.insert(audience).inserted else {
                errors.append(.duplicate("\(path).audience", .string(audience)))
                continue
            }
            guard let seconds = token["expirationSeconds"].integerValue else { continue }
            if seconds < shortestToken {
                errors.append(
                    .invalid(
                        "\(path).expirationSeconds", .integer(seconds),
                        "may not specify a duration less than 10 minutes"))
            }
            if seconds > longestToken {
                errors.append(
                    .invalid(
                        "\(path).expirationSeconds", .integer(seconds),
                        "may not specify a duration larger than 2^32 seconds"))
            }
        }
    }

    /// What says whether pods wait for volumes does not change: its place has had this name for long.
    static func driverUpdate(from old: JSON, to new: JSON) -> [FieldError] {
        let (before, after) = (old["spec"]["attachRequired"], new["spec"]["attachRequired"])
        return before == after ? [] : [.invalid("spec.attachedRequired", after, "field is immutable")]
    }

    // MARK: - Nodes and capacities

    static func nodeDrivers(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        var seen: Set<JSON> = []
        for (index, driver) in spec["drivers"].arrayValue.enumerated() {
            let path = "\(place).drivers[\(index)]"
            check(driver: driver["name"], "\(path).name", &errors)
            let id = driver["nodeID"].stringValue ?? ""
            if id.isEmpty { errors.append(.required("\(path).nodeID")) }
            if id.utf8.count > longestNodeID {
                errors.append(
                    .invalid("\(path).nodeID", .string(id), "must be \(longestNodeID) characters or less"))
            }
            if !seen.insert(driver["name"]).inserted { errors.append(.duplicate("\(path).name", driver["name"])) }
            let keys = driver["topologyKeys"].arrayValue
            for (position, key) in keys.enumerated() {
                if key.isEmpty { errors.append(.required(path)) }
                if keys[..<position].contains(key) { errors.append(.duplicate(path, key)) }
                errors += NameChecks.qualifiedName(key.stringValue ?? "").map { .invalid(path, key, $0) }
            }
        }
    }

    /// What a driver says of itself on a node stays, but for the number of volumes.
    static func nodeUpdate(from old: JSON, to new: JSON) -> [FieldError] {
        func fixed(_ driver: JSON) -> JSON {
            var driver = driver
            driver.removeValue(forKey: "allocatable")
            return driver
        }
        let known = old["spec"]["drivers"].arrayValue
        return new["spec"]["drivers"].arrayValue.compactMap { driver in
            guard let before = known.first(where: { $0["name"] == driver["name"] }), fixed(before) != fixed(driver)
            else { return nil }
            return .invalid("spec.drivers", fixed(driver), "field is immutable")
        }
    }

    static func capacity(_ object: JSON, _ errors: inout [FieldError]) {
        let name = object["storageClassName"].stringValue ?? ""
        errors += NameChecks.dns1123Subdomain(name).map { .invalid("storageClassName", .string(name), $0) }
    }
}
