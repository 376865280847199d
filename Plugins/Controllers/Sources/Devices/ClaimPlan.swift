import Objects

/// What is to be done about a resource claim that pods have used or were to use. Pure.
struct ClaimPlan: Equatable {
    /// What is known of a pod that a claim is reserved for.
    enum Consumer { case needsIt, isDone, isGone }

    /// The reservations that stay; nil when all do.
    var reservations: [JSON]?
    /// Nobody uses it any more: its devices are free.
    var deallocates = false
    /// Nothing keeps it from being deleted.
    var releases = false
    /// It was made for a pod that does not need it.
    var deletes = false

    /// - Parameters:
    ///   - consumer: of a reservation.
    ///   - pod: the pod of this name in the claim's namespace.
    init(_ claim: JSON, consumer: (JSON) throws -> Consumer, pod: (String) -> JSON?) rethrows {
        let all = claim["status"]["reservedFor"].arrayValue
        let kept = try all.filter { try consumer($0) == .needsIt }
        let isHeld = claim.finalizers.contains(PodClaims.finalizer)
        let isAllocated = claim["status"]["allocation"].exists
        if kept.count < all.count {
            reservations = kept
            // A claim that was allocated and never used stays as it is: only the last who leaves takes the devices along.
            deallocates = kept.isEmpty && isHeld && isAllocated
            releases = isHeld && (deallocates || !isAllocated)
        } else if isHeld, claim.deletionTimestamp != nil, kept.isEmpty {
            deallocates = isAllocated
            releases = true
        }
        guard kept.isEmpty, let owner = PodClaims.owner(of: claim), let current = pod(owner.name) else { return }
        deletes = claim.deletionTimestamp == nil && (current.uid != owner.uid || PodClaims.isDone(current))
    }

    /// Whether the status changes.
    var changesStatus: Bool { reservations != nil || deallocates }

    func status(of claim: JSON) -> JSON {
        var status = claim["status"]
        if let reservations {
            status["reservedFor"] = .array(reservations)
            if reservations.isEmpty { status.removeValue(forKey: "reservedFor") }
        }
        if deallocates { status.removeValue(forKey: "allocation") }
        return status
    }
}
