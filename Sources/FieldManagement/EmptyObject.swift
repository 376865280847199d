import ObjectSchema
import Objects
import Synchronization

/// The object that a new one is compared with: those fields that every object of the kind has, with nothing in them. So
/// creating an object does not make its author the owner of `spec` as such, only of what is in it.
enum EmptyObject {
    /// By the type's name: there are as many as kinds.
    private static let known = Mutex<[String: JSON]>([:])

    /// Complexity: O(1) but for the first of a kind.
    static func make(_ schema: SchemaNode?) -> JSON {
        guard let schema else { return [:] }
        guard !schema.name.isEmpty else { return make(schema, depth: 0) }
        if let object = known.withLock({ $0[schema.name] }) { return object }
        let object = make(schema, depth: 0)
        known.withLock { $0[schema.name] = object }
        return object
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
