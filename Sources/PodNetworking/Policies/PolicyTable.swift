/// All rules of policies that hold, as policy_rules_set gave them. A pure value: takes an update and says what differs.
struct PolicyTable {
    struct Group: Hashable {
        let kind: PolicyGroupKind
        var members: Set<PolicyMember>
    }

    private(set) var groups: [String: Group] = [:]
    private(set) var policies: [String: PolicyRules] = [:]
    private(set) var subjects: [IPv4Address: PolicySubject] = [:]

    /// Whether nothing is isolated and nothing known of what could be.
    var isEmpty: Bool { groups.isEmpty && policies.isEmpty && subjects.isEmpty }

    /// How many policies name a group, and subjects a policy.
    private var groupUses: [String: Int] = [:]
    private var policyUses: [String: Int] = [:]

    /// Takes an update over. Complexity: what the update names; a full one, all there is.
    /// - Throws: `NetworkError.invalid` for a name that nothing has, a group of two kinds, or a group or policy that is
    ///   removed while something names it. After that only a full update sets the table right.
    mutating func apply(_ update: PolicyUpdate) throws(NetworkError) -> PolicyChanges {
        if !update.isFull { return try take(update) }
        var fresh = PolicyTable()
        _ = try fresh.take(update)
        let changes = fresh.changes(from: self)
        self = fresh
        return changes
    }

    /// Everything as changes from nothing.
    var everything: PolicyChanges {
        var changes = PolicyChanges()
        for (name, group) in groups {
            changes.groups[name] = .init(kind: group.kind, isNew: true, added: group.members)
        }
        changes.policies = policies.values.map { .init(old: nil, new: $0) }
        changes.subjects = subjects.values.map { .init(old: nil, new: $0) }
        return changes
    }

    /// What differs between two tables.
    private func changes(from old: PolicyTable) -> PolicyChanges {
        var changes = PolicyChanges()
        for (name, group) in groups {
            let before = old.groups[name]
            if let before, before.kind == group.kind {
                let (added, removed) = (
                    group.members.subtracting(before.members), before.members.subtracting(group.members)
                )
                if added.isEmpty && removed.isEmpty { continue }
                changes.groups[name] = .init(kind: group.kind, isNew: false, added: added, removed: removed)
            } else {
                if before != nil { changes.removedGroups.insert(name) }
                changes.groups[name] = .init(kind: group.kind, isNew: true, added: group.members)
            }
        }
        changes.removedGroups.formUnion(old.groups.keys.filter { groups[$0] == nil })
        for name in Set(policies.keys).union(old.policies.keys) where policies[name] != old.policies[name] {
            changes.policies.append(.init(old: old.policies[name], new: policies[name]))
        }
        for address in Set(subjects.keys).union(old.subjects.keys) where subjects[address] != old.subjects[address] {
            changes.subjects.append(.init(old: old.subjects[address], new: subjects[address]))
        }
        return changes
    }

    private mutating func take(_ update: PolicyUpdate) throws(NetworkError) -> PolicyChanges {
        var changes = PolicyChanges()
        for group in update.groups { try set(group, &changes) }
        for policy in update.policies { set(policy, named: policy.name, &changes) }
        for name in update.removedPolicies { set(nil as PolicyRules?, named: name, &changes) }
        for subject in update.subjects { set(subject, at: subject.address, &changes) }
        for address in update.removedSubjects { set(nil as PolicySubject?, at: address, &changes) }
        for name in update.removedGroups where groups.removeValue(forKey: name) != nil {
            if changes.groups.removeValue(forKey: name)?.isNew != true { changes.removedGroups.insert(name) }
        }
        try check(changes)
        return changes
    }

    private mutating func set(_ update: PolicyUpdate.Group, _ changes: inout PolicyChanges) throws(NetworkError) {
        let kind = groups[update.name]?.kind
        if let kind, kind != update.kind {
            throw .invalid("group \(update.name) holds \(kind.rawValue); remove it before it holds others")
        }
        let (added, removed) = difference(update)
        if kind != nil && added.isEmpty && removed.isEmpty { return }
        // In place: the set must not be copied, however large it is.
        groups[update.name, default: Group(kind: update.kind, members: [])].members.formUnion(added)
        groups[update.name]?.members.subtract(removed)
        changes.groups[update.name, default: .init(kind: update.kind, isNew: kind == nil)].merge(added, removed)
    }

