import Objects

/// Rules of pods and their containers.
enum PodValidation {
    static func podSpec(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let volumes = Set(spec["volumes"].arrayValue.compactMap { $0["name"].stringValue })
        let claims = Set(spec["resourceClaims"].arrayValue.compactMap { $0["name"].stringValue })
        var names: Set<String> = []
        var hostPorts: Set<String> = []
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for (index, container) in spec[list].arrayValue.enumerated() {
                let place = "\(place).\(list)[\(index)]"
                if let name = container["name"].stringValue, !name.isEmpty, !names.insert(name).inserted {
                    errors.append(.duplicate("\(place).name", .string(name)))
                }
                for (position, mount) in container["volumeMounts"].arrayValue.enumerated() {
                    guard let name = mount["name"].stringValue, !name.isEmpty, !volumes.contains(name) else { continue }
                    errors.append(.notFound("\(place).volumeMounts[\(position)].name", .string(name)))
                }
                for (position, claim) in container["resources"]["claims"].arrayValue.enumerated() {
                    guard let name = claim["name"].stringValue, !name.isEmpty, !claims.contains(name) else { continue }
                    errors.append(.notFound("\(place).resources.claims[\(position)].name", .string(name)))
                }
                if list != "ephemeralContainers" { ContainerRestartValidation.check(container, place, &errors) }
                for (position, variable) in container["env"].arrayValue.enumerated() {
                    ProjectionValidation.file(
                        variable["valueFrom"]["fileKeyRef"], "\(place).env[\(position)].valueFrom.fileKeyRef",
                        volumes: spec["volumes"].arrayValue, &errors)
                }
                if list == "initContainers" { initContainer(container, place, &errors) }
                if list == "containers" { checkHostPorts(spec, container, place, &hostPorts, &errors) }
            }
        }
        PodLevelResources.check(spec, place, &errors)
        ownUsers(spec, place, &errors)
        if spec["dnsPolicy"] == "None", spec["dnsConfig"]["nameservers"].isEmpty {
            errors.append(
                .required(
                    "\(place).dnsConfig.nameservers",
                    "must provide at least one DNS nameserver when `dnsPolicy` is None"))
        }
    }

    /// A pod with users of its own shares nothing of the host with whom it does not share users.
    private static func ownUsers(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard spec["hostUsers"].boolValue == false else { return }
        // The fields are spelled as Kubernetes' messages spell them.
        for (field, name) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")]
        where spec[field].boolValue == true {
            errors.append(.forbidden("\(place).\(name)", "when `pod.Spec.HostUsers` is false"))
        }
    }

    /// A template may leave the image of a volume to others, a pod may not.
    static func imageVolumes(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        for (index, volume) in spec["volumes"].arrayValue.enumerated()
        where volume["image"].exists && volume["image"]["reference"].isEmpty {
            errors.append(.required("\(place).volumes[\(index)].image.reference"))
        }
    }

    /// Only an init container that keeps running may have probes and hooks.
    private static func initContainer(_ container: JSON, _ place: String, _ errors: inout [FieldError]) {
        if container["restartPolicy"].stringValue == "Always" { return }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] where container[field].exists {
            errors.append(
                .forbidden("\(place).\(field)", "may not be set for init containers without restartPolicy=Always"))
        }
    }

    private static func checkHostPorts(
        _ spec: JSON, _ container: JSON, _ place: String, _ seen: inout Set<String>, _ errors: inout [FieldError]
    ) {
        for (index, port) in container["ports"].arrayValue.enumerated() {
            guard let number = port["hostPort"].integerValue, number != 0 else { continue }
            if spec["hostNetwork"].boolValue == true, port["containerPort"] != port["hostPort"] {
                errors.append(
                    .invalid("\(place).ports[\(index)].containerPort", port["containerPort"], "must match `hostPort`"))
            }
            let key = "\(port["protocol"].stringValue ?? "TCP")/\(port["hostIP"].stringValue ?? "")/\(number)"
            if !seen.insert(key).inserted {
                errors.append(.duplicate("\(place).ports[\(index)].hostPort", .string(key)))
            }
        }
    }

    static func container(_ container: JSON, _ place: String, _ errors: inout [FieldError]) {
        var paths: Set<String> = []
        for (index, mount) in container["volumeMounts"].arrayValue.enumerated() {
            if let path = mount["mountPath"].stringValue, !path.isEmpty, !paths.insert(path).inserted {
                errors.append(.invalid("\(place).volumeMounts[\(index)].mountPath", .string(path), "must be unique"))
            }
            if mount["subPath"].isEmpty == false, mount["subPathExpr"].isEmpty == false {
                errors.append(
                    .invalid(
                        "\(place).volumeMounts[\(index)].subPathExpr", mount["subPathExpr"],
                        "subPathExpr and subPath are mutually exclusive"))
            }
            mountKind(mount, container, "\(place).volumeMounts[\(index)]", &errors)
        }
        for probe in ["livenessProbe", "startupProbe"] where container[probe].exists {
            let threshold = container[probe]["successThreshold"]
            if threshold.exists, threshold != 1, threshold != 0 {
                errors.append(.invalid("\(place).\(probe).successThreshold", threshold, "must be 1"))
            }
        }
        let security = container["securityContext"]
        if security["privileged"].boolValue == true, security["allowPrivilegeEscalation"].boolValue == false {
            errors.append(
                .invalid(
                    "\(place).securityContext", security,
                    "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
        }
    }

    private static func mountKind(
        _ mount: JSON, _ container: JSON, _ place: String, _ errors: inout [FieldError]
    ) {
        let propagation = mount["mountPropagation"].stringValue ?? "None"
        if propagation == "Bidirectional", container["securityContext"]["privileged"].boolValue != true {
            errors.append(
                .forbidden(
                    "\(place).mountPropagation",
                    "Bidirectional mount propagation is available only to privileged containers"))
        }
        guard let recursion = mount["recursiveReadOnly"].stringValue, recursion != "Disabled" else { return }
        if mount["readOnly"].boolValue != true {
            errors.append(.forbidden("\(place).recursiveReadOnly", "may only be specified when readOnly is true"))
        }
        if propagation != "None" {
            errors.append(
                .forbidden(
                    "\(place).recursiveReadOnly",
                    "may only be specified when mountPropagation is None or not specified"))
        }
    }

    /// A probe or hook does exactly one thing.
    static func handler(_ handler: JSON, _ place: String, _ kinds: [String], _ errors: inout [FieldError]) {
        let present = kinds.filter { handler[$0].exists }
        if present.isEmpty { errors.append(.required(place, "must specify a handler type")) }
        for kind in present.dropFirst() {
            errors.append(.forbidden("\(place).\(kind)", "may not specify more than 1 handler type"))
        }
    }

    static func environment(_ variable: JSON, _ place: String, _ errors: inout [FieldError]) {
        let source = variable["valueFrom"]
        guard source.exists else { return }
        let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"]
        let present = kinds.filter { source[$0].exists }
        if !variable["value"].isEmpty, !present.isEmpty {
            errors.append(.invalid("\(place).valueFrom", "", "may not be specified when `value` is not empty"))
        }
        if present.isEmpty {
            errors.append(
                .invalid(
                    "\(place).valueFrom", "",
                    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
                ))
        } else if present.count > 1 {
            errors.append(.invalid("\(place).valueFrom", "", "may not have more than one field specified at a time"))
        }
    }

    static func volume(_ volume: JSON, _ place: String, _ errors: inout [FieldError]) {
        let sources = (volume.objectValue?.keys ?? []).filter { $0 != "name" }.sorted { $0.precedesByBytes($1) }
        if sources.isEmpty { errors.append(.required(place, "must specify a volume type")) }
        for source in sources.dropFirst() {
            errors.append(.forbidden("\(place).\(source)", "may not specify more than 1 volume type"))
        }
    }

    static func toleration(_ toleration: JSON, _ place: String, _ errors: inout [FieldError]) {
        let key = toleration["key"].stringValue ?? ""
        let relation = toleration["operator"].stringValue ?? ""
        if key.isEmpty, relation != "Exists" {
            errors.append(
                .invalid(
                    "\(place).operator", .string(relation),
                    "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
        }
        if toleration["tolerationSeconds"].exists, toleration["effect"] != "NoExecute" {
            errors.append(
                .invalid(
                    "\(place).effect", .string(toleration["effect"].stringValue ?? ""),
                    "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        }
        if relation == "Exists", !toleration["value"].isEmpty {
            errors.append(
                .invalid("\(place).operator", .string(relation), "value must be empty when `operator` is 'Exists'"))
        }
    }
}
