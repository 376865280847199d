import Objects

/// Where requests without credentials are system:anonymous's, rather than nobody's: `anonymous` of Kubernetes'
/// AuthenticationConfiguration. What system:anonymous may there is for the authorizers to say.
struct AnonymousAccess: Sendable, Equatable {
    /// Nil: everywhere.
    private let paths: [String]?

    /// Health, and the version, which clients ask for to find out whom they speak to.
    static let standard = AnonymousAccess(paths: ["/healthz", "/livez", "/readyz", "/version"])

    init(paths: [String]?) { self.paths = paths }

    /// - Parameter json: Absent: the standard.
    init(_ json: JSON) {
        guard json.exists else {
            self = .standard
            return
        }
        guard json["enabled"].boolValue == true else {
            self.init(paths: [])
            return
        }
        let conditions = json["conditions"].arrayValue.compactMap { $0["path"].stringValue }
        self.init(paths: conditions.isEmpty ? nil : conditions)
    }

    /// - Parameter target: A request's path, with or without a query.
    func isOpen(_ target: String) -> Bool {
        guard let paths else { return true }
        let path = target.prefix { $0 != "?" }
        // The single checks of a health endpoint lie below it.
        return paths.contains { path == $0 || path.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") }
    }
}
