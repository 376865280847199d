import ObjectSchema
import Objects

/// The object that a new one is compared with: those fields that every object of the kind has, with nothing in them. So
/// creating an object does not make its author the owner of `spec` as such, only of what is in it.
enum EmptyObject {
    static func make(_ schema: SchemaNode?) -> JSON {
        guard let schema else { return [:] }
        return make(schema, depth: 0)
    }

    private static func make(_ node: SchemaNode, depth: Int) -> JSON {
        var result = JSONObject()
        if depth == 0 { result["metadata"] = [:] }
        // Definitions may contain themselves; objects that are always there do not nest deeper than this.
        guard depth < 16 else { return .object(result) }
        for property in node.properties {
            if property.defaultValue?.objectValue?.isEmpty == true {
                result[property.name] = make(property.node, depth: depth + 1)
            } else if property.isRequired {
                result[property.name] = .null
            }
        }
        return .object(result)
    }
}
