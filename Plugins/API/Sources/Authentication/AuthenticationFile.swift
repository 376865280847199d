import ObjectSchema
import Objects
import PluginKit

/// A file of kind AuthenticationConfiguration: the issuers of tokens, and where requests may be anonymous.
/// See https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-authentication-configuration.
struct AuthenticationFile: Sendable {
    private let file: ConfigurationFile
    /// What the options say of anonymous requests, which holds where the file says nothing.
    private let anonymous: JSON
    private let reserved: [String]

    init(path: String, anonymous: JSON, reserved: [String]) {
        file = ConfigurationFile(
            path: path, kind: "AuthenticationConfiguration", versions: ["v1", "v1beta1"], shape: Self.shape)
        self.anonymous = anonymous
        self.reserved = reserved
    }

    var path: String { file.path }

    func read() throws(PluginError) -> [UInt8] { try file.read() }

    /// - Throws: all that is wrong with a content, each with its place.
    func settings(_ content: [UInt8]) throws(PluginError) -> AuthenticationSettings.Named {
        let json = try file.parse(content)
        var faults: [FieldError] = []
        let issuers = AuthenticationSettings.issuers(json["jwt"].arrayValue, at: "jwt", reserved: reserved, &faults)
        let said = json["anonymous"]
        if said.exists, anonymous.exists {
            faults.append(.forbidden("anonymous", "option authentication.anonymous is given already; give one of them"))
        }
        faults += AnonymousAccess.faults(in: said, at: "anonymous")
        if let error = file.error(faults) { throw error }
        return .init(anonymous: AnonymousAccess(said.exists ? said : anonymous, isExact: said.exists), issuers: issuers)
    }

    private static let claim = ConfigurationShape.object(["claim": .text, "prefix": .text, "expression": .text])

    private static let shape = ConfigurationShape.object([
        "apiVersion": .text, "kind": .text,
        "anonymous": .object(["enabled": .flag, "conditions": .list(.object(["path": .text]))]),
        "jwt": .list(
            .object([
                "issuer": .object([
                    "url": .text, "discoveryURL": .text, "certificateAuthority": .text, "audiences": .list(.text),
                    "audienceMatchPolicy": .text, "egressSelectorType": .text,
                ]),
                "claimValidationRules": .list(
                    .object(["claim": .text, "requiredValue": .text, "expression": .text, "message": .text])),
                "claimMappings": .object([
                    "username": claim, "groups": claim, "uid": .object(["claim": .text, "expression": .text]),
                    "extra": .list(.object(["key": .text, "valueExpression": .text])),
                ]),
                "userValidationRules": .list(.object(["expression": .text, "message": .text])),
            ])),
    ])
}
