import Objects

/// One write as admission sees it.
struct AdmissionRequest: Sendable {
    /// As webhooks and policies name it.
    enum Operation: String, Sendable {
        case create = "CREATE"
        case update = "UPDATE"
        case delete = "DELETE"
        /// A client is connected to what a subresource reaches; nothing is written.
        case connect = "CONNECT"
    }

    let operation: Operation
    /// In the version in which its objects are stored, as `object` and `old` are.
    let resource: Resource
    /// "" for the object itself, else "status", "resize", "scale", …
    let subresource: String
    /// Who asks, and how.
    let context: RequestContext
    /// What is there before the write; null for a creation.
    let old: JSON
    /// What will be there; null for a deletion. Of a connection its options.
    var object: JSON
    /// What is written in the same transaction.
    var steps: [AllocationStep] = []
    /// Whether quotas count the new object: what it uses is charged when it is written.
    var isCharged = false
    /// Whether the object goes with its whole collection.
    var isOfCollection = false
    /// For the client, each as a header.
    var warnings: [String] = []
    /// Once policies or webhooks that may change the object have been asked.
    private(set) var rounds: AdmissionRounds?

    init(
        _ operation: Operation, _ resource: Resource, subresource: String = "", _ context: RequestContext,
        old: JSON = .null, object: JSON = .null
    ) {
        self.operation = operation
        self.resource = resource
        self.subresource = subresource
        self.context = context
        self.old = old
        self.object = object
    }

    var name: String {
        switch operation {
        case .create, .update: object.name
        case .delete: old.name
        case .connect: context.path.name
        }
    }
    var namespace: String {
        switch operation {
        case .create, .update: object.namespace
        case .delete: old.namespace
        case .connect: context.path.namespace
        }
    }
    var user: UserInfo { context.request.user }

    /// What is kept between the rounds of asking; made when it is needed first.
    mutating func startRounds() -> AdmissionRounds {
        if let rounds { return rounds }
        let made = AdmissionRounds()
        rounds = made
        return made
    }

    /// Whether the objects are of a kind that the subresource has for itself, such as a Scale or an Eviction, and so the same
    /// whatever the version of the resource.
    var isOfOwnKind: Bool {
        if operation == .connect { return true }
        guard !subresource.isEmpty, let found = context.resource.subresource(subresource) else { return false }
        return found.kind != context.resource.kind
    }

    /// The name that policies and webhooks are told: that of the request, and so none where a collection is deleted.
    var nameOfRequest: String {
        if isOfCollection { return "" }
        return operation == .create && subresource.isEmpty ? object.name : context.path.name
    }

    /// The namespace that policies and webhooks are told: of a namespace its own name.
    var namespaceOfRequest: String {
        if resource.isNamespaced { return namespace }
        guard resource.qualified == "namespaces" else { return "" }
        return nameOfRequest
    }

    /// Whether it is such a write of an object itself, not of a subresource.
    func isWrite(of qualified: String, _ operation: Operation) -> Bool {
        self.operation == operation && subresource.isEmpty && resource.qualified == qualified
    }

    /// The refusal "PLURAL "NAME" is forbidden: WHY".
    func forbidden(_ why: String) -> APIStatus { .forbidden(resource, name, why) }
}
