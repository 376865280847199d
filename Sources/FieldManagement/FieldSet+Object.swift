import ObjectSchema
import Objects

/// What an object that is applied cannot be: unknown fields, values of other types, lists whose elements cannot be told apart.
public struct TypedObjectError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Each with its path, such as `.spec.replica: field not declared in schema`.
    public let problems: [String]

    public var description: String { problems.joined(separator: "\n") }
}

extension FieldSet {
    /// The fields that an object has.
    ///
    /// With `isStrict`, unknown fields, values of other types and elements that are there twice are errors; otherwise an element without its
    /// keys counts by its position.
    public static func fields(of object: JSON, schema: SchemaNode?, isStrict: Bool = false) throws(TypedObjectError)
        -> FieldSet
    {
        var walker = FieldWalker(isStrict: isStrict)
        let entry = walker.walk(object, FieldType(node: schema, property: nil))
        guard walker.problems.isEmpty else { throw TypedObjectError(problems: walker.problems) }
        return entry.children
    }

    /// As the other one, for an object that has been stored: what is wrong with it is no error.
    static func fields(of object: JSON, _ type: FieldType) -> FieldSet {
        var walker = FieldWalker(isStrict: false)
        return walker.walk(object, type).children
    }
}

private struct FieldWalker {
    let isStrict: Bool
    var problems: [String] = []
    private var path: [FieldStep] = []

    init(isStrict: Bool) { self.isStrict = isStrict }

    mutating func walk(_ value: JSON, _ type: FieldType) -> FieldSet.Entry {
        if isStrict, let mismatch = type.mismatch(with: value) { report(mismatch) }
        let division = type.division(of: value)
        switch division {
        case .leaf: return FieldSet.Entry(isMember: true)
        case .members: return walkMembers(value.objectValue ?? [:], type)
        case .elements, .keyedElements: return walkElements(value.arrayValue, type, division)
        }
    }

    private mutating func walkMembers(_ members: JSONObject, _ type: FieldType) -> FieldSet.Entry {
        var result = FieldSet.Entry()
        for (name, value) in members {
            let step = FieldStep.field(name)
            path.append(step)
            defer { path.removeLast() }
            let isKnown = type.hasField(name)
            if isStrict, type.isClosed, !isKnown { report("field not declared in schema") }
            var entry = walk(value, type.member(name))
            if value.isNull || value.objectValue?.isEmpty == true || !isKnown { entry.isMember = true }
            result.children[step] = entry
        }
        return result
    }

    private mutating func walkElements(
        _ elements: [JSON], _ type: FieldType, _ division: FieldType.Division
    ) -> FieldSet.Entry {
        var result = FieldSet.Entry()
        for (position, element) in elements.enumerated() {
            // Nothing more can be said of a list whose elements cannot be told apart.
            guard let step = step(to: element, position, type, division) else { return result }
            if result.children[step] != nil {
                if isStrict { report("duplicate entries for key \(step)") }
                // What is inside elements that cannot be told apart belongs to nobody by itself.
                result.children[step] = FieldSet.Entry(isMember: true)
                continue
            }
            path.append(step)
            defer { path.removeLast() }
            var entry = walk(element, type.element)
            entry.isMember = true
            result.children[step] = entry
        }
        return result
    }

    private mutating func step(
        to element: JSON, _ position: Int, _ type: FieldType, _ division: FieldType.Division
    ) -> FieldStep? {
        do throws(FieldTypeError) {
            return try type.step(to: element, at: position, division)
        } catch {
            guard isStrict else { return .index(position) }
            report("element \(position): \(error.reason)")
            return nil
        }
    }

    private mutating func report(_ reason: String) {
        problems.append("\(path.map(\.description).joined()): \(reason)")
    }
}
