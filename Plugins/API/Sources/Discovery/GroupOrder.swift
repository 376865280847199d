/// The order in which groups and their versions are listed. Pure.
enum GroupOrder {
    struct Group: Sendable {
        struct Version: Sendable {
            var name: String
            var priority: Int64
        }

        var name: String
        var priority: Int64
        var versions: [Version]
    }

    /// Groups by priority, the highest first; equal ones as they were given, those of other servers behind, by name. A group
    /// of several servers has the highest priority that one of its versions asks for.
    static func merged(_ own: [Group], _ others: [AggregatedAPI]) -> [(name: String, versions: [String])] {
        var groups = own
        for api in others.sorted(by: { $0.name.precedesByBytes($1.name) }) {
            let version = Group.Version(name: api.version, priority: api.priority.version)
            guard let index = groups.firstIndex(where: { $0.name == api.group }) else {
                groups.append(Group(name: api.group, priority: api.priority.group, versions: [version]))
                continue
            }
            groups[index].priority = max(groups[index].priority, api.priority.group)
            groups[index].versions.removeAll { $0.name == version.name }
            groups[index].versions.append(version)
            groups[index].versions.sort { left, right in
                left.priority != right.priority
                    ? left.priority > right.priority : VersionPriority.precedes(left.name, right.name)
            }
        }
        guard !others.isEmpty else { return groups.map { ($0.name, $0.versions.map(\.name)) } }
        let sorted = groups.enumerated().sorted { left, right in
            left.element.priority != right.element.priority
                ? left.element.priority > right.element.priority : left.offset < right.offset
        }
        return sorted.map { ($0.element.name, $0.element.versions.map(\.name)) }
    }
}