    /// What an update adds that is not there and removes that is.
    private func difference(_ update: PolicyUpdate.Group) -> (added: Set<PolicyMember>, removed: Set<PolicyMember>) {
        let present = groups[update.name]?.members ?? []
        if update.isFull {
            let wanted = Set(update.added)
            return (wanted.subtracting(present), present.subtracting(wanted))
        }
        let removed = Set(update.removed)
        return (
            Set(update.added.filter { !present.contains($0) && !removed.contains($0) }),
            Set(update.removed.filter(present.contains))
        )
    }

    private mutating func set(_ policy: PolicyRules?, named name: String, _ changes: inout PolicyChanges) {
        let old = policies[name]
        guard old != policy else { return }
        policies[name] = policy
        for group in old?.groups ?? [] { groupUses[group, default: 0] -= 1 }
        for group in policy?.groups ?? [] { groupUses[group, default: 0] += 1 }
        changes.policies.append(.init(old: old, new: policy))
    }

    private mutating func set(_ subject: PolicySubject?, at address: IPv4Address, _ changes: inout PolicyChanges) {
        let old = subjects[address]
        guard old != subject else { return }
        subjects[address] = subject
        for policy in old?.policies ?? [] { policyUses[policy, default: 0] -= 1 }
        for policy in subject?.policies ?? [] { policyUses[policy, default: 0] += 1 }
        changes.subjects.append(.init(old: old, new: subject))
    }

    /// Whether everything that is named is there, as far as it has changed.
    private mutating func check(_ changes: PolicyChanges) throws(NetworkError) {
        for change in changes.policies {
            if let policy = change.new, policies[policy.name] == policy { try check(policy) }
            guard let name = change.old?.name, policies[name] == nil else { continue }
            if policyUses[name] ?? 0 > 0 { throw .invalid("policy \(name) cannot go: a subject names it") }
            policyUses[name] = nil
        }
        for subject in changes.subjects.compactMap(\.new) {
            for direction in PolicyDirection.allCases {
                for name in subject[direction] ?? [] where policies[name]?[direction] == nil {
                    throw .invalid(
                        "subject \(subject.address) names the policy \(name), which has no \(direction.rawValue) rules")
                }
            }
        }
        for name in changes.removedGroups where groups[name] == nil {
            if groupUses[name] ?? 0 > 0 { throw .invalid("group \(name) cannot go: a policy names it") }
            groupUses[name] = nil
        }
    }

    private func check(_ policy: PolicyRules) throws(NetworkError) {
        for rule in policy.rules {
            for name in rule.groups where groups[name] == nil {
                throw .invalid("policy \(policy.name) names the group \(name), which is not there")
            }
            for case .group(let name) in rule.ports ?? [] where groups[name]?.kind != .endpoints {
                throw .invalid("policy \(policy.name): ports need a group of endpoints, and \(name) holds addresses")
            }
        }
    }
}

/// What an update changes.
struct PolicyChanges {
    struct Group {
        let kind: PolicyGroupKind
        let isNew: Bool
        var added: Set<PolicyMember> = []
        var removed: Set<PolicyMember> = []

        init(kind: PolicyGroupKind, isNew: Bool, added: Set<PolicyMember> = [], removed: Set<PolicyMember> = []) {
            self.kind = kind
            self.isNew = isNew
            self.added = added
            self.removed = removed
        }

        /// A later change of the same update.
        mutating func merge(_ more: Set<PolicyMember>, _ gone: Set<PolicyMember>) {
            let (back, taken) = (more.intersection(removed), gone.intersection(added))
            added = added.union(more).subtracting(back).subtracting(taken)
            removed = removed.union(gone).subtracting(taken).subtracting(back)
        }
    }
    struct Change<Value> {
        let old: Value?
        let new: Value?
    }

    var groups: [String: Group] = [:]
    /// Before the others: a group may come again with members of another kind.
    var removedGroups: Set<String> = []
    var policies: [Change<PolicyRules>] = []
    var subjects: [Change<PolicySubject>] = []

    var isEmpty: Bool { groups.isEmpty && removedGroups.isEmpty && policies.isEmpty && subjects.isEmpty }
}
