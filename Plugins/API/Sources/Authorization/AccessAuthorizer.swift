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
}
