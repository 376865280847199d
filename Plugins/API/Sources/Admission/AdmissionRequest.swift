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
    /// For the client, each as a header.
    var warnings: [String] = []

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

    /// Whether it is such a write of an object itself, not of a subresource.
    func isWrite(of qualified: String, _ operation: Operation) -> Bool {
        self.operation == operation && subresource.isEmpty && resource.qualified == qualified
    }

    /// The refusal "PLURAL "NAME" is forbidden: WHY".
    func forbidden(_ why: String) -> APIStatus { .forbidden(resource, name, why) }
}
