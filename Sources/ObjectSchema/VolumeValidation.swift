import Objects

/// Rules of persistent volumes and claims.
/// See https://kubernetes.io/docs/concepts/storage/persistent-volumes/.
enum VolumeValidation {
    /// The kinds of volumes, in the order in which Kubernetes looks for them, and what it calls them where there is one too many.
    private static let kinds: [(field: String, shown: String)] = [
        ("hostPath", "hostPath"), ("gcePersistentDisk", "gcePersistentDisk"),
        ("awsElasticBlockStore", "awsElasticBlockStore"), ("glusterfs", "glusterfs"), ("flocker", "flocker"),
        ("nfs", "nfs"), ("rbd", "rbd"), ("quobyte", "quobyte"), ("cephfs", "cephFS"), ("iscsi", "iscsi"),
        ("cinder", "cinder"), ("fc", "fc"), ("flexVolume", "flexVolume"), ("azureFile", "azureFile"),
        ("vsphereVolume", "vsphereVolume"), ("photonPersistentDisk", "photonPersistentDisk"),
        ("portworxVolume", "portworxVolume"), ("azureDisk", "azureDisk"), ("scaleIO", "scaleIO"), ("local", "local"),
        ("storageos", "storageos"), ("csi", "csi"),
    ]
    private static let modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

    private static func sources(_ spec: JSON) -> [(field: String, shown: String)] {
        kinds.filter { spec[$0.field].exists }
    }

    // MARK: - Volumes

    static func volume(_ volume: JSON, _ errors: inout [FieldError]) {
        VolumeSourceValidation.longName(volume, &errors)
    }

    /// What is found is named from the specification on.
    static func volumeSpec(_ spec: JSON, _ errors: inout [FieldError]) {
        accessModes(spec, &errors)
        capacity(spec["capacity"], &errors)
        if spec["nodeAffinity"].exists, spec["nodeAffinity"]["required"].isNull {
            errors.append(.required("nodeAffinity.required", "must specify required node constraints"))
        }
        let sources = sources(spec)
        if sources.isEmpty { errors.append(.required("", "must specify a volume type")) }
        for source in sources.dropFirst() {
            errors.append(.forbidden(source.shown, "may not specify more than 1 volume type"))
        }
        VolumeSourceValidation.common(spec, name: "", &errors)
        if spec["local"].exists, spec["nodeAffinity"].isNull {
            errors.append(.required("nodeAffinity", "Local volume requires node affinity"))
        }
        if let path = spec["hostPath"]["path"].stringValue, isRoot(path),
            spec["persistentVolumeReclaimPolicy"] == "Recycle"
        {
            errors.append(
                .forbidden("persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"))
        }
        guard let name = spec["volumeAttributesClassName"].stringValue else { return }
        if name.isEmpty {
            errors.append(.required("volumeAttributesClassName", "an empty string is disallowed"))
        }
        if spec["csi"].isNull {
            errors.append(.required("csi", "has to be specified when using volumeAttributesClassName"))
        }
    }

    /// Of a path with steps that lead nowhere too: "/./".
    private static func isRoot(_ path: String) -> Bool {
        path.hasPrefix("/") && path.split(separator: "/").allSatisfy { $0 == "." || $0 == ".." }
    }

    private static func capacity(_ capacity: JSON, _ errors: inout [FieldError]) {
        if capacity["storage"].isNull || capacity.count > 1 {
            errors.append(.notSupported("capacity", capacity, ["storage"]))
        }
        for (name, value) in capacity.objectValue ?? [:] {
            guard let quantity = Quantity.read(value) else { continue }
            basic(quantity, at: "capacity[\(name)]", &errors)
            if quantity <= .zero { errors.append(.invalid("capacity[\(name)]", value, "must be greater than zero")) }
        }
    }

    private static func basic(
        _ quantity: Quantity, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        guard quantity.value < 0 else { return }
        errors.append(.invalid(place(), .integer(quantity.value), "must be a valid resource quantity"))
    }

