import Objects

/// Volumes of kinds that are gone, and amounts that are no whole bytes.
enum VolumeWarnings {
    /// Members of a volume, in a pod or a PersistentVolume, of which Kubernetes has nothing left.
    private static let gone: [(member: String, text: String)] = [
        ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
        ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
        ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ]

    /// - Parameter place: Of what holds the members, with a dot at its end.
    static func source(_ source: JSON, at place: @autoclosure () -> String) -> [String] {
        guard let members = source.objectValue else { return [] }
        // Nearly every volume has a name and one member.
        return gone.compactMap { members[$0.member] == nil ? nil : "\(place())\($0.member): \($0.text)" }
    }

    static func volume(_ volume: JSON) -> [String] {
        let spec = volume["spec"]
        var texts = annotations(volume)
        for (index, term) in spec["nodeAffinity"]["required"]["nodeSelectorTerms"].arrayValue.enumerated() {
            texts += NodeLabelWarnings.term(term, at: "spec.nodeAffinity.required.nodeSelectorTerms[\(index)]")
        }
        if spec["persistentVolumeReclaimPolicy"] == "Recycle" {
            texts.append(
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
            )
        }
        return texts + source(spec, at: "spec.") + fraction(spec["capacity"], "storage", at: "spec.capacity")
    }

    static func claim(_ spec: JSON, at place: String) -> [String] {
        let resources = spec["resources"]
        return fraction(resources["requests"], "storage", at: place + "resources.requests")
            + fraction(resources["limits"], "storage", at: place + "resources.limits")
    }

    /// Of volumes and claims.
    static func annotations(_ object: JSON) -> [String] {
        [("storage-class", "v1.8", "storageClassName"), ("mount-options", "v1.31", "mountOptions")].compactMap {
            name, since, field in
            let key = "volume.beta.kubernetes.io/\(name)"
            guard object.annotations[key].exists else { return nil }
            return "metadata.annotations[\(key)]: deprecated since \(since); use \"\(field)\" attribute instead"
        }
    }

    /// Says so when an amount is no whole number: as it is stored, it then ends in m, u or n.
    static func fraction(_ amounts: JSON, _ resource: String, at place: @autoclosure () -> String) -> [String] {
        guard let text = amounts[resource].stringValue, let last = text.utf8.last,
            [UInt8(ascii: "m"), UInt8(ascii: "u"), UInt8(ascii: "n")].contains(last)
        else { return [] }
        return ["\(place())[\(resource)]: fractional byte value \"\(text)\" is invalid, must be an integer"]
    }
}
