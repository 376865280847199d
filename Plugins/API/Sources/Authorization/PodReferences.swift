import Objects

/// What a pod refers to, and its node needs therefore.
enum PodReferences {
    /// The little of a pod that is kept in the cache: its node, and "KIND NAME" of what it refers to.
    static func kept(_ pod: JSON) -> JSON {
        let spec = pod["spec"]
        var texts: [JSON] = []
        // What a mirror pod refers to was given by the node itself, which gets nothing by it.
        if spec["nodeName"].exists, !pod.annotations["kubernetes.io/config.mirror"].exists {
            texts = Set(names(pod, spec)).sorted().map { .string($0) }
        }
        return [
            "metadata": ["name": pod.metadata["name"], "namespace": pod.metadata["namespace"]],
            "node": spec["nodeName"], "uses": .array(texts),
        ]
    }

    static func vertices(kept pod: JSON) -> Set<NodeGraph.Vertex> {
        var vertices: Set<NodeGraph.Vertex> = []
        for text in pod["uses"].arrayValue.compactMap(\.stringValue) {
            guard let mark = text.first, let kind = kinds[mark] else { continue }
            vertices.insert(.init(kind: kind, namespace: pod.namespace, name: String(text.dropFirst())))
        }
        return vertices
    }

    private static let kinds: [Character: NodeGraph.Kind] = [
        "s": .secret, "c": .configMap, "v": .claim, "a": .serviceAccount, "r": .resourceClaim,
    ]

    /// Each name behind the letter of its kind.
    static func names(_ pod: JSON, _ spec: JSON) -> [String] {
        var names: [String] = []
        func add(_ mark: String, _ name: JSON) {
            if let name = name.stringValue, !name.isEmpty { names.append(mark + name) }
        }
        add("a", spec["serviceAccountName"])
        for secret in spec["imagePullSecrets"].arrayValue { add("s", secret["name"]) }
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for container in spec[list].arrayValue {
                for source in container["envFrom"].arrayValue {
                    add("s", source["secretRef"]["name"])
                    add("c", source["configMapRef"]["name"])
                }
                for variable in container["env"].arrayValue {
                    add("s", variable["valueFrom"]["secretKeyRef"]["name"])
                    add("c", variable["valueFrom"]["configMapKeyRef"]["name"])
                }
            }
        }
        for volume in spec["volumes"].arrayValue {
            add("s", volume["secret"]["secretName"])
            add("s", volume["azureFile"]["secretName"])
            add("s", volume["csi"]["nodePublishSecretRef"]["name"])
            for kind in ["cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"] {
                add("s", volume[kind]["secretRef"]["name"])
            }
            add("c", volume["configMap"]["name"])
            add("v", volume["persistentVolumeClaim"]["claimName"])
            if volume["ephemeral"].exists { add("v", .string("\(pod.name)-\(volume["name"].stringValue ?? "")")) }
            for source in volume["projected"]["sources"].arrayValue {
                add("s", source["secret"]["name"])
                add("c", source["configMap"]["name"])
            }
        }
        for claim in spec["resourceClaims"].arrayValue { add("r", claim["resourceClaimName"]) }
        for claim in pod["status"]["resourceClaimStatuses"].arrayValue { add("r", claim["resourceClaimName"]) }
        return names
    }
}

/// What a persistent volume refers to.
struct VolumeReferences {
    let claim: NodeGraph.Vertex?
    let secrets: Set<NodeGraph.Vertex>

    /// The little of a volume that is kept in the cache.
    static func kept(_ volume: JSON) -> JSON {
        let spec = volume["spec"]
        var secrets: [JSON] = []
        for name in ["nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"] {
            if spec["csi"][name].exists { secrets.append(spec["csi"][name]) }
        }
        for kind in ["cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"] {
            let reference = spec[kind]["secretRef"]
            guard reference.exists else { continue }
            // One without a namespace is in the claim's.
            let namespace =
                reference["namespace"].exists ? reference["namespace"] : spec["claimRef"]["namespace"]
            secrets.append(["name": reference["name"], "namespace": namespace])
        }
        return [
            "metadata": ["name": volume.metadata["name"]],
            "claim": ["name": spec["claimRef"]["name"], "namespace": spec["claimRef"]["namespace"]],
            "secrets": .array(secrets),
        ]
    }

    init(kept volume: JSON) {
        func vertex(_ kind: NodeGraph.Kind, _ reference: JSON) -> NodeGraph.Vertex? {
            guard let name = reference["name"].stringValue, let namespace = reference["namespace"].stringValue else {
                return nil
            }
            return .init(kind: kind, namespace: namespace, name: name)
        }
        claim = vertex(.claim, volume["claim"])
        secrets = Set(volume["secrets"].arrayValue.compactMap { vertex(.secret, $0) })
    }
}
