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

    private(set) var heads: [String: ObjectHead] = [:]
    private var dependents: [String: Set<String>] = [:]
    private var uidsByKey: [String: String] = [:]

    var count: Int { heads.count }
    var keys: Dictionary<String, String>.Keys { uidsByKey.keys }
    func uid(ofKey key: String) -> String? { uidsByKey[key] }

    /// Takes in a created or changed object.
    /// - Returns: uids that must be looked at.
    mutating func put(_ head: ObjectHead) -> Set<String> {
        var affected: Set<String> = []
        if let old = uidsByKey[head.key], old != head.uid { affected.formUnion(remove(uid: old)) }
        let before = heads[head.uid]
        if before?.key != head.key { uidsByKey[head.key] = head.uid }
        heads[head.uid] = head
        // Most own nothing, and are owned by nobody.
        if head.owners.isEmpty, before?.owners.isEmpty ?? true, !head.isBeingDeleted { return affected }
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
    mutating func remove(key: String) -> Set<String> {
        uidsByKey.removeValue(forKey: key).map { remove(uid: $0) } ?? []
    }

    private mutating func remove(uid: String) -> Set<String> {
        guard let head = heads.removeValue(forKey: uid) else { return [] }
        if uidsByKey[head.key] == uid { uidsByKey[head.key] = nil }
        for owner in head.owners { unlink(uid, from: owner.uid) }
        // Dependents are now without this owner; owners may be free of their last dependent.
        return (dependents[uid] ?? []).union(head.owners.map(\.uid).filter { heads[$0]?.isBeingDeleted == true })
    }

    private mutating func unlink(_ uid: String, from owner: String) {
        dependents[owner]?.remove(uid)
        if dependents[owner]?.isEmpty == true { dependents[owner] = nil }
    }

    /// An owner counts when it exists and the dependent may name it: in its own namespace or in none.
    private func isPresent(_ owner: String, for head: ObjectHead) -> Bool {
        guard let found = heads[owner] else { return false }
        return found.namespace.isEmpty || found.namespace == head.namespace
    }

    /// Whether dependents hold up a foreground deletion of `uid`. Those do not that wait for it themselves, in a circle: all of
    /// them are on their way out, and one has to be the first.
    private func blocking(_ uid: String) -> Bool {
        (dependents[uid] ?? []).contains { dependent in
            guard heads[dependent]?.owners.contains(where: { $0.uid == uid && $0.blocksDeletion }) == true else {
                return false
            }
            return !waits(dependent, for: uid)
        }
    }

    /// Whether the end of an object waits for that of another, over any number of dependents that wait too.
    /// Complexity: O(objects in foreground deletion below it).
    private func waits(_ uid: String, for other: String) -> Bool {
        var seen: Set<String> = []
        var next = [uid]
        while let uid = next.popLast() {
            guard heads[uid]?.waitsForDependents == true, seen.insert(uid).inserted else { continue }
            let below = dependents[uid] ?? []
            if below.contains(other) { return true }
            next += below
        }
        return false
    }

    /// Owners of an object that the store does not have.
    func missingOwners(of uid: String) -> [JSON] {
        guard let head = heads[uid] else { return [] }
        return head.owners.filter { !isPresent($0.uid, for: head) }.map(\.json)
    }

    /// What to do about an object now.
    /// - Parameter elsewhere: uids of owners that are not in the store, and yet are there.
    func action(for uid: String, elsewhere: Set<String> = []) -> Action {
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

    private func collect(_ head: ObjectHead, _ elsewhere: Set<String>) -> Action {
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

    /// Uids of everything that has owners: what must be looked at when nothing is known of the past.
    var owned: [String] { heads.values.filter { !$0.owners.isEmpty || $0.isBeingDeleted }.map(\.uid) }
}
