import ObjectSchema
import Objects

/// Where requests without credentials are system:anonymous's, rather than nobody's: `anonymous` of Kubernetes'
/// AuthenticationConfiguration. What system:anonymous may there is for the authorizers to say.
struct AnonymousAccess: Sendable, Equatable {
    /// Nil: everywhere.
    private let paths: [String]?
    /// Whether what lies below a path is not meant with it.
    private let isExact: Bool

    /// Health, and the version, which clients ask for to find out whom they speak to.
    static let standard = AnonymousAccess(paths: ["/healthz", "/livez", "/readyz", "/version"])

    init(paths: [String]?, isExact: Bool = false) {
        self.paths = paths
        self.isExact = isExact
    }

    /// - Parameters:
    ///   - json: Absent: the standard.
    ///   - isExact: As Kubernetes takes paths.
    init(_ json: JSON, isExact: Bool = false) {
        guard json.exists else {
            self = .standard
            return
        }
        guard json["enabled"].boolValue == true else {
            self.init(paths: [])
            return
        }
        let conditions = json["conditions"].arrayValue.compactMap { $0["path"].stringValue }
        self.init(paths: conditions.isEmpty ? nil : conditions, isExact: isExact)
    }

    /// What is wrong with a setting.
    static func faults(in json: JSON, at place: String) -> [FieldError] {
        var faults: [FieldError] = []
        let conditions = json["conditions"].arrayValue
        if json["enabled"].boolValue != true, !conditions.isEmpty {
            faults.append(
                .invalid(
                    "\(place).conditions", json["conditions"],
                    "enabled should be set to true when conditions are defined"))
        }
        for (index, condition) in conditions.enumerated() where (condition["path"].stringValue ?? "").isEmpty {
            faults.append(.required("\(place).conditions[\(index)].path"))
        }
        return faults
    }

    /// - Parameter target: A request's path, with or without a query.
    func isOpen(_ target: String) -> Bool {
        guard let paths else { return true }
        let path = target.prefix { $0 != "?" }
        // The single checks of a health endpoint lie below it.
        return paths.contains { path == $0 || !isExact && path.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") }
    }
}
