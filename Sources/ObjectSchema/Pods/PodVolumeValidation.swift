import Objects

/// Rules of the volumes of pods.
/// See https://kubernetes.io/docs/concepts/storage/volumes/.
enum PodVolumeValidation {
    /// The kinds of volumes, in the order in which Kubernetes looks for them, and what it calls them where there is one too many.
    private static let kinds: [(field: String, shown: String)] = [
        ("emptyDir", "emptyDir"), ("hostPath", "hostPath"), ("gitRepo", "gitRepo"),
        ("gcePersistentDisk", "gcePersistentDisk"), ("awsElasticBlockStore", "awsElasticBlockStore"),
        ("secret", "secret"), ("nfs", "nfs"), ("iscsi", "iscsi"), ("glusterfs", "glusterfs"), ("flocker", "flocker"),
        ("persistentVolumeClaim", "persistentVolumeClaim"), ("rbd", "rbd"), ("cinder", "cinder"), ("cephfs", "cephFS"),
        ("quobyte", "quobyte"), ("downwardAPI", "downwarAPI"), ("fc", "fc"), ("flexVolume", "flexVolume"),
        ("configMap", "configMap"), ("azureFile", "azureFile"), ("vsphereVolume", "vsphereVolume"),
        ("photonPersistentDisk", "photonPersistentDisk"), ("portworxVolume", "portworxVolume"),
        ("azureDisk", "azureDisk"), ("storageos", "storageos"), ("projected", "projected"), ("scaleIO", "scaleIO"),
        ("csi", "csi"), ("ephemeral", "ephemeral"), ("image", "image"),
    ]

    static func names(_ volumes: [JSON], _ errors: inout [FieldError]) {
        guard volumes.count > 1 else { return }
        var seen: Set<String> = []
        for (index, volume) in volumes.enumerated() {
            guard let name = volume["name"].stringValue, !name.isEmpty, !seen.insert(name).inserted else { continue }
            errors.append(.duplicate("volumes[\(index)].name", .string(name)))
        }
    }

    static func volume(_ volume: JSON, _ errors: inout [FieldError]) {
        if volume.count < 2 { return errors.append(.required("", "must specify a volume type")) }
        // Nearly every volume has a name and one member.
        if volume.count > 2 {
            for kind in kinds.filter({ volume[$0.field].exists }).dropFirst() {
                errors.append(.forbidden(kind.shown, "may not specify more than 1 volume type"))
            }
        }
        if let limit = Quantity.read(volume["emptyDir"]["sizeLimit"]), limit.isNegative {
            errors.append(.forbidden("emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity"))
        }
        VolumeSourceValidation.common(volume, name: volume["name"].stringValue ?? "", &errors)
        if volume["downwardAPI"].exists {
            DownwardValidation.files(volume["downwardAPI"]["items"].arrayValue, at: "downwardAPI", &errors)
        }
        let template = volume["ephemeral"]["volumeClaimTemplate"]
        if template.exists { claim(template["metadata"], at: "ephemeral.volumeClaimTemplate.metadata", &errors) }
    }

    /// The metadata of a claim that is made for a pod: labels and annotations, nothing else.
    private static func claim(
        _ metadata: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        for (key, value) in metadata["labels"].objectValue ?? [:] {
            errors += NameChecks.qualifiedName(key).map { .invalid("\(place()).labels", .string(key), $0) }
            errors += NameChecks.labelValue(value.stringValue ?? "").map { .invalid("\(place()).labels", value, $0) }
        }
        MetadataValidation.checkAnnotations(metadata["annotations"], at: "\(place()).annotations", &errors)
        for (key, value) in metadata.objectValue ?? [:]
        where key != "labels" && key != "annotations" && !value.isEmpty {
            errors.append(.forbidden("\(place()).\(key)", "cannot be set"))
        }
    }

    /// What holds for volumes of pods and not of templates.
    static func ofPod(
        _ volume: JSON, _ pod: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        // A template may leave the image of a volume to others, a pod may not.
        if volume["image"].exists, volume["image"]["reference"].isEmpty {
            errors.append(.required("\(place()).image.reference"))
        }
        if volume["ephemeral"].exists, !pod.name.isEmpty, let name = volume["name"].stringValue, !name.isEmpty {
            let claim = "\(pod.name)-\(name)"
            errors += NameChecks.dns1123Subdomain(claim).map {
                .invalid("\(place()).name", .string(name), "PVC name \"\(claim)\": \($0)")
            }
        }
        if let claim = volume["persistentVolumeClaim"]["claimName"].stringValue, claim.hasPrefix(pod.name + "-"),
            pod["spec"]["volumes"].arrayValue.contains(where: {
                $0["ephemeral"].exists && "\(pod.name)-\($0["name"].stringValue ?? "")" == claim
            })
        {
            errors.append(
                .invalid(
                    "\(place()).persistentVolumeClaim.claimName", .string(claim),
                    "must not reference a PVC that gets created for an ephemeral volume"))
        }
        guard volume["projected"].exists, pod["spec"]["serviceAccountName"].isEmpty else { return }
        for (index, source) in volume["projected"]["sources"].arrayValue.enumerated()
        where source["serviceAccountToken"].exists {
            errors.append(
                .forbidden(
                    "\(place()).projected.sources[\(index)].serviceAccountToken",
                    "must not be specified when serviceAccountName is not set"))
        }
    }

    /// A volume with a fault of its own is none that a container could have.
    /// - Parameter place: Of the specification, with a dot at its end unless it is empty.
    static func unusable(_ spec: JSON, at place: String, _ errors: inout [FieldError]) {
        let start = place + "volumes["
        let faulty = Set(
            errors.filter { $0.path.hasPrefix(start) }.map { $0.path.dropFirst(start.count).prefix { $0 != "]" } })
        guard !faulty.isEmpty else { return }
        let volumes = spec["volumes"].arrayValue
        let usable = Set(volumes.enumerated().filter { !faulty.contains("\($0.offset)") }.map(\.element["name"]))
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for (index, container) in spec[list].arrayValue.enumerated() {
                for kind in ["volumeMounts", "volumeDevices"] {
                    for (position, mount) in container[kind].arrayValue.enumerated()
                    where !usable.contains(mount["name"]) && volumes.contains(where: { $0["name"] == mount["name"] }) {
                        errors.append(
                            .notFound("\(place)\(list)[\(index)].\(kind)[\(position)].name", mount["name"]))
                    }
                }
            }
        }
    }
}
