import Objects

/// The resource claims of pods: by which names they go, and whose they are.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/.
enum PodClaims {
    static let finalizer = "resource.kubernetes.io/delete-protection"
    /// Of a claim that was made for a pod: the pod's own name of it.
    static let annotation = "resource.kubernetes.io/pod-claim-name"
    /// The most consumers of one claim.
    static let mostConsumers = 256

    /// Where a pod's claim is found.
    enum Place: Equatable {
        /// Under this name; whether it was made for the pod, so that it must be the pod's own.
        case named(String, isMade: Bool)
        /// It was found that none is needed.
        case needless
        /// It was not made yet.
        case missing
    }

    static func areUsed(by pod: JSON) -> Bool {
        !pod["spec"]["resourceClaims"].isEmpty || pod["status"]["extendedResourceClaimStatus"].exists
    }

    static func place(of claim: JSON, in pod: JSON) -> Place {
        if let name = claim["resourceClaimName"].stringValue { return .named(name, isMade: false) }
        let statuses = pod["status"]["resourceClaimStatuses"].arrayValue
        guard let status = statuses.first(where: { $0["name"] == claim["name"] }) else { return .missing }
        guard let name = status["resourceClaimName"].stringValue else { return .needless }
        return .named(name, isMade: true)
    }

    /// The names under which a pod's claims are.
    static func names(_ pod: JSON) -> [String] {
        let own = pod["spec"]["resourceClaims"].arrayValue.compactMap { claim in
            if case .named(let name, _) = place(of: claim, in: pod) { name } else { nil }
        }
        return own + [pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"].stringValue].compactMap { $0 }
    }

    /// The pod that a claim was made for.
    static func owner(of claim: JSON) -> ControllerReference? {
        guard let owner = ControllerReference(controlling: claim), owner.kind == "Pod", owner.apiVersion == "v1" else {
            return nil
        }
        return owner
    }

    /// Why a claim cannot be the one that was made for a pod; nil when it is.
    static func complaint(of claim: JSON, for pod: JSON) -> String? {
        if owner(of: claim)?.uid == pod.uid { return nil }
        return
            "ResourceClaim \(objectKey(claim)) was not created for pod \(objectKey(pod)) (pod is not owner)"
    }

    static func isReserved(_ claim: JSON, for pod: JSON) -> Bool {
        claim["status"]["reservedFor"].arrayValue.contains { $0["uid"].stringValue == pod.uid }
    }

    static func mayBeReserved(_ claim: JSON) -> Bool { claim["status"]["reservedFor"].count < mostConsumers }

    /// The entry by which a pod reserves a claim.
    static func consumer(_ pod: JSON) -> JSON {
        ["resource": "pods", "name": .string(pod.name), "uid": .string(pod.uid)]
    }

    /// Whether none of a pod's containers runs, or ever will.
    static func isDone(_ pod: JSON) -> Bool {
        let facts = PodState(pod)
        return facts.isFinished || facts.isTerminating && facts.nodeName.isEmpty
    }

    /// The claim that is made of a template for a pod. Its name is the server's to complete.
    static func made(of template: JSON, for pod: JSON, named name: String) -> JSON {
        var metadata: JSON = [
            "generateName": .string(prefix(pod.name, name)), "namespace": .string(pod.namespace),
            "ownerReferences": .array([ControllerReference(.pods, pod).json]),
        ]
        let given = template["spec"]["metadata"]
        if given["labels"].exists { metadata["labels"] = given["labels"] }
        metadata["annotations"] = given["annotations"].exists ? given["annotations"] : [:]
        metadata["annotations"][annotation] = .string(name)
        return [
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": metadata,
            "spec": template["spec"]["spec"],
        ]
    }

    /// "POD-CLAIM-"; where that is too long, both names are cut in proportion.
    private static func prefix(_ pod: String, _ claim: String) -> String {
        let (whole, most) = ("\(pod)-\(claim)-", 57)
        let length = whole.utf8.count
        guard length > most else { return whole }
        return "\(pod.prefix(pod.utf8.count * most / length))-\(claim.prefix(claim.utf8.count * most / length))"
    }
}
