import CEL
import ObjectSchema
import Objects
import PluginKit

/// The option `authentication`, read: who else may name users besides the server itself.
struct AuthenticationSettings: Sendable {
    /// What a file may say, and say otherwise while requests are served.
    var named = Named()
    var acceptsBootstrapTokens = true
    var webhook: Webhook?
    /// The file that `named` is from; nil when the options say it.
    var file: AuthenticationFile?

    struct Named: Sendable {
        var anonymous = AnonymousAccess.standard
        var issuers: [Issuer] = []
    }

    struct Issuer: Sendable {
        /// The entry of `jwt` that it is from: the same entry is the same issuer.
        var source: JSON
        var url: String
        var discovery: WebhookTarget
        var authority: [UInt8]
        var audiences: [String]
        var requiredClaims: [(claim: String, value: String)]
        var claimRules: [TokenIssuer.Rule]
        var userRules: [TokenIssuer.Rule]
        var mapping: ClaimMapping
    }

    struct Webhook: Sendable {
        var connection: WebhookConnectionSettings
        /// Nanoseconds.
        var keep: UInt64
    }

    init() {}

    /// - Parameter issuer: The server's own, which no other may be called.
    /// - Throws: what cannot be, with its place.
    init(_ json: JSON, issuer: String = "") throws(PluginError) {
        acceptsBootstrapTokens = json["bootstrapTokens"].boolValue ?? true
        let reserved = issuer.isEmpty ? [] : [issuer]
        if let path = json["configFile"].stringValue, !path.isEmpty {
            guard !json["jwt"].exists else {
                throw PluginError.invalid(
                    "option authentication: jwt and configFile must not both be given; put the issuers into \(path)")
            }
            let file = AuthenticationFile(path: path, anonymous: json["anonymous"], reserved: reserved)
            self.file = file
            named = try file.settings(try file.read())
        } else {
            named.anonymous = AnonymousAccess(json["anonymous"])
            // Several audiences of an option go without a policy.
            let entries = json["jwt"].arrayValue.map { entry -> JSON in
                var entry = entry
                if !entry["issuer"]["audienceMatchPolicy"].exists, entry["issuer"]["audiences"].count > 1 {
                    entry["issuer"]["audienceMatchPolicy"] = "MatchAny"
                }
                return entry
            }
            var faults: [FieldError] = []
            named.issuers = Self.issuers(entries, at: "option authentication.jwt", reserved: reserved, &faults)
            guard faults.isEmpty else { throw PluginError.invalid(faults.aggregateMessage) }
        }
        guard json["webhook"].exists else { return }
        let place = "option authentication.webhook"
        webhook = Webhook(
            connection: try WebhookConnectionSettings(json["webhook"], at: place, timeout: "10s"),
            keep: try WebhookConnectionSettings.duration(
                json["webhook"]["cacheTTL"], at: place + ".cacheTTL", fallback: "2m"))
    }

    /// Reads the entries of `jwt`; those that are wrong are left out and told of.
    static func issuers(
        _ entries: [JSON], at place: String, reserved: [String], _ faults: inout [FieldError]
    ) -> [Issuer] {
        guard entries.count <= 64 else {
            faults.append(.tooMany(place, entries.count, limit: 64))
            return []
        }
        var issuers: [Issuer] = []
        for (index, entry) in entries.enumerated() {
            var reader = IssuerReader(entry, at: "\(place)[\(index)]", reserved: reserved)
            if let issuer = reader.issuer() { issuers.append(issuer) }
            faults += reader.faults
            for name in ["url", "discoveryURL"] {
                let value = entry["issuer"][name]
                guard !(value.stringValue ?? "").isEmpty,
                    entries[..<index].contains(where: { $0["issuer"][name] == value })
                else { continue }
                faults.append(.duplicate("\(place)[\(index)].issuer.\(name)", value))
            }
        }
        return issuers
    }
}
