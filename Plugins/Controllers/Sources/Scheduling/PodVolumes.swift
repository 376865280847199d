import Objects

/// What a pod's volume claims mean for its placement.
enum PodVolumes: Equatable {
    /// Nothing stands in the way. `affinity`: node selector terms of the bound volumes, one list per volume; `unbound`:
    /// names of the claims that are bound once a node is chosen.
    case ready(affinity: [[JSON]], unbound: [String])
    /// The pod cannot be placed now, in Kubernetes' words; `until` what may change that.
    case blocked(String, until: ClusterChanges = .storage)

    static let selectedNode = "volume.kubernetes.io/selected-node"

    /// - Parameters:
    ///   - claim: the claim of this name in the pod's namespace.
    ///   - volume: the volume of this name.
    ///   - storageClass: the class of this name.
    ///   - isInUse: whether a pod that has its node, and has not ended, uses the claim of this name.
    init(
        _ pod: JSON, claim: (String) -> JSON?, volume: (String) -> JSON?, storageClass: (String) -> JSON?,
        isInUse: (String) -> Bool
    ) {
        var affinity: [[JSON]] = []
        var unbound: [String] = []
        for name in PodVolumes.claimNames(pod) {
            guard let found = claim(name), found.deletionTimestamp == nil else {
                self = .blocked(PodVolumes.absence(of: name, pod, exists: claim(name) != nil))
                return
            }
            if found["spec"]["accessModes"].arrayValue.contains("ReadWriteOncePod"), isInUse(name) {
                self = .blocked(PodVolumes.inUse, until: .podGone)
                return
            }
            let volumeName = found["spec"]["volumeName"].stringValue ?? ""
            if !volumeName.isEmpty, found["status"]["phase"].stringValue == "Bound" {
                let required = volume(volumeName)?["spec"]["nodeAffinity"]["required"] ?? .null
                if required.exists { affinity.append(required["nodeSelectorTerms"].arrayValue) }
                continue
            }
            let className = VolumeMatch.className(found)
            let mode = storageClass(className)?["volumeBindingMode"].stringValue
            guard mode == "WaitForFirstConsumer", volumeName.isEmpty else {
                self = .blocked("pod has unbound immediate PersistentVolumeClaims")
                return
            }
            unbound.append(name)
        }
        self = .ready(affinity: affinity, unbound: unbound)
    }

    private static let inUse =
        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"

    private static func absence(of name: String, _ pod: JSON, exists: Bool) -> String {
        if exists { return "persistentvolumeclaim \"\(name)\" is being deleted" }
        let isEphemeral = pod["spec"]["volumes"].arrayValue.contains {
            $0["ephemeral"].exists && "\(pod.name)-\($0["name"].stringValue ?? "")" == name
        }
        return isEphemeral
            ? "waiting for ephemeral volume controller to create the persistentvolumeclaim \"\(name)\""
            : "persistentvolumeclaim \"\(name)\" not found"
    }

    /// Names of the claims that a pod mounts, those of its generic ephemeral volumes included.
    static func claimNames(_ pod: JSON) -> [String] {
        pod["spec"]["volumes"].arrayValue.compactMap { volume in
            if let name = volume["persistentVolumeClaim"]["claimName"].stringValue { return name }
            if volume["ephemeral"].exists { return "\(pod.name)-\(volume["name"].stringValue ?? "")" }
            return nil
        }
    }

    /// The pod with the volumes' node affinity added to its own, so that any scheduler honours it. Selector terms are
    /// alternatives: each of the pod's is combined with each of the volumes'.
    static func constrain(_ pod: JSON, to affinity: [[JSON]]) -> JSON {
        if affinity.isEmpty { return pod }
        var pod = pod
        let key = "requiredDuringSchedulingIgnoredDuringExecution"
        var own = pod["spec"]["affinity"]["nodeAffinity"][key]["nodeSelectorTerms"].arrayValue
        for terms in affinity { own = own.isEmpty ? terms : own.flatMap { first in terms.map { joined(first, $0) } } }
        pod["spec"]["affinity"]["nodeAffinity"][key]["nodeSelectorTerms"] = .array(own)
        return pod
    }

    static func joined(_ one: JSON, _ other: JSON) -> JSON {
        var both = one
        for member in ["matchExpressions", "matchFields"] {
            let requirements = one[member].arrayValue + other[member].arrayValue
            if !requirements.isEmpty { both[member] = .array(requirements) }
        }
        return both
    }
}
