import Objects

/// Whether the claims of a StatefulSet go with it, or with a pod that is scaled away: by the owners that they have, so that
/// collecting garbage deletes them.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#persistentvolumeclaim-retention.
struct ClaimRetention {
    private let set: JSON
    private let goesWithSet: Bool
    private let goesWithPod: Bool

    init(_ set: JSON) {
        self.set = set
        let policy = set["spec"]["persistentVolumeClaimRetentionPolicy"]
        goesWithSet = policy["whenDeleted"].stringValue == "Delete"
        goesWithPod = policy["whenScaled"].stringValue == "Delete"
    }

    /// The owners that a claim is to have; nil when it has them, or when somebody else controls it.
    /// - Parameters:
    ///   - pod: the one that the claim is for.
    ///   - isCondemned: it is above the set's size.
    func owners(of claim: JSON, pod: JSON, isCondemned: Bool) -> [JSON]? {
        let present = claim.ownerReferences
        let isForeign = present.contains { owner in
            owner["controller"].boolValue == true && !isOurs(owner, pod)
        }
        if isForeign { return nil }
        var owners = present.filter { !isOurs($0, pod) }
        let belongsToPod = goesWithPod && isCondemned
        if belongsToPod {
            owners.append(ControllerReference(.pods, pod).json)
        } else if goesWithSet {
            owners.append(ControllerReference(.statefulSets, set).json)
        }
        return owners == present ? nil : owners
    }

    /// Of the set, or of this pod or one of its name before it.
    private func isOurs(_ owner: JSON, _ pod: JSON) -> Bool {
        owner["uid"].stringValue == set.uid
            || (owner["kind"].stringValue == "Pod" && owner["name"].stringValue == pod.name)
    }
}
