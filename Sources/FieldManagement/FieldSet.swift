/// A set of paths into an object: what somebody owns, has changed, or is in conflict about.
///
/// It is a tree of steps. A path is a member when its last step says so; a path whose steps only lead to members is not.
/// The empty path, the object as a whole, is never a member. Complexity: the operations on two sets visit each step once.
public struct FieldSet: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var isMember = false
        var children = FieldSet()
    }

    private(set) var entries: [FieldStep: Entry]

    public init() { entries = [:] }

    init(entries: [FieldStep: Entry]) { self.entries = entries }

    /// A set of these paths.
    public init(_ paths: [[FieldStep]]) {
        self.init()
        for path in paths { insert(path) }
    }

    public var isEmpty: Bool { entries.isEmpty }

    subscript(step: FieldStep) -> Entry? {
        get { entries[step] }
        set {
            if let newValue, newValue.isMember || !newValue.children.isEmpty {
                entries[step] = newValue
            } else {
                entries[step] = nil
            }
        }
    }

    /// Adds a path; the empty one is ignored.
    public mutating func insert(_ path: [FieldStep]) { insert(path[...]) }

    private mutating func insert(_ path: ArraySlice<FieldStep>) {
        guard let first = path.first else { return }
        if path.count == 1 {
            entries[first, default: Entry()].isMember = true
        } else {
            entries[first, default: Entry()].children.insert(path.dropFirst())
        }
    }

    /// Whether the path itself is a member.
    public func contains(_ path: [FieldStep]) -> Bool {
        var set = self
        for (position, step) in path.enumerated() {
            guard let entry = set.entries[step] else { return false }
            if position == path.count - 1 { return entry.isMember }
            set = entry.children
        }
        return false
    }

    /// What is in the set below a step.
    public func below(_ step: FieldStep) -> FieldSet { entries[step]?.children ?? FieldSet() }

    /// All members, in order.
    public var paths: [[FieldStep]] {
        var result: [[FieldStep]] = []
        collect([], into: &result)
        return result
    }

    private func collect(_ prefix: [FieldStep], into result: inout [[FieldStep]]) {
        for step in entries.keys.sorted() {
            guard let entry = entries[step] else { continue }
            let path = prefix + [step]
            if entry.isMember { result.append(path) }
            entry.children.collect(path, into: &result)
        }
    }
}

// MARK: - Algebra

extension FieldSet {
    /// What is in either.
    public func union(_ other: FieldSet) -> FieldSet {
        if isEmpty { return other }
        var result = self
        for (step, entry) in other.entries {
            guard let own = result.entries[step] else {
                result.entries[step] = entry
                continue
            }
            result.entries[step] = Entry(
                isMember: own.isMember || entry.isMember, children: own.children.union(entry.children))
        }
        return result
    }

    /// What is in both.
    public func intersection(_ other: FieldSet) -> FieldSet {
        var result = FieldSet()
        for (step, entry) in entries {
            guard let foreign = other.entries[step] else { continue }
            result[step] = Entry(
                isMember: entry.isMember && foreign.isMember,
                children: entry.children.intersection(foreign.children))
        }
        return result
    }

    /// What is in this one and not in the other. What lies below a member of the other stays.
    public func subtracting(_ other: FieldSet) -> FieldSet {
        if other.isEmpty { return self }
        var result = self
        for (step, foreign) in other.entries {
            guard let own = entries[step] else { continue }
            result[step] = Entry(
                isMember: own.isMember && !foreign.isMember, children: own.children.subtracting(foreign.children))
        }
        return result
    }

    /// As `subtracting`, and without what lies below a member of the other.
    public func subtractingRecursively(_ other: FieldSet) -> FieldSet {
        var result = self
        for (step, foreign) in other.entries {
            guard let own = entries[step] else { continue }
            result[step] =
                foreign.isMember
                ? nil
                : Entry(isMember: own.isMember, children: own.children.subtractingRecursively(foreign.children))
        }
        return result
    }

    /// With every named field on the way to a member as a member too, so that an object of which all was taken away is
    /// taken away itself.
    func withNamedFields(_ type: FieldType) -> FieldSet {
        var result = FieldSet()
        for (step, entry) in entries {
            var isMember = entry.isMember
            if case .field(let name) = step, !entry.children.isEmpty, type.hasField(name) { isMember = true }
            result[step] = Entry(
                isMember: isMember, children: entry.children.withNamedFields(type.inside(step)))
        }
        return result
    }
}
