/// A resource as discovery lists it: where its objects are served and under which names.
public struct SchemaResource: Sendable, Hashable {
    public struct Subresource: Sendable, Hashable {
        /// "status", "scale".
        public let name: String
        /// The kind that is read and written there.
        public let kind: GroupVersionKind
        public let verbs: [String]

        public init(name: String, kind: GroupVersionKind, verbs: [String]) {
            self.name = name
            self.kind = kind
            self.verbs = verbs
        }
    }

    public let group: String
    public let version: String
    public let plural: String
    public let singular: String
    public let kind: String
    public let isNamespaced: Bool
    public let verbs: [String]
    public let shortNames: [String]
    public let categories: [String]
    public let subresources: [Subresource]

    public init(
        group: String, version: String, plural: String, singular: String, kind: String, isNamespaced: Bool,
        verbs: [String], shortNames: [String], categories: [String], subresources: [Subresource]
    ) {
        self.group = group
        self.version = version
        self.plural = plural
        self.singular = singular
        self.kind = kind
        self.isNamespaced = isNamespaced
        self.verbs = verbs
        self.shortNames = shortNames
        self.categories = categories
        self.subresources = subresources
    }

    public var groupVersionKind: GroupVersionKind { GroupVersionKind(group: group, version: version, kind: kind) }

    /// "apps/v1", or "v1" for the core group.
    public var apiVersion: String { groupVersionKind.apiVersion }

    /// The first part of the store's key: "pods", "deployments.apps".
    public var storageName: String { group.isEmpty ? plural : "\(plural).\(group)" }

    /// Resources, by their storage names, whose objects are what a deletion answers with; of others it answers with a status.
    public static let shownWhenDeleted: Set = [
        "pods", "podtemplates", "services", "serviceaccounts", "resourcequotas", "persistentvolumeclaims",
        "persistentvolumes", "deviceclasses.resource.k8s.io", "resourceclaims.resource.k8s.io",
        "resourceclaimtemplates.resource.k8s.io", "resourceslices.resource.k8s.io", "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io", "storageclasses.storage.k8s.io", "volumeattachments.storage.k8s.io",
        "volumeattributesclasses.storage.k8s.io",
    ]

    public func subresource(_ name: String) -> Subresource? { subresources.first { $0.name == name } }

    public func allows(_ verb: String) -> Bool { verbs.contains(verb) }
}
