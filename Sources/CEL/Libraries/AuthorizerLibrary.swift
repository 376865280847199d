/// What an expression may ask about permissions; supplied by whoever evaluates it.
public protocol CELAuthorizer: Sendable {
    /// - Throws: why the question cannot be answered.
    func decide(_ question: CELAccessQuestion) throws(CELError) -> CELAccessDecision
}

/// Whether somebody may do something.
public struct CELAccessQuestion: Sendable, Hashable {
    /// Namespace and name of a service account; nil for whoever makes the request.
    public var serviceAccount: (namespace: String, name: String)? {
        accountNamespace.map { ($0, accountName) }
    }
    var accountNamespace: String?
    var accountName = ""
    /// Of a question that is not about a resource.
    public internal(set) var path: String?
    public internal(set) var group = ""
    public internal(set) var resource = ""
    public internal(set) var subresource = ""
    public internal(set) var namespace = ""
    public internal(set) var name = ""
    public internal(set) var fieldSelector: String?
    public internal(set) var labelSelector: String?
    public internal(set) var verb = ""

    public init() {}

    /// The question whether a resource may be accessed.
    public init(group: String, resource: String, subresource: String, namespace: String, name: String) {
        self.group = group
        self.resource = resource
        self.subresource = subresource
        self.namespace = namespace
        self.name = name
    }
}

/// The answer.
public struct CELAccessDecision: CELOpaque, Hashable {
    public let isAllowed: Bool
    public let reason: String
    /// Why the question could not be answered, if so.
    public let error: String?

    public init(isAllowed: Bool, reason: String, error: String? = nil) {
        self.isAllowed = isAllowed
        self.reason = reason
        self.error = error
    }

    public var typeName: String { "kubernetes.authorization.Decision" }
    public func equals(_ other: any CELOpaque) -> Bool { (other as? CELAccessDecision) == self }
}

/// A question that an expression is putting together.
struct CELAccess: CELOpaque {
    enum Stage: String, Sendable {
        case authorizer = "kubernetes.authorization.Authorizer"
        case path = "kubernetes.authorization.PathCheck"
        case group = "kubernetes.authorization.GroupCheck"
        case resource = "kubernetes.authorization.ResourceCheck"
    }

    let authorizer: any CELAuthorizer
    var stage: Stage
    var question: CELAccessQuestion

    var typeName: String { stage.rawValue }
    func equals(_ other: any CELOpaque) -> Bool {
        guard let other = other as? CELAccess else { return false }
        return other.stage == stage && other.question == question
    }
}

extension CELValue {
    /// The variable `authorizer`.
    public static func authorizer(_ authorizer: any CELAuthorizer) -> CELValue {
        .opaque(CELAccess(authorizer: authorizer, stage: .authorizer, question: CELAccessQuestion()))
    }

    /// The variable `authorizer.requestResource`.
    public static func resourceCheck(_ authorizer: any CELAuthorizer, _ question: CELAccessQuestion) -> CELValue {
        .opaque(CELAccess(authorizer: authorizer, stage: .resource, question: question))
    }
}

extension CELType {
    /// Of the variable `authorizer`.
    public static let authorizer = CELType.opaque(CELAccess.Stage.authorizer.rawValue)
    /// Of the variable `authorizer.requestResource`.
    public static let resourceCheck = CELType.opaque(CELAccess.Stage.resource.rawValue)
}

extension CELLibrary {
    private static let prefix = "kubernetes.authorization."

    /// What the variable `authorizer` can be asked.
    public static let authorization = CELLibrary(
        "authorization",
        [
            step("Authorizer . path(string): kubernetes.authorization.PathCheck", .path) { $0.path = $1 },
            step("Authorizer . group(string): kubernetes.authorization.GroupCheck", .group) { $0.group = $1 },
            step("GroupCheck . resource(string): kubernetes.authorization.ResourceCheck", .resource) {
                $0.resource = $1
            },
            step("ResourceCheck . subresource(string): kubernetes.authorization.ResourceCheck", .resource) {
                $0.subresource = $1
            },
            step("ResourceCheck . namespace(string): kubernetes.authorization.ResourceCheck", .resource) {
                $0.namespace = $1
            },
            step("ResourceCheck . name(string): kubernetes.authorization.ResourceCheck", .resource) { $0.name = $1 },
            step("ResourceCheck . fieldSelector(string): kubernetes.authorization.ResourceCheck", .resource) {
                $0.fieldSelector = $1
            },
            step("ResourceCheck . labelSelector(string): kubernetes.authorization.ResourceCheck", .resource) {
                $0.labelSelector = $1
            },
            .variadic(
                "\(prefix)Authorizer . serviceAccount(string, string): \(prefix)Authorizer"
            ) { values throws(CELError) in
                var access = try values[0].opaque(CELAccess.self)
                access.question.accountNamespace = try values[1].string()
                access.question.accountName = try values[2].string()
                return .opaque(access)
            },
            check("PathCheck"), check("ResourceCheck"),
            decision("allowed(): bool") { .bool($0.isAllowed) }, decision("reason(): string") { .string($0.reason) },
            decision("error(): string") { .string($0.error ?? "") },
            decision("errored(): bool") { .bool($0.error != nil) },
        ])

    private static func step(
        _ signature: String, _ stage: CELAccess.Stage,
        _ change: @escaping @Sendable (inout CELAccessQuestion, String) -> Void
    ) -> Overload {
        .binary(prefix + signature) { access, text throws(CELError) in
            var access = try access.opaque(CELAccess.self)
            change(&access.question, try text.string())
            access.stage = stage
            return .opaque(access)
        }
    }

    private static func check(_ type: String) -> Overload {
        .binary("\(prefix)\(type) . check(string): \(prefix)Decision", cost: .fixed(350_000)) {
            access, verb throws(CELError) in
            var access = try access.opaque(CELAccess.self)
            access.question.verb = try verb.string()
            return .opaque(try access.authorizer.decide(access.question))
        }
    }

    private static func decision(
        _ signature: String, _ read: @escaping @Sendable (CELAccessDecision) -> CELValue
    ) -> Overload {
        .unary("\(prefix)Decision . \(signature)") { value throws(CELError) in
            read(try value.opaque(CELAccessDecision.self))
        }
    }
}
