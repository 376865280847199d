import ObjectSchema
import Objects

/// One resource of one API version as the server serves it.
final class Resource: Sendable {
    struct Subresource: Sendable, Hashable {
        var name: String
        var group: String
        var version: String
        var kind: String
        var verbs: [String]
    }

    let group: String
    let version: String
    let kind: String
    let plural: String
    let singular: String
    let shortNames: [String]
    let categories: [String]
    let isNamespaced: Bool
    let verbs: [String]
    let subresources: [Subresource]
    /// The version in which objects are stored.
    let storageVersion: String
    /// Fields of objects that selectors may name, without the leading dot; metadata.name and namespace go without saying.
    let selectableFields: [String]
    /// What the index of an object takes from the object as it is stored: the same, and those of the other versions.
    let indexedFields: [SelectableField]

    /// "v1", "apps/v1".
    let apiVersion: String
    let storageAPIVersion: String
    /// "pods", "deployments.apps": in store keys and messages.
    let qualified: String
    let hasStatus: Bool
    /// Whether `metadata.generation` counts the changes of its spec.
    let hasGeneration: Bool
    /// A resource of requests that are answered and not stored, such as reviews.
    let isVirtual: Bool
    /// A resource of what is measured when it is asked for.
    var isMeasured: Bool { group == UsageObjects.group }
    /// What whoever uses it is warned of; nil for a resource that stays.
    let deprecation: String?
    /// What a custom resource's definition says of this version; nil for the server's own resources.
    let custom: CustomVersion?
    /// The type of its objects, once somebody has looked it up (`SchemaRules`).
    let knownSchema = NodeReference()

    init(
        group: String, version: String, kind: String, plural: String, singular: String, shortNames: [String] = [],
        categories: [String] = [], isNamespaced: Bool, verbs: [String], subresources: [Subresource] = [],
        storageVersion: String? = nil, storageGroup: String? = nil, selectableFields: [String] = [],
        hasGeneration: Bool = false, custom: CustomVersion? = nil
    ) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.singular = singular
        self.shortNames = shortNames
        self.categories = categories
        self.isNamespaced = isNamespaced
        self.verbs = verbs
        self.subresources = subresources
        self.storageVersion = storageVersion ?? version
        self.selectableFields = selectableFields
        apiVersion = group.isEmpty ? version : "\(group)/\(version)"
        let storedGroup = storageGroup ?? group
        storageAPIVersion = storedGroup.isEmpty ? self.storageVersion : "\(storedGroup)/\(self.storageVersion)"
        let qualified = storedGroup.isEmpty ? plural : "\(plural).\(storedGroup)"
        self.qualified = qualified
        indexedFields = custom?.fields.stored ?? selectableFields.map { SelectableField($0, of: qualified) }
        hasStatus = subresources.contains { $0.name == "status" }
        self.hasGeneration = hasGeneration
        isVirtual = !verbs.contains("get")
        deprecation = custom == nil ? Self.deprecations[qualified] : nil
        self.custom = custom
    }

    private static let deprecations = [
        "endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        "componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
    ]

    /// The name under which an index has a selectable field.
    func indexName(of field: String) -> String {
        guard let custom, selectableFields.contains(field) else { return "." + field }
        return "." + custom.fields.prefix(of: version) + field
    }

    func key(_ namespace: String, _ name: String) -> String { "\(qualified)/\(namespace)/\(name)" }

    func prefix(_ namespace: String) -> String { namespace.isEmpty ? "\(qualified)/" : "\(qualified)/\(namespace)/" }

    /// The kind of a list of these objects.
    var listKind: String { custom?.listKind ?? kind + "List" }

    /// Whether these objects are definitions of custom resources.
    var isDefinition: Bool { qualified == CustomVersion.definitions }

    /// The verbs that discovery tells of: objects of a definition that is being deleted only go.
    var listedVerbs: [String] {
        custom?.isTerminating == true ? verbs.filter { !["create", "update", "patch"].contains($0) } : verbs
    }

    func has(_ verb: String) -> Bool { verbs.contains(verb) }

    func subresource(_ name: String) -> Subresource? { subresources.first { $0.name == name } }
}
