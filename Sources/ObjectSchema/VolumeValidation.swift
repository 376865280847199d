import Objects

/// Rules of persistent volumes and claims that relate several fields.
/// See https://kubernetes.io/docs/concepts/storage/persistent-volumes/.
enum VolumeValidation {
    /// Members of a volume's spec that are no source of a volume.
    private static let plainFields: Set = [
        "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
        "storageClassName", "volumeAttributesClassName", "volumeMode",
    ]

    private static func sources(_ spec: JSON) -> [String] {
        (spec.objectValue ?? [:]).map(\.key).filter { !plainFields.contains($0) }.sorted { $0.precedesByBytes($1) }
    }

    static func volume(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        accessModes(spec, place, &errors)
        let sources = sources(spec)
        if sources.isEmpty { errors.append(.required(place, "must specify a volume type")) }
        for source in sources.dropFirst() {
            errors.append(.forbidden("\(place).\(source)", "may not specify more than 1 volume type"))
        }
        for name in (spec["capacity"].objectValue ?? [:]).map(\.key) where name != "storage" {
            errors.append(.notSupported("\(place).capacity", .string(name), ["storage"]))
        }
        if !spec["capacity"].isEmpty, spec["capacity"]["storage"].isNull {
            errors.append(.notSupported("\(place).capacity", spec["capacity"], ["storage"]))
        }
        if spec["local"].exists, spec["nodeAffinity"]["required"].isNull {
            errors.append(.required("\(place).nodeAffinity", "Local volume requires node affinity"))
        }
        if spec["hostPath"]["path"].stringValue == "/", spec["persistentVolumeReclaimPolicy"] == "Recycle" {
            errors.append(
                .forbidden("\(place).persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
            )
        }
    }

    static func accessModes(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let modes = spec["accessModes"].arrayValue
        if modes.count > 1, modes.contains("ReadWriteOncePod") {
            errors.append(
                .forbidden("\(place).accessModes", "may not use ReadWriteOncePod with other access modes"))
        }
    }

    /// What a volume is never changes; only who may use it, and how large it is.
    static func volumeUpdate(_ old: JSON, _ new: JSON) -> [FieldError] {
        let (before, after) = (old["spec"], new["spec"])
        let kinds = Set(sources(before) + sources(after))
        guard kinds.contains(where: { before[$0] != after[$0] }) else { return [] }
        return [.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")]
    }

    /// A bound claim may grow, and shrink again to more than it has where growing failed; before it is bound its volume may be
    /// set.
    static func claimUpdate(_ old: JSON, _ new: JSON) -> [FieldError] {
        var adapted = new["spec"]
        var errors: [FieldError] = []
        func keep(_ field: String) {
            if old["spec"][field].exists {
                adapted[field] = old["spec"][field]
            } else {
                adapted.removeValue(forKey: field)
            }
        }
        let isBound = old["status"]["phase"] == "Bound"
        if old["spec"]["volumeName"].isEmpty { keep("volumeName") }
        if old["spec"]["storageClassName"].isNull { keep("storageClassName") }
        keep("volumeAttributesClassName")
        let before = old["spec"]["resources"]["requests"]["storage"]
        let after = new["spec"]["resources"]["requests"]["storage"]
        if before != after, after.exists, isBound {
            adapted["resources"]["requests"]["storage"] = before
            let has = Quantity.read(old["status"]["capacity"]["storage"])
            if let less = Quantity.read(after), let more = Quantity.read(before), less < more,
                has.map({ less <= $0 }) ?? true
            {
                errors.append(
                    .forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
            }
        }
        if adapted != old["spec"] {
            errors.append(
                .forbidden(
                    "spec",
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
                ))
        }
        return errors
    }
}
