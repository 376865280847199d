/// The members that every Kubernetes object has, read and written in place.
/// See https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/.
extension JSON {
    public var apiVersion: String {
        get { self["apiVersion"].stringValue ?? "" }
        set { self["apiVersion"] = .string(newValue) }
    }

    public var kind: String {
        get { self["kind"].stringValue ?? "" }
        set { self["kind"] = .string(newValue) }
    }

    public var metadata: JSON {
        get { self["metadata"] }
        set { self["metadata"] = newValue }
        _modify { yield &self["metadata"] }
    }

    /// Empty when absent, as are the other strings here.
    public var name: String {
        get { metadata["name"].stringValue ?? "" }
        set { metadata["name"] = .string(newValue) }
    }

    /// Empty for an object that is not in a namespace.
    public var namespace: String {
        get { metadata["namespace"].stringValue ?? "" }
        set { metadata["namespace"] = .string(newValue) }
    }

    public var uid: String {
        get { metadata["uid"].stringValue ?? "" }
        set { metadata["uid"] = .string(newValue) }
    }

    public var resourceVersion: String {
        get { metadata["resourceVersion"].stringValue ?? "" }
        set { metadata["resourceVersion"] = .string(newValue) }
    }

    /// 0 when absent.
    public var generation: Int64 {
        get { metadata["generation"].integerValue ?? 0 }
        set { metadata["generation"] = .integer(newValue) }
    }

    /// An object of strings, or null.
    public var labels: JSON {
        get { metadata["labels"] }
        set { metadata["labels"] = newValue }
        _modify { yield &self["metadata"]["labels"] }
    }

    /// An object of strings, or null.
    public var annotations: JSON {
        get { metadata["annotations"] }
        set { metadata["annotations"] = newValue }
        _modify { yield &self["metadata"]["annotations"] }
    }

    public var ownerReferences: [JSON] {
        get { metadata["ownerReferences"].arrayValue }
        set { metadata["ownerReferences"] = .array(newValue) }
    }

    /// The owner reference that has `controller: true`; null when there is none.
    public var controllerReference: JSON {
        ownerReferences.first { $0["controller"].boolValue == true } ?? .null
    }

    public var finalizers: [String] { metadata["finalizers"].arrayValue.compactMap(\.stringValue) }

    /// RFC 3339; nil while the object is not being deleted.
    public var deletionTimestamp: String? { metadata["deletionTimestamp"].stringValue }

    public var creationTimestamp: String? { metadata["creationTimestamp"].stringValue }

    /// "NAMESPACE/NAME", or "NAME" for an object that is not in a namespace.
    public var namespacedName: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }

    /// An entry for `ownerReferences` of an object that this one owns and controls.
    public func controllerOwnerReference() -> JSON {
        [
            "apiVersion": .string(apiVersion), "kind": .string(kind), "name": .string(name), "uid": .string(uid),
            "controller": true, "blockOwnerDeletion": true,
        ]
    }
}