    private static func accessModes(_ spec: JSON, _ errors: inout [FieldError]) {
        let wanted = spec["accessModes"].arrayValue
        for mode in wanted where !modes.contains(mode.stringValue ?? "") {
            errors.append(.notSupported("accessModes", mode, modes))
        }
        guard wanted.count > 1, wanted.contains("ReadWriteOncePod") else { return }
        if wanted.contains(where: { $0 != "ReadWriteOncePod" && modes.contains($0.stringValue ?? "") }) {
            errors.append(.forbidden("accessModes", "may not use ReadWriteOncePod with other access modes"))
        }
    }

    private static let newerLabels = [
        "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
        "beta.kubernetes.io/os": "kubernetes.io/os", "beta.kubernetes.io/arch": "kubernetes.io/arch",
        "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
    ]

    /// What a volume is never changes; only who may use it, and how large it is.
    static func volumeUpdate(_ old: JSON, _ new: JSON) -> [FieldError] {
        let before = old["spec"]
        var after = new["spec"]
        var errors: [FieldError] = []
        if before["csi"].exists, before["csi"]["controllerExpandSecretRef"].isNull,
            after["csi"]["controllerExpandSecretRef"].exists
        {
            after["csi"].removeValue(forKey: "controllerExpandSecretRef")
        }
        if kinds.contains(where: { before[$0.field] != after[$0.field] }) {
            errors.append(
                .forbidden(
                    "spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"))
        }
        if before["volumeMode"] != after["volumeMode"] {
            errors.append(.invalid("volumeMode", after["volumeMode"], "field is immutable"))
        }
        if before["nodeAffinity"].exists, !agree(after["nodeAffinity"], before["nodeAffinity"]) {
            errors.append(
                .invalid(
                    "nodeAffinity", after["nodeAffinity"],
                    "field is immutable, except for updating from beta label to GA"))
        }
        if before["volumeAttributesClassName"].exists, after["volumeAttributesClassName"].isNull {
            errors.append(
                .forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))
        }
        return errors
    }

    /// Whether two affinities are the same but for labels that have newer names.
    private static func agree(_ new: JSON, _ old: JSON) -> Bool {
        if new == old { return true }
        var renamed = old
        guard new["required"].exists, old["required"].exists else { return false }
        let terms = new["required"]["nodeSelectorTerms"].arrayValue
        guard terms.count == old["required"]["nodeSelectorTerms"].count else { return false }
        renamed["required"]["nodeSelectorTerms"].updateElements { index, term in
            let present = terms[index]["matchExpressions"].arrayValue
            guard term["matchExpressions"].exists else { return }
            term["matchExpressions"].updateElements { position, requirement in
                guard position < present.count, let newer = newerLabels[requirement["key"].stringValue ?? ""],
                    present[position]["key"].stringValue == newer
                else { return }
                requirement["key"] = .string(newer)
            }
        }
        return renamed == new
    }

    // MARK: - Claims

    /// What is found is named from the specification on. Amounts are told of without the list that they are in.
    static func claimSpec(_ spec: JSON, _ errors: inout [FieldError]) {
        accessModes(spec, &errors)
        let size = spec["resources"]["requests"]["storage"]
        if size.isNull {
            errors.append(.required("resources[storage]"))
        } else if let quantity = Quantity.read(size), quantity <= .zero {
            errors.append(.invalid("resources[storage]", size, "must be greater than zero"))
        }
        for source in ["dataSource", "dataSourceRef"] where spec[source].exists {
            dataSource(spec[source], at: source, &errors)
        }
        guard spec["dataSource"].exists, spec["dataSourceRef"].exists else { return }
        if !spec["dataSourceRef"]["namespace"].isEmpty {
            errors.append(
                .invalid("", "spec.dataSource", "may not be specified when dataSourceRef.namespace is specified"))
        } else if ["apiGroup", "kind", "name"].contains(where: {
            spec["dataSource"][$0] != spec["dataSourceRef"][$0]
        }) {
            errors.append(.invalid("", "spec.dataSource", "must match dataSourceRef"))
        }
    }

    private static func dataSource(
        _ source: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        for field in ["name", "kind"] where source[field].isEmpty { errors.append(.required("\(place()).\(field)")) }
        let group = source["apiGroup"].stringValue ?? ""
        let kind = source["kind"].stringValue ?? ""
        if group.isEmpty, kind != "PersistentVolumeClaim" {
            errors.append(
                .invalid(
                    place(), .string(kind), "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
        }
        if !group.isEmpty {
            errors += NameChecks.dns1123Subdomain(group).map { .invalid("\(place()).apiGroup", .string(group), $0) }
        }
        if let namespace = source["namespace"].stringValue, !namespace.isEmpty {
            errors += NameChecks.dns1123Label(namespace).map {
                .invalid("\(place()).namespace", .string(namespace), $0)
            }
        }
    }

    private static let classAnnotation = "volume.beta.kubernetes.io/storage-class"

    /// A bound claim may grow, and shrink again to more than it has where growing failed; before it is bound its volume may be
    /// set.
    static func claimUpdate(_ old: JSON, _ new: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        let (before, after) = (old["spec"], new["spec"])
        var adapted = after
        func keep(_ field: String) {
            if before[field].exists { adapted[field] = before[field] } else { adapted.removeValue(forKey: field) }
        }
        if before["volumeName"].isEmpty { keep("volumeName") }
        storageClass(old, new, keep, &errors)
        let isBound = old["status"]["phase"] == "Bound"
        if isBound, after["resources"]["requests"].exists {
            adapted["resources"]["requests"]["storage"] = before["resources"]["requests"]["storage"]
        }
        if isBound, after["volumeAttributesClassName"].exists { keep("volumeAttributesClassName") }
        if adapted != before {
            errors.append(
                .forbidden(
                    "spec",
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
                ))
        }
        let size = Quantity.read(after["resources"]["requests"]["storage"]) ?? .zero
        if size < Quantity.read(before["resources"]["requests"]["storage"]) ?? .zero,
            size <= Quantity.read(old["status"]["capacity"]["storage"]) ?? .zero
        {
            errors.append(.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
        }
        if before["volumeMode"] != after["volumeMode"] {
            errors.append(.invalid("volumeMode", after["volumeMode"], "field is immutable"))
        }
        guard before["volumeAttributesClassName"].exists else { return errors }
        let name = after["volumeAttributesClassName"]
        if name.isNull {
            errors.append(
                .forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))
        } else if name.isEmpty, name != before["volumeAttributesClassName"] {
            errors.append(
                .forbidden(
                    "spec.volumeAttributesClassName", "update from non-nil value to an empty string is forbidden"))
        }
        return errors
    }

    /// The class may be set once, or taken over from the annotation that it used to be.
    private static func storageClass(
        _ old: JSON, _ new: JSON, _ keep: (String) -> Void, _ errors: inout [FieldError]
    ) {
        let (before, after) = (old["spec"]["storageClassName"], new["spec"]["storageClassName"])
        let was = old.annotations[classAnnotation]
        let isSet = before.isNull && after.exists && (was.isNull || was == after)
        if isSet { keep("storageClassName") }
        let isMoved = isSet && was.exists && new.annotations[classAnnotation].isNull
        if !isMoved, was != new.annotations[classAnnotation] {
            errors.append(
                .invalid(
                    "metadata.annotations.\(classAnnotation)",
                    .string(new.annotations[classAnnotation].stringValue ?? ""), "field is immutable"))
        }
    }

    private static let resizeStates = [
        "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
        "NodeResizePending",
    ]

    /// What is wrong with the status of a claim.
    static func claimStatus(_ status: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        for (name, value) in status["capacity"].objectValue ?? [:] {
            if let quantity = Quantity.read(value) { basic(quantity, at: "status.capacity[\(name)]", &errors) }
        }
        for (name, state) in status["allocatedResourceStatuses"].objectValue ?? [:] {
            resource(name, at: "status.allocatedResourceStatus", &errors)
            if !resizeStates.contains(state.stringValue ?? "") {
                errors.append(.notSupported("status.allocatedResourceStatus", .string(name), resizeStates))
            }
        }
        for (name, value) in status["allocatedResources"].objectValue ?? [:] {
            resource(name, at: "status.allocatedResources", &errors)
            if let quantity = Quantity.read(value) {
                basic(quantity, at: "status.allocatedResources[\(name)]", &errors)
            }
        }
        return errors
    }

    private static func resource(
        _ name: String, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let complaints = NameChecks.qualifiedName(name)
        errors += complaints.map { .invalid(place(), .string(name), $0) }
        if complaints.isEmpty, ResourceValidation.isNative(name), name != "storage" {
            errors.append(.notSupported(place(), .string(name), ["storage"]))
        }
    }
}
