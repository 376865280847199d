import Objects

/// The rules of ResourceSlices: the devices that a driver offers, and where they are. Places are relative to the `spec`.
/// See https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-slice-v1/.
enum ResourceSliceValidation {
    private static let places = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"]

    static func slice(_ spec: JSON, _ errors: inout [FieldError]) {
        errors += DeviceNames.driver(spec["driver"], "driver")
        check(pool: spec["pool"], &errors)
        let set = set(spec, places, "", &errors)
        let list = places.map { "`\($0)`" }.joined(separator: ", ")
        if set.isEmpty {
            errors.append(.required("", "exactly one of \(list) is required"))
        } else if set.count > 1 {
            errors.append(
                .invalid(
                    "", .string("{\(set.joined(separator: ", "))}"),
                    "exactly one of \(list) is required, but multiple fields are set"))
        }
        if spec["nodeSelector"].exists, spec["nodeSelector"]["nodeSelectorTerms"].count != 1 {
            errors.append(
                .invalid(
                    "nodeSelector.nodeSelectorTerms", spec["nodeSelector"]["nodeSelectorTerms"],
                    "must have exactly one node selector term"))
        }
        if spec["sharedCounters"].exists, spec["devices"].exists {
            errors.append(.invalid("", "", "only one of `sharedCounters` or `devices` is allowed"))
        }
        check(devices: spec["devices"], isPlacedEach: spec["perDeviceNodeSelection"].boolValue == true, &errors)
        check(counterSets: spec["sharedCounters"], &errors)
    }

    private static func check(pool: JSON, _ errors: inout [FieldError]) {
        errors += DeviceNames.pool(pool["name"], "pool.name")
        let count = pool["resourceSliceCount"].integerValue ?? 0
        if count <= 0 {
            errors.append(.invalid("pool.resourceSliceCount", .integer(count), "must be greater than zero"))
        }
        if let generation = pool["generation"].integerValue, generation < 0 {
            errors.append(.invalid("pool.generation", .integer(generation), "must be greater than or equal to zero"))
        }
    }

    /// Which of the ways to say where devices are is used, in backticks; what is said wrongly is noted.
    private static func set(
        _ object: JSON, _ ways: [String], _ place: String, _ errors: inout [FieldError]
    ) -> [String] {
        let prefix = place.isEmpty ? "" : place + "."
        var used: [String] = []
        for way in ways where object[way].exists {
            switch object[way] {
            case .string(let name) where name.isEmpty:
                let text = place.isEmpty ? "must be either unset or set to a non-empty string" : "must not be empty"
                errors.append(.invalid(prefix + way, object[way], text))
                continue
            case .string(let name):
                errors += NameChecks.dns1123Subdomain(name).map { .invalid(prefix + way, .string(name), $0) }
            case .bool(false):
                errors.append(.invalid(prefix + way, false, "must be either unset or set to true"))
                continue
            default: break
            }
            used.append("`\(way)`")
        }
        return used
    }

    private static func check(counterSets: JSON, _ errors: inout [FieldError]) {
        guard DeviceClaimValidation.isWithin(counterSets, 8, "sharedCounters", &errors) else { return }
        for (index, set) in counterSets.arrayValue.enumerated() {
            check(counters: set, named: "name", "sharedCounters[\(index)]", &errors)
        }
        DeviceClaimValidation.repeated(counterSets.arrayValue.map { $0["name"] }, "sharedCounters", &errors)
    }

    /// A set of counters, or what is taken of one: its name and the counters.
    private static func check(
        counters set: JSON, named field: String, _ place: String, _ errors: inout [FieldError]
    ) {
        errors +=
            set[field].isEmpty
            ? [.required("\(place).\(field)")] : DeviceNames.label(set[field], "\(place).\(field)")
        let counters = set["counters"]
        if counters.isEmpty { errors.append(.required("\(place).counters")) }
        guard DeviceClaimValidation.isWithin(counters, 32, "\(place).counters", &errors) else { return }
        for (name, _) in counters.objectValue ?? [:] {
            errors += DeviceNames.label(.string(name), "\(place).counters")
        }
    }

    // MARK: - Devices

    private static func check(devices: JSON, isPlacedEach: Bool, _ errors: inout [FieldError]) {
        let isAdvanced = devices.arrayValue.contains { device in
            !device["taints"].isEmpty || !device["consumesCounters"].isEmpty
                || (device["attributes"].objectValue ?? [:]).contains { attribute in
                    lists.contains { attribute.value[$0].exists }
                }
        }
        guard DeviceClaimValidation.isWithin(devices, isAdvanced ? 64 : 128, "devices", &errors) else { return }
        for (index, device) in devices.arrayValue.enumerated() {
            let place = "devices[\(index)]"
            errors += DeviceNames.label(device["name"], "\(place).name")
            check(attributesOf: device, place, &errors)
            DeviceCapacityValidation.check(device, place, &errors)
            check(taints: device["taints"], "\(place).taints", &errors)
            let taken = device["consumesCounters"]
            if DeviceClaimValidation.isWithin(taken, 2, "\(place).consumesCounters", &errors) {
                for (index, set) in taken.arrayValue.enumerated() {
                    check(counters: set, named: "counterSet", "\(place).consumesCounters[\(index)]", &errors)
                }
                DeviceClaimValidation.repeated(
                    taken.arrayValue.map { $0["counterSet"] }, "\(place).consumesCounters", &errors)
            }
            check(placeOf: device, place, isPlacedEach: isPlacedEach, &errors)
            check(conditionsOf: device, place, &errors)
        }
        DeviceClaimValidation.repeated(devices.arrayValue.map { $0["name"] }, "devices", &errors)
    }

