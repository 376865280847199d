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
