import Objects

/// Which volume a claim gets.
enum VolumeMatch {
    static let boundByController = "pv.kubernetes.io/bound-by-controller"
    static let bindCompleted = "pv.kubernetes.io/bind-completed"
    static let provisionedBy = "pv.kubernetes.io/provisioned-by"
    /// Tell a provisioner outside of hostd which claims are its own; the second one is the older name.
    static let storageProvisioners = [
        "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner",
    ]

    private static let betaClass = "volume.beta.kubernetes.io/storage-class"

    /// The class of a claim or volume; the empty string wants, or is, a volume without class.
    static func className(_ object: JSON) -> String {
        object.annotations[betaClass].stringValue ?? object["spec"]["storageClassName"].stringValue ?? ""
    }

    /// Whether a claim leaves its class to the cluster: "" is a choice.
    static func wantsDefaultClass(_ claim: JSON) -> Bool {
        claim["spec"]["storageClassName"].isNull && claim.annotations[betaClass].isNull
    }

    /// The name of the default class, the newest one of several.
    static func defaultClass(of classes: [JSON]) -> String? {
        classes.filter { storageClass in
            ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
                .contains { storageClass.annotations[$0].stringValue == "true" }
        }.max { ($0.creationTimestamp ?? "", $1.name) < ($1.creationTimestamp ?? "", $0.name) }?.name
    }

    static func attributesClass(_ object: JSON) -> String {
        object["spec"]["volumeAttributesClassName"].stringValue ?? ""
    }

    private static func volumeMode(_ object: JSON) -> String {
        object["spec"]["volumeMode"].stringValue ?? "Filesystem"
    }

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

    /// The smallest fitting volume; one that was reserved for the claim wins over all, whatever its class, labels and access
    /// modes.
    /// - Parameters:
    ///   - node: the node that was chosen for the claim's first consumer; nil when binding is immediate.
    ///   - onlyReserved: looks at no others: the claim's first consumer has no node yet.
    static func find(
        for claim: JSON, among volumes: [JSON], node: JSON?, onlyReserved: Bool = false
    ) throws -> JSON? {
        let fitting = try candidates(for: claim, among: volumes, onlyReserved: onlyReserved)
        return fitting.first { volume in node.map { allows(volume, node: $0) } ?? true }
    }

    /// The volumes that a claim may get on some node, the smallest first; the one that was reserved for it alone when there is one.
    static func candidates(for claim: JSON, among volumes: [JSON], onlyReserved: Bool = false) throws -> [JSON] {
        let selector = claim["spec"]["selector"].exists ? try LabelSelector(object: claim["spec"]["selector"]) : nil
        var fitting: [(volume: JSON, bytes: Int64)] = []
        for volume in volumes where volume.deletionTimestamp == nil {
            let isReserved = volume["spec"]["claimRef"].exists
            if isReserved ? !isBound(volume, to: claim) : onlyReserved { continue }
            let capacity = capacityBytes(volume)
            guard capacity >= requestedBytes(claim), volumeMode(volume) == volumeMode(claim),
                attributesClass(volume) == attributesClass(claim)
            else { continue }
            if isReserved { return [volume] }
            guard mismatch(volume, claim) == nil, selector?.matches(labels: volume.labels) ?? true else { continue }
            fitting.append((volume, capacity))
        }
        return fitting.sorted { ($0.bytes, $0.volume.name) < ($1.bytes, $1.volume.name) }.map(\.volume)
    }

    /// Why a claim cannot have a volume that it asks for by name, in Kubernetes' words; nil when it can.
    static func mismatch(_ volume: JSON, _ claim: JSON) -> String? {
        if requestedBytes(claim) > capacityBytes(volume) { return "requested PV is too small" }
        if className(volume) != className(claim) { return "storageClassName does not match" }
        if attributesClass(volume) != attributesClass(claim) { return "volumeAttributesClassName does not match" }
        if volumeMode(volume) != volumeMode(claim) { return "incompatible volumeMode" }
        let offered = volume["spec"]["accessModes"].arrayValue
        return claim["spec"]["accessModes"].arrayValue.allSatisfy(offered.contains) ? nil : "incompatible accessMode"
    }

    /// Whether a volume's node affinity accepts a node.
    static func allows(_ volume: JSON, node: JSON) -> Bool {
        let required = volume["spec"]["nodeAffinity"]["required"]
        return !required.exists || NodeSelector.matches(required["nodeSelectorTerms"].arrayValue, node: node)
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
        if !attributesClass(claim).isEmpty { spec["volumeAttributesClassName"] = .string(attributesClass(claim)) }
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
