import ObjectSchema
import Objects

/// Which fields two states of an object differ in.
public struct FieldComparison: Sendable, Equatable {
    /// Only in the new one.
    public var added = FieldSet()
    /// In both, with different values.
    public var modified = FieldSet()
    /// Only in the old one.
    public var removed = FieldSet()

    public var isEmpty: Bool { added.isEmpty && modified.isEmpty && removed.isEmpty }

    /// Compares two states. Complexity: O(size of both), with lists' elements found by hash.
    public init(from old: JSON, to new: JSON, schema: SchemaNode?) {
        var walker = Walker()
        walker.compare(old, new, FieldType(node: schema, property: nil))
        self = walker.result
    }

    private init() {}

    private struct Walker {
        var result = FieldComparison()
        private var path: [FieldStep] = []

        init() {}

        /// Nil is absence, which is not null.
        mutating func compare(_ old: JSON?, _ new: JSON?, _ type: FieldType) {
            let division: FieldType.Division
            switch (old, new) {
            case (nil, nil): return
            case (let value?, nil), (nil, let value?): division = type.division(of: value)
            case (let before?, let after?):
                if before == after { return }
                let both = (type.division(of: before), type.division(of: after))
                division = both.0 == both.1 ? both.0 : .leaf
            }
            let isEmpty = (old?.isEmptyContainer ?? true) && (new?.isEmptyContainer ?? true)
            if division == .leaf || isEmpty { return compareLeaf(old, new) }
            if division == .members {
                compareMembers(old?.objectValue ?? [:], new?.objectValue ?? [:], type)
            } else {
                compareElements(old?.arrayValue ?? [], new?.arrayValue ?? [], type, division)
            }
            if old == nil { result.added.insert(path) } else if new == nil { result.removed.insert(path) }
        }

        private mutating func compareLeaf(_ old: JSON?, _ new: JSON?) {
            if old == nil {
                result.added.insert(path)
            } else if new == nil {
                result.removed.insert(path)
            } else {
                result.modified.insert(path)
            }
        }

        private mutating func compareMembers(_ old: JSONObject, _ new: JSONObject, _ type: FieldType) {
            for (name, value) in old { inside(.field(name)) { $0.compare(value, new[name], type.member(name)) } }
            for (name, value) in new where !old.contains(name) {
                inside(.field(name)) { $0.compare(nil, value, type.member(name)) }
            }
        }

        private mutating func compareElements(
            _ old: [JSON], _ new: [JSON], _ type: FieldType, _ division: FieldType.Division
        ) {
            let before = KeyedElements(old, type, division)
            let after = KeyedElements(new, type, division)
            for (step, value) in before.ordered {
                if before.repeated[step] == nil, after.repeated[step] == nil {
                    inside(step) { $0.compare(value, after[step], type.element) }
                } else {
                    inside(step) { $0.compareRepeated(before.all(step), after.all(step), type.element) }
                }
            }
            for (step, value) in after.ordered where before[step] == nil {
                if after.repeated[step] == nil {
                    inside(step) { $0.compare(nil, value, type.element) }
                } else {
                    inside(step) { $0.compareRepeated([], after.all(step), type.element) }
                }
            }
        }

        /// Elements that cannot be told apart are compared as one thing, of which nothing is known but what all of it is.
        private mutating func compareRepeated(_ old: [JSON], _ new: [JSON], _ element: FieldType) {
            if old.count > 1, new.count > 1 {
                if old != new { result.modified.insert(path) }
            } else if old.count > 1 {
                if let only = new.first { compare(nil, only, element) }
                result.removed.insert(path)
            } else {
                if let only = old.first { compare(only, nil, element) }
                result.added.insert(path)
            }
        }

        private mutating func inside(_ step: FieldStep, _ body: (inout Walker) -> Void) {
            path.append(step)
            body(&self)
            path.removeLast()
        }
    }
}

extension JSON {
    /// Null, or without members or elements.
    var isEmptyContainer: Bool {
        switch self {
        case .null: true
        case .object(let object): object.isEmpty
        case .array(let elements): elements.isEmpty
        default: false
        }
    }
}

/// The elements of a list by their steps, in order. Of those that have one step, the first is named.
struct KeyedElements {
    private(set) var ordered: [(step: FieldStep, value: JSON)] = []
    /// All elements of the steps that more than one has.
    private(set) var repeated: [FieldStep: [JSON]] = [:]
    private var positions: [FieldStep: Int] = [:]

    init(_ elements: [JSON], _ type: FieldType, _ division: FieldType.Division) {
        ordered.reserveCapacity(elements.count)
        for (position, element) in elements.enumerated() {
            let step = type.stepOrIndex(to: element, at: position, division)
            guard let first = positions[step] else {
                positions[step] = ordered.count
                ordered.append((step, element))
                continue
            }
            repeated[step, default: [ordered[first].value]].append(element)
        }
    }

    subscript(step: FieldStep) -> JSON? { positions[step].map { ordered[$0].value } }

    func position(of step: FieldStep) -> Int? { positions[step] }

    func all(_ step: FieldStep) -> [JSON] { repeated[step] ?? self[step].map { [$0] } ?? [] }
}
