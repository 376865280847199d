import ObjectSchema
import Objects

/// The merge of server-side apply without its bookkeeping, for those who change objects without owning fields of them.
public enum AppliedConfiguration {
    /// The object with what the configuration has put over it: maps by key, lists by their list type.
    /// - Parameter schema: The object's; without one all lists are atomic.
    /// - Complexity: O(size of both).
    public static func merge(_ configuration: JSON, over object: JSON, _ schema: SchemaNode?) -> JSON {
        TypedMerge.merge(configuration, over: object, FieldType(node: schema, property: nil))
    }
}

extension AppliedConfiguration {
    /// Looks whether a configuration is one of the schema's.
    /// - Throws: unknown fields, values of other types, elements that are there twice.
    public static func check(_ configuration: JSON, _ schema: SchemaNode?) throws(TypedObjectError) {
        _ = try FieldSet.fields(of: configuration, schema: schema, isStrict: true)
    }

    /// The parts of a configuration, by path, that would replace as a whole what is there: atomic lists, maps and structs.
    /// - Parameter schema: The object's; without one all lists are atomic.
    public static func atomicParts(of configuration: JSON, _ schema: SchemaNode?) -> [String] {
        var found: [String] = []
        visit(configuration, FieldType(node: schema, property: nil), "", &found)
        return found
    }

    private static func visit(_ value: JSON, _ type: FieldType, _ path: String, _ found: inout [String]) {
        switch value {
        case .object(let members):
            if type.division(of: value) == .leaf { found.append(path) }
            for (name, member) in members where type.hasField(name) {
                visit(member, type.member(name), "\(path).\(name)", &found)
            }
        case .array(let elements):
            if type.division(of: value) == .leaf { found.append(path) }
            for (index, element) in elements.enumerated() {
                visit(element, type.element, "\(path)[\(index)]", &found)
            }
        default: break
        }
    }
}
