import Objects

/// Rules of the volumes and devices that a container has.
enum MountValidation {
    typealias Surroundings = ContainerValidation.Surroundings

    /// Some faults are told of without the number of the mount, as Kubernetes tells of them.
    static func mounts(
        _ container: JSON, _ pod: Surroundings, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let mounts = container["volumeMounts"].arrayValue
        let devices = container["volumeDevices"].arrayValue
        var paths: Set<String> = []
        for (index, mount) in mounts.enumerated() {
            func own(_ field: String) -> String { "\(place()).volumeMounts[\(index)].\(field)" }
            let name = mount["name"].stringValue ?? ""
            let path = mount["mountPath"].stringValue ?? ""
            if name.isEmpty { errors.append(.required(own("name"))) }
            if pod.volumes[name] == nil { errors.append(.notFound(own("name"), .string(name))) }
            if path.isEmpty { errors.append(.required(own("mountPath"))) }
            if !paths.insert(path).inserted {
                errors.append(.invalid(own("mountPath"), .string(path), "must be unique"))
            }
            if devices.contains(where: { $0["name"].stringValue == name }) {
                errors.append(.invalid(own("name"), .string(name), "must not already exist in volumeDevices"))
            }
            if devices.contains(where: { $0["devicePath"].stringValue == path }) {
                errors.append(
                    .invalid(own("mountPath"), .string(path), "must not already exist as a path in volumeDevices"))
            }
            let (subPath, expression) = (mount["subPath"].stringValue ?? "", mount["subPathExpr"].stringValue ?? "")
            PathChecks.descending(subPath, at: "\(place()).volumeMounts.subPath", &errors)
            if !expression.isEmpty, !subPath.isEmpty {
                errors.append(
                    .invalid(
                        own("subPathExpr"), .string(expression), "subPathExpr and subPath are mutually exclusive"))
            }
            PathChecks.descending(expression, at: "\(place()).volumeMounts.subPathExpr", &errors)
            kind(mount, container, at: "\(place()).volumeMounts", &errors)
        }
    }

    private static let propagations = ["Bidirectional", "HostToContainer", "None"]
    private static let recursions = ["Disabled", "Enabled", "IfPossible"]

    private static func kind(
        _ mount: JSON, _ container: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let propagation = mount["mountPropagation"].stringValue
        if let propagation {
            if !propagations.contains(propagation) {
                errors.append(
                    .notSupported("\(place()).mountPropagation", .string(propagation), propagations))
            }
            if propagation == "Bidirectional", container["securityContext"]["privileged"].boolValue != true {
                errors.append(
                    .forbidden(
                        "\(place()).mountPropagation",
                        "Bidirectional mount propagation is available only to privileged containers"))
            }
        }
        guard let recursion = mount["recursiveReadOnly"].stringValue, recursion != "Disabled" else { return }
        guard recursions.contains(recursion) else {
            return errors.append(.notSupported("\(place()).recursiveReadOnly", .string(recursion), recursions))
        }
        if mount["readOnly"].boolValue != true {
            errors.append(.forbidden("\(place()).recursiveReadOnly", "may only be specified when readOnly is true"))
        }
        if let propagation, propagation != "None" {
            errors.append(
                .forbidden(
                    "\(place()).recursiveReadOnly",
                    "may only be specified when mountPropagation is None or not specified"))
        }
    }

    static func devices(
        _ container: JSON, _ pod: Surroundings, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let mounts = container["volumeMounts"].arrayValue
        var (names, paths): (Set<String>, Set<String>) = ([], [])
        for (index, device) in container["volumeDevices"].arrayValue.enumerated() {
            let name = device["name"].stringValue ?? ""
            let path = device["devicePath"].stringValue ?? ""
            func refuse(_ field: String, _ detail: String) {
                errors.append(
                    .invalid(
                        "\(place()).volumeDevices[\(index)].\(field)", .string(field == "name" ? name : path), detail))
            }
            func lacks(_ field: String) { errors.append(.required("\(place()).volumeDevices[\(index)].\(field)")) }
            if name.isEmpty { lacks("name") }
            if names.contains(name) { refuse("name", "must be unique") }
            if let volume = pod.volumes[name] {
                if !volume["persistentVolumeClaim"].exists, !volume["ephemeral"].exists {
                    refuse(
                        "name",
                        "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
                }
            } else {
                errors.append(.notFound("\(place()).volumeDevices[\(index)].name", .string(name)))
            }
            if path.isEmpty { lacks("devicePath") }
            if paths.contains(path) { refuse("devicePath", "must be unique") }
            if PathChecks.hasBackstep(path) {
                refuse("devicePath", "can not contain backsteps ('..')")
            } else {
                paths.insert(path)
            }
            if mounts.contains(where: { $0["name"].stringValue == name }) {
                refuse("name", "must not already exist in volumeMounts")
            }
            if mounts.contains(where: { $0["mountPath"].stringValue == path }) {
                refuse("devicePath", "must not already exist as a path in volumeMounts")
            }
            if !name.isEmpty { names.insert(name) }
        }
    }
}

/// The rules of paths below a directory.
enum PathChecks {
    static func hasBackstep(_ path: String) -> Bool {
        path.utf8.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) }
    }

    /// A path that does not leave the directory.
    static func descending(_ path: String, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        if path.isEmpty { return }
        if path.hasPrefix("/") { errors.append(.invalid(place(), .string(path), "must be a relative path")) }
        if hasBackstep(path) { errors.append(.invalid(place(), .string(path), "must not contain '..'")) }
    }

    /// The same of a file in a volume that is written as a whole: names that begin with ".." are the volume's own.
    static func unreserved(_ path: String, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        descending(path, at: place(), &errors)
        if path.hasPrefix(".."), !path.hasPrefix("../") {
            errors.append(.invalid(place(), .string(path), "must not start with '..'"))
        }
    }
}
