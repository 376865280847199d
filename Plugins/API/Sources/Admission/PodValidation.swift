import Objects

/// Rules of meaning of a pod's specification. Pure.
enum PodValidation {
    typealias Cause = APIStatus.Cause

    static func check(_ spec: JSON, at path: String, isTemplate: Bool = false) -> [Cause] {
        var causes: [Cause] = []
        let containers = spec["containers"].arrayValue
        if containers.isEmpty { causes.append(.required("\(path).containers")) }
        var names: Set<String> = []
        var volumes: Set<String> = []
        for (index, volume) in spec["volumes"].arrayValue.enumerated() {
            let name = volume["name"].stringValue ?? ""
            for problem in NameChecks.dns1123Label(name) {
                causes.append(.invalid("\(path).volumes[\(index)].name", .string(name), problem))
            }
            if !volumes.insert(name).inserted { causes.append(.duplicate("\(path).volumes[\(index)].name", .string(name))) }
        }
        for list in ["initContainers", "containers"] {
            for (index, container) in spec[list].arrayValue.enumerated() {
                causes += check(container, at: "\(path).\(list)[\(index)]", &names, volumes)
            }
        }
        if let grace = spec["terminationGracePeriodSeconds"].integerValue, grace < 0 {
            causes.append(
                .invalid("\(path).terminationGracePeriodSeconds", .integer(grace), "must be greater than or equal to 0"))
        }
        if let deadline = spec["activeDeadlineSeconds"].integerValue, deadline < 1 {
            causes.append(.invalid("\(path).activeDeadlineSeconds", .integer(deadline), "must be greater than 0"))
        }
        causes += Validation.labels(spec["nodeSelector"], "\(path).nodeSelector")
        return causes
    }

    private static func check(
        _ container: JSON, at path: String, _ names: inout Set<String>, _ volumes: Set<String>
    ) -> [Cause] {
        var causes: [Cause] = []
        let name = container["name"].stringValue ?? ""
        if name.isEmpty {
            causes.append(.required("\(path).name"))
        } else {
            for problem in NameChecks.dns1123Label(name) {
                causes.append(.invalid("\(path).name", .string(name), problem))
            }
            if !names.insert(name).inserted { causes.append(.duplicate("\(path).name", .string(name))) }
        }
        let image = container["image"].stringValue ?? ""
        if image.isEmpty { causes.append(.required("\(path).image")) }
        if image.first?.isWhitespace == true || image.last?.isWhitespace == true {
            causes.append(.invalid("\(path).image", .string(image), "must not have leading or trailing whitespace"))
        }
        var places: Set<String> = []
        for (index, mount) in container["volumeMounts"].arrayValue.enumerated() {
            let volume = mount["name"].stringValue ?? ""
            if !volumes.contains(volume) {
                causes.append(.notFound("\(path).volumeMounts[\(index)].name", .string(volume)))
            }
            let place = mount["mountPath"].stringValue ?? ""
            if place.isEmpty { causes.append(.required("\(path).volumeMounts[\(index)].mountPath")) }
            if !places.insert(place).inserted {
                causes.append(
                    .invalid("\(path).volumeMounts[\(index)].mountPath", .string(place), "must be unique"))
            }
        }
        causes += resources(container["resources"], at: "\(path).resources")
        for (index, port) in container["ports"].arrayValue.enumerated() {
            guard let number = port["containerPort"].integerValue, (1...65535).contains(number) else {
                causes.append(
                    .invalid(
                        "\(path).ports[\(index)].containerPort", port["containerPort"],
                        "must be between 1 and 65535, inclusive"))
                continue
            }
        }
        return causes
    }

    private static func resources(_ resources: JSON, at path: String) -> [Cause] {
        var causes: [Cause] = []
        var parsed: [String: Quantity] = [:]
        for list in ["limits", "requests"] {
            for (name, value) in resources[list].objectValue ?? [:] {
                do {
                    let quantity = try Quantity(value)
                    if quantity.isNegative {
                        causes.append(.invalid("\(path).\(list)[\(name)]", value, "must be greater than or equal to 0"))
                    }
                    if list == "limits" {
                        parsed[name] = quantity
                    } else if let limit = parsed[name], limit < quantity {
                        causes.append(
                            .invalid(
                                "\(path).requests", value,
                                "must be less than or equal to \(name) limit of \(limit)"))
                    }
                } catch {
                    causes.append(.invalid("\(path).\(list)[\(name)]", value, "\(error)"))
                }
            }
        }
        return causes
    }

    /// A running pod's specification is settled but for few fields.
    static func immutable(_ spec: JSON, _ before: JSON) -> [Cause] {
        guard fixed(spec, before) != fixed(before, before) else {
            let was = before["tolerations"].arrayValue
            let now = spec["tolerations"].arrayValue
            guard was.allSatisfy(now.contains) else {
                return [.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]
            }
            return []
        }
        return [
            .forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
                    + "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
                    + "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")
        ]
    }

    private static func fixed(_ spec: JSON, _ before: JSON) -> JSON {
        var spec = spec
        for key in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"] {
            spec.removeValue(forKey: key)
        }
        if !before["schedulingGates"].arrayValue.isEmpty {
            for key in ["schedulingGates", "nodeSelector", "affinity"] { spec.removeValue(forKey: key) }
        }
        for list in ["containers", "initContainers"] {
            spec[list].updateElements { (_, container: inout JSON) throws(Never) in container.removeValue(forKey: "image") }
        }
        return spec
    }
}
