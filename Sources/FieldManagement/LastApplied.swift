import Objects

/// The annotation in which client-side `kubectl apply` keeps what it applied. Who goes on with server-side apply takes
/// over the fields in it without a conflict.
/// See https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply.
public enum LastApplied {
    public static let annotation = "kubectl.kubernetes.io/last-applied-configuration"
    /// The name under which kubectl applies.
    public static let manager = "kubectl"

    /// Fields that are as they were applied.
    static func fields(of live: JSON, _ type: FieldType) -> FieldSet {
        guard let text = live.annotations[annotation].stringValue else { return FieldSet() }
        do {
            let applied = try JSON(parsing: text)
            guard applied.apiVersion == live.apiVersion else { return FieldSet() }
            let change = FieldComparison(from: applied, to: live, schema: type.node)
            return FieldSet.fields(of: applied, type).subtracting(change.modified).subtracting(change.added)
                .subtracting(change.removed)
        } catch {
            // An annotation that is no JSON gives nobody anything.
            return FieldSet()
        }
    }

    /// The object with the annotation brought up to date, for a client that goes on with client-side apply; only where the
    /// annotation is.
    public static func refreshed(_ object: JSON, config: JSON, manager: String) -> JSON {
        guard manager == self.manager, object.annotations[annotation].exists else { return object }
        var applied = config
        applied["metadata"].removeValue(forKey: "managedFields")
        applied["metadata"]["annotations"].removeValue(forKey: annotation)
        var object = object
        object.annotations[annotation] = .string(applied.serializedString() + "\n")
        return object
    }
}
