/// What an authorizer says of an access.
enum AccessDecision: Sendable, Equatable {
    case allowed(reason: String)
    /// No authorizer behind this one is asked.
    case denied(reason: String)
    case noOpinion(reason: String)
    /// Somebody has to be asked, which takes its time: only with `mayWait`.
    case mustWait
}

/// One of those who decide what users may do, besides the stored roles.
protocol AccessAuthorizer: Sendable {
    /// Whether it asks others at all, so that requests may have to wait for it.
    var asksOthers: Bool { get }

    /// - Parameter mayWait: Whether others may be asked. [blocking] then, and only then.
    func decide(_ user: UserInfo, _ wanted: Authorizer.Attributes, mayWait: Bool) -> AccessDecision

    /// What can be listed of what it allows a user.
    func listing(of user: UserInfo) -> AccessListing
}

/// What an authorizer can list of what it allows somebody.
enum AccessListing: Sendable, Equatable {
    /// It allows nothing, or nothing that others do not.
    case nothing
    case everything
    /// It may allow something, and cannot say what, for this reason.
    case unknown(String)
}

/// Says the same of every access: the types AlwaysAllow and AlwaysDeny.
struct UniformAuthorizer: AccessAuthorizer {
    let isAllowing: Bool
    let asksOthers = false

    func decide(_ user: UserInfo, _ wanted: Authorizer.Attributes, mayWait: Bool) -> AccessDecision {
        isAllowing ? .allowed(reason: "") : .noOpinion(reason: "Everything is forbidden.")
    }

    func listing(of user: UserInfo) -> AccessListing { isAllowing ? .everything : .nothing }
}
