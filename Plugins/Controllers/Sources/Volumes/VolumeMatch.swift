import Objects

/// Which volume a claim gets.
enum VolumeMatch {
    static let boundByController = "pv.kubernetes.io/bound-by-controller"
    static let bindCompleted = "pv.kubernetes.io/bind-completed"
    static let provisionedBy = "pv.kubernetes.io/provisioned-by"
    static let storageProvisioner = "volume.kubernetes.io/storage-provisioner"

    /// The class of a claim; the empty string wants a volume without class.
    static func className(_ object: JSON) -> String { object["spec"]["storageClassName"].stringValue ?? "" }

    static func requestedBytes(_ claim: JSON) -> Int64 {
        bytes(claim["spec"]["resources"]["requests"]["storage"])
    }

    static func capacityBytes(_ volume: JSON) -> Int64 { bytes(volume["spec"]["capacity"]["storage"]) }

    /// What a claim has; 0 while it is not bound.
    static func statusBytes(_ claim: JSON) -> Int64 { bytes(claim["status"]["capacity"]["storage"]) }

    private static func bytes(_ value: JSON) -> Int64 {
        // The API admits well-formed quantities alone.
        (try? Quantity(parsing: value.stringValue ?? value.integerValue.map { "\($0)" } ?? "0"))?.value ?? 0
    }

    /// Whether `volume` is, or may become, the claim's: its claimRef names the claim, by uid when it has one.
    static func isBound(_ volume: JSON, to claim: JSON) -> Bool {
        let reference = volume["spec"]["claimRef"]
        guard reference["name"].stringValue == claim.name, reference["namespace"].stringValue == claim.namespace else {
            return false
        }
        let uid = reference["uid"].stringValue ?? ""
        return uid.isEmpty || uid == claim.uid
    }

    /// The smallest fitting volume; one that was reserved for the claim wins over all.
    /// - Parameter node: the node that was chosen for the claim's first consumer; nil when binding is immediate.
    static func find(for claim: JSON, among volumes: [JSON], node: JSON?) throws -> JSON? {
        let selector = claim["spec"]["selector"].exists ? try LabelSelector(object: claim["spec"]["selector"]) : nil
        let wanted = requestedBytes(claim)
        let modes = Set(claim["spec"]["accessModes"].arrayValue.compactMap(\.stringValue))
        let mode = claim["spec"]["volumeMode"].stringValue ?? "Filesystem"
        var best: (volume: JSON, bytes: Int64)?
        for volume in volumes.sorted(by: { $0.name < $1.name }) {
            let capacity = capacityBytes(volume)
            guard capacity >= wanted, volume.deletionTimestamp == nil,
                (volume["spec"]["volumeMode"].stringValue ?? "Filesystem") == mode,
                modes.isSubset(of: volume["spec"]["accessModes"].arrayValue.compactMap(\.stringValue)),
                node.map({ allows(volume, node: $0) }) ?? true
            else { continue }
            if isBound(volume, to: claim) { return volume }
            guard !volume["spec"]["claimRef"].exists, className(volume) == className(claim),
                selector?.matches(labels: volume.labels) ?? true
            else { continue }
            if best.map({ capacity < $0.bytes }) ?? true { best = (volume, capacity) }
        }
        return best?.volume
    }

    /// Whether a volume's node affinity accepts a node.
    static func allows(_ volume: JSON, node: JSON) -> Bool {
        let required = volume["spec"]["nodeAffinity"]["required"]
        guard required.exists else { return true }
        return required["nodeSelectorTerms"].arrayValue.contains { term in
            term["matchExpressions"].arrayValue.allSatisfy { expression in
                let values = expression["values"].arrayValue
                let value = node.labels[expression["key"].stringValue ?? ""]
                switch expression["operator"].stringValue ?? "" {
                case "In": return value.exists && values.contains(value)
                case "NotIn": return !values.contains(value)
                case "Exists": return value.exists
                case "DoesNotExist": return !value.exists
                default: return false
                }
            }
        }
    }

    /// The volume that a driver made for a claim, as an object.
    /// - Parameter made: the driver's Volume message.
    static func provisioned(_ claim: JSON, storageClass: JSON, driver: String, made: JSON) -> JSON {
        let bytes = max(made["capacityBytes"].integerValue ?? 0, requestedBytes(claim))
        var csi: JSON = ["driver": .string(driver), "volumeHandle": made["volumeID"]]
        if !made["context"].isEmpty { csi["volumeAttributes"] = made["context"] }
        var spec: JSON = [
            "capacity": ["storage": .string(Quantity.bytes(bytes))],
            "accessModes": claim["spec"]["accessModes"], "csi": csi,
            "claimRef": [
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(claim.namespace),
                "name": .string(claim.name), "uid": .string(claim.uid),
            ],
            "persistentVolumeReclaimPolicy": .string(storageClass["reclaimPolicy"].stringValue ?? "Delete"),
            "storageClassName": .string(storageClass.name),
            "volumeMode": .string(claim["spec"]["volumeMode"].stringValue ?? "Filesystem"),
        ]
        if !storageClass["mountOptions"].isEmpty { spec["mountOptions"] = storageClass["mountOptions"] }
        let terms = made["topology"].arrayValue.compactMap(term)
        if !terms.isEmpty { spec["nodeAffinity"] = ["required": ["nodeSelectorTerms": .array(terms)]] }
        return [
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": [
                "name": .string("pvc-\(claim.uid)"), "annotations": .object([provisionedBy: .string(driver)]),
                "finalizers": ["kubernetes.io/pv-protection"],
            ],
            "spec": spec,
        ]
    }

    /// The node selector term of a driver's topology; nil when it names nothing.
    static func term(_ topology: JSON) -> JSON? {
        guard let segments = topology["segments"].objectValue, !segments.isEmpty else { return nil }
        let expressions = segments.map { key, value -> JSON in
            ["key": .string(key), "operator": "In", "values": .array([value])]
        }
        return ["matchExpressions": .array(expressions)]
    }
}

extension Quantity {
    /// A number of bytes as Kubernetes writes it: in the greatest binary unit that divides it.
    static func bytes(_ count: Int64) -> String {
        let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi"]
        var value = count
        var unit = 0
        while value != 0, value % 1024 == 0, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        return "\(value)\(units[unit])"
    }
}