    private static func check(
        placeOf device: JSON, _ place: String, isPlacedEach: Bool, _ errors: inout [FieldError]
    ) {
        let ways = ["nodeName", "nodeSelector", "allNodes"]
        guard isPlacedEach else {
            if ways.contains(where: { device[$0].exists }) {
                errors.append(
                    .invalid(
                        place, .null,
                        "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
                    ))
            }
            return
        }
        let set = set(device, ways, place, &errors)
        let text =
            "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
        if set.isEmpty {
            errors.append(.required(place, text))
        } else if set.count > 1 {
            errors.append(.invalid(place, .string("{\(set.joined(separator: ", "))}"), text))
        }
    }

    private static let scalars = ["bool", "int", "string", "version"]
    private static let lists = ["bools", "ints", "strings", "versions"]

    private static func check(attributesOf device: JSON, _ place: String, _ errors: inout [FieldError]) {
        let attributes = device["attributes"].objectValue ?? [:]
        let count = attributes.count + device["capacity"].count
        if count > 32 {
            errors.append(
                .invalid(
                    place, JSON(count), "the total number of attributes and capacities must not exceed 32"))
        }
        let values = attributes.reduce(0) { sum, attribute in
            sum + max(1, lists.reduce(0) { $0 + attribute.value[$1].count })
        }
        if values > 48 {
            errors.append(.invalid(place, JSON(values), "the total number of attribute values must not exceed 48"))
        }
        for (name, attribute) in attributes {
            errors += DeviceNames.qualified(name, "\(place).attributes")
            check(attribute: attribute, "\(place).attributes[\(DeviceNames.shortened(name))]", &errors)
        }
    }

    private static func check(attribute: JSON, _ place: String, _ errors: inout [FieldError]) {
        for (index, (scalar, list)) in zip(scalars, lists).enumerated() {
            if attribute[list].exists, attribute[list].isEmpty {
                errors.append(.invalid("\(place).\(list)", attribute[list], "must not be empty if specified"))
            }
            // Only texts can be wrong in themselves.
            guard index >= 2 else { continue }
            if attribute[scalar].exists {
                errors += text(attribute[scalar], "\(place).\(scalar)", isVersion: scalar == "version")
            }
            for (index, value) in attribute[list].arrayValue.enumerated() {
                errors += text(value, "\(place).\(list)[\(index)]", isVersion: list == "versions")
            }
        }
        let given = (scalars + lists).count { attribute[$0].exists }
        if given != 1 {
            errors.append(.invalid(place, given == 0 ? "" : attribute, "exactly one value must be specified"))
        }
    }

    private static func text(_ value: JSON, _ place: String, isVersion: Bool) -> [FieldError] {
        if isVersion { return DeviceNames.version(value, place) }
        return (value.stringValue ?? "").utf8.count > 64 ? [.tooLong(place, limit: 64)] : []
    }

    private static func check(taints: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard DeviceClaimValidation.isWithin(taints, 16, place, &errors) else { return }
        for (index, taint) in taints.arrayValue.enumerated() {
            let place = "\(place)[\(index)]"
            errors += DeviceNames.labelName(taint["key"], "\(place).key")
            if !taint["value"].isEmpty { errors += DeviceNames.labelValue(taint["value"], "\(place).value") }
            let effect = taint["effect"].stringValue ?? ""
            if effect.isEmpty {
                errors.append(.required("\(place).effect"))
            } else if !DeviceClaimValidation.taintEffects.contains(effect) {
                errors.append(
                    .notSupported("\(place).effect", taint["effect"], DeviceClaimValidation.taintEffects))
            }
        }
    }

    /// Conditions that a pod waits for before it is bound to the device's node, and those upon which it does not wait longer.
    static func check(conditionsOf device: JSON, _ place: String, _ errors: inout [FieldError]) {
        let (good, bad) = ("bindingConditions", "bindingFailureConditions")
        for field in [good, bad] {
            guard DeviceClaimValidation.isWithin(device[field], 4, "\(place).\(field)", &errors) else { continue }
            for (index, name) in device[field].arrayValue.enumerated() {
                errors += DeviceNames.labelName(name, "\(place).\(field)[\(index)]")
            }
            DeviceClaimValidation.repeated(device[field].arrayValue, "\(place).\(field)", &errors)
        }
        let known = device[good].arrayValue
        for (index, name) in device[bad].arrayValue.enumerated() where known.contains(name) {
            errors.append(
                .invalid(
                    "\(place).\(bad)[\(index)]", name, "\(bad) must not overlap with \(good)"))
        }
        for (field, other) in [(good, bad), (bad, good)] where device[field].isEmpty && !device[other].isEmpty {
            errors.append(.invalid("\(place).\(field)", device[field], "\(field) are required to use \(other)"))
        }
    }
}
