import Objects

/// Who owns whom in the whole store, and what must be collected.
///
/// It is built from one ordered watch of everything: an owner that is not in it does not exist, because a dependent can
/// only name the uid of an owner that was created before. Nothing has to be looked up, but owners that another server keeps.
struct OwnershipGraph {
    /// What to do about one object.
    enum Action: Equatable {
        case none
        /// Delete it; `propagation` as in DeleteOptions.
        case delete(ObjectHead, propagation: String)
        /// Write its owner references without those that are gone.
        case disown(ObjectHead, keep: [JSON])
        /// Take a finalizer off: its condition is met.
        case unfinalize(ObjectHead, finalizer: String, rest: [String])
    }

    /// Objects that have owners or are on their way out.
    private var heads: [ObjectUID: ObjectHead] = [:]
    /// The keys of all others, which are most.
    private var plain: [ObjectUID: String] = [:]
    private var dependents: [ObjectUID: Set<ObjectUID>] = [:]

    var count: Int { heads.count + plain.count }
    /// The keys and uids of all objects.
    var known: [(key: String, uid: ObjectUID)] { heads.map { ($1.key, $0) } + plain.map { ($1, $0) } }

    func contains(_ uid: ObjectUID) -> Bool { key(of: uid) != nil }
    func key(of uid: ObjectUID) -> String? { plain[uid] ?? heads[uid]?.key }

    /// Takes in a created or changed object.
    /// - Returns: uids that must be looked at.
    mutating func put(_ head: ObjectHead) -> Set<ObjectUID> {
        let before = heads[head.uid]
        if head.isPlain {
            if before != nil { heads[head.uid] = nil }
            plain[head.uid] = head.key
            // It owns nothing of which more is to be known than that it is there.
            guard before != nil else { return [] }
        } else {
            if before == nil { plain[head.uid] = nil }
            heads[head.uid] = head
        }
        var affected: Set<ObjectUID> = []
        let old = Set(before?.owners.map(\.uid) ?? [])
        let new = Set(head.owners.map(\.uid))
        for owner in old.subtracting(new) {
            unlink(head.uid, from: owner)
            affected.insert(owner)
        }
        for owner in new { dependents[owner, default: []].insert(head.uid) }
        if new.contains(where: { !isPresent($0, for: head) || heads[$0]?.waitsForDependents == true }) {
            affected.insert(head.uid)
        }
        if head.waitsForDependents || head.orphansDependents {
            affected.insert(head.uid)
            affected.formUnion(dependents[head.uid] ?? [])
        }
        // An owner that waits may be waiting for a reference that stopped blocking.
        affected.formUnion(new.filter { heads[$0]?.waitsForDependents == true })
        return affected
    }

    /// Takes out a deleted object.
    /// - Returns: uids that must be looked at.
    mutating func remove(_ uid: ObjectUID) -> Set<ObjectUID> {
        let head = heads.removeValue(forKey: uid)
        guard head != nil || plain.removeValue(forKey: uid) != nil else { return [] }
        for owner in head?.owners ?? [] { unlink(uid, from: owner.uid) }
        // Dependents are now without this owner; owners may be free of their last dependent.
        let freed = (head?.owners ?? []).map(\.uid).filter { heads[$0]?.isBeingDeleted == true }
        return (dependents[uid] ?? []).union(freed)
    }

    private mutating func unlink(_ uid: ObjectUID, from owner: ObjectUID) {
        dependents[owner]?.remove(uid)
        if dependents[owner]?.isEmpty == true { dependents[owner] = nil }
    }

    /// An owner counts when it exists and the dependent may name it: in its own namespace or in none.
    private func isPresent(_ owner: ObjectUID, for head: ObjectHead) -> Bool {
        guard let key = key(of: owner) else { return false }
        let namespace = ObjectHead.namespace(of: key)
        return namespace.isEmpty || namespace == head.namespace
    }

    /// Whether dependents hold up a foreground deletion of `uid`. Those do not that wait for it themselves, in a circle: all of
    /// them are on their way out, and one has to be the first.
    private func blocking(_ uid: ObjectUID) -> Bool {
        (dependents[uid] ?? []).contains { dependent in
            guard heads[dependent]?.owners.contains(where: { $0.uid == uid && $0.blocksDeletion }) == true else {
                return false
            }
            return !waits(dependent, for: uid)
        }
    }

    /// Whether the end of an object waits for that of another, over any number of dependents that wait too.
    /// Complexity: O(objects in foreground deletion below it).
    private func waits(_ uid: ObjectUID, for other: ObjectUID) -> Bool {
        var seen: Set<ObjectUID> = []
        var next = [uid]
        while let uid = next.popLast() {
            guard heads[uid]?.waitsForDependents == true, seen.insert(uid).inserted else { continue }
            let below = dependents[uid] ?? []
            if below.contains(other) { return true }
            next += below
        }
        return false
    }

    /// Owners of an object that the store does not have, and where the object is.
    func missingOwners(of uid: ObjectUID) -> (owners: [JSON], namespace: String) {
        guard let head = heads[uid] else { return ([], "") }
        let owners = head.owners.filter { !isPresent($0.uid, for: head) }.map(\.json)
        return (owners, String(head.namespace))
    }

    /// What to do about an object now.
    /// - Parameter elsewhere: uids of owners that are not in the store, and yet are there.
    func action(for uid: ObjectUID, elsewhere: Set<ObjectUID> = []) -> Action {
        guard let head = heads[uid] else { return .none }
        if head.orphansDependents {
            // Dependents drop their references on their own turn; when none is left the finalizer goes.
            return (dependents[uid] ?? []).isEmpty ? unfinalize(head, ObjectHead.orphan) : .none
        }
        if head.waitsForDependents && !blocking(uid) { return unfinalize(head, ObjectHead.foreground) }
        if let orphaned = orphaned(head) { return orphaned }
        if head.isBeingDeleted || head.owners.isEmpty { return .none }
        return collect(head, elsewhere)
    }

    private func unfinalize(_ head: ObjectHead, _ finalizer: String) -> Action {
        .unfinalize(head, finalizer: finalizer, rest: head.finalizers.filter { $0 != finalizer })
    }

    /// The reference to an owner that orphans is dropped, whatever else is true.
    private func orphaned(_ head: ObjectHead) -> Action? {
        let keep = head.owners.filter { heads[$0.uid]?.orphansDependents != true }
        return keep.count == head.owners.count ? nil : .disown(head, keep: keep.map(\.json))
    }

    private func collect(_ head: ObjectHead, _ elsewhere: Set<ObjectUID>) -> Action {
        let solid = head.owners.filter { owner in
            elsewhere.contains(owner.uid)
                || isPresent(owner.uid, for: head) && heads[owner.uid]?.waitsForDependents != true
        }
        if solid.count == head.owners.count { return .none }
        if !solid.isEmpty { return .disown(head, keep: solid.map(\.json)) }
        let isWaitedFor = head.owners.contains { heads[$0.uid]?.waitsForDependents == true }
        // A foreground deletion goes down the tree before it comes up.
        let isForeground = isWaitedFor && !(dependents[head.uid] ?? []).isEmpty
        let propagation =
            head.finalizers.contains(ObjectHead.orphan)
            ? "Orphan"
            : isForeground || head.finalizers.contains(ObjectHead.foreground) ? "Foreground" : "Background"
        return .delete(head, propagation: propagation)
    }
}
