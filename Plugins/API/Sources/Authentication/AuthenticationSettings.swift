import CEL
import Objects
import PluginKit

/// The option `authentication`, read: who else may name users besides the server itself.
struct AuthenticationSettings: Sendable {
    var anonymous = AnonymousAccess.standard
    var acceptsBootstrapTokens = true
    var issuers: [Issuer] = []
    var webhook: Webhook?

    struct Issuer: Sendable {
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

    /// - Throws: what cannot be, with its place.
    init(_ json: JSON) throws(PluginError) {
        anonymous = AnonymousAccess(json["anonymous"])
        acceptsBootstrapTokens = json["bootstrapTokens"].boolValue ?? true
        for (index, issuer) in json["jwt"].arrayValue.enumerated() {
            let read = try IssuerReader(json: issuer, place: "option authentication.jwt[\(index)]").issuer()
            guard !issuers.contains(where: { $0.url == read.url }) else {
                throw PluginError.invalid(
                    "option authentication.jwt[\(index)].issuer.url is \"\(read.url)\" again: issuers must differ")
            }
            issuers.append(read)
        }
        guard json["webhook"].exists else { return }
        let place = "option authentication.webhook"
        webhook = Webhook(
            connection: try WebhookConnectionSettings(json["webhook"], at: place, timeout: "10s"),
            keep: try WebhookConnectionSettings.duration(
                json["webhook"]["cacheTTL"], at: place + ".cacheTTL", fallback: "2m"))
    }

    /// The authenticators of tokens, in Kubernetes' order.
    func authenticators(_ store: StoreClient, audience: String, _ log: Log) -> [any TokenAuthenticator] {
        let client = WebhookClient(store: store)
        var all: [any TokenAuthenticator] = []
        if acceptsBootstrapTokens { all.append(BootstrapTokens(store: store, audience: audience)) }
        for issuer in issuers {
            let keys = IssuerKeys(
                issuer: issuer.url, discovery: issuer.discovery, authority: issuer.authority, client: client, log: log)
            all.append(
                TokenIssuer(
                    .init(
                        url: issuer.url, audiences: issuer.audiences, requiredClaims: issuer.requiredClaims,
                        claimRules: issuer.claimRules, userRules: issuer.userRules, mapping: issuer.mapping, keys: keys),
                    apiAudience: audience))
        }
        if let webhook {
            all.append(
                TokenWebhook(
                    webhook.connection, keep: webhook.keep, apiAudience: audience, client: client, log: log))
        }
        return all
    }
}

/// Reads the settings of one issuer.
private struct IssuerReader {
    let json: JSON
    let place: String

    func issuer() throws(PluginError) -> AuthenticationSettings.Issuer {
        let issuer = json["issuer"]
        let authority = Array((issuer["certificateAuthority"].stringValue ?? "").utf8)
        let url = issuer["url"].stringValue ?? ""
        let discoveryURL = issuer["discoveryURL"].stringValue ?? ""
        guard WebhookTarget(url: url, authorities: authority) != nil else {
            throw invalid("issuer.url is \"\(url)\": it must be an https URL")
        }
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        let discovery = discoveryURL.isEmpty ? base + "/.well-known/openid-configuration" : discoveryURL
        guard let target = WebhookTarget(url: discovery, authorities: authority) else {
            throw invalid("issuer.discoveryURL is \"\(discoveryURL)\": it must be an https URL")
        }
        let audiences = issuer["audiences"].arrayValue.compactMap(\.stringValue).filter { !$0.isEmpty }
        guard !audiences.isEmpty else { throw invalid("issuer.audiences must name whom the tokens are for") }
        let (required, rules) = try claimRules()
        return .init(
            url: url, discovery: target, authority: authority, audiences: audiences, requiredClaims: required,
            claimRules: rules, userRules: try userRules(), mapping: try mapping())
    }

    private func invalid(_ text: String) -> PluginError { .invalid("\(place).\(text)") }

    private func expression(
        _ value: JSON, _ subject: ClaimExpression.Subject, at field: String, wanted: [CELType], _ names: String
    ) throws(PluginError) -> ClaimExpression {
        let compiled: ClaimExpression
        do throws(CELIssues) {
            compiled = try ClaimExpression(value.stringValue ?? "", subject)
        } catch {
            throw invalid("\(field): compilation failed: \(error)")
        }
        guard wanted.contains(compiled.resultType) || compiled.resultType == .dyn else {
            throw invalid("\(field): must evaluate to \(names)")
        }
        return compiled
    }

    private func claimRules() throws(PluginError) -> ([(claim: String, value: String)], [TokenIssuer.Rule]) {
        var required: [(claim: String, value: String)] = []
        var rules: [TokenIssuer.Rule] = []
        for (index, rule) in json["claimValidationRules"].arrayValue.enumerated() {
            let field = "claimValidationRules[\(index)]"
            switch (rule["claim"].stringValue ?? "", rule["expression"].isEmpty) {
            case ("", true): throw invalid("\(field) must have a claim or an expression")
            case (let claim, true): required.append((claim, rule["requiredValue"].stringValue ?? ""))
            case ("", false):
                let compiled = try expression(
                    rule["expression"], .claims, at: field + ".expression", wanted: [.bool], "bool")
                rules.append(.init(expression: compiled, message: rule["message"].stringValue ?? ""))
            case (_, false): throw invalid("\(field) must not have both a claim and an expression")
            }
        }
        return (required, rules)
    }

    private func userRules() throws(PluginError) -> [TokenIssuer.Rule] {
        var rules: [TokenIssuer.Rule] = []
        for (index, rule) in json["userValidationRules"].arrayValue.enumerated() {
            let compiled = try expression(
                rule["expression"], .user, at: "userValidationRules[\(index)].expression", wanted: [.bool], "bool")
            rules.append(.init(expression: compiled, message: rule["message"].stringValue ?? ""))
        }
        return rules
    }

    private func mapping() throws(PluginError) -> ClaimMapping {
        let mappings = json["claimMappings"]
        guard let username = try source(mappings["username"], "username", hasPrefix: true, isList: false) else {
            throw invalid("claimMappings.username must have a claim or an expression")
        }
        var mapping = ClaimMapping(username: username)
        mapping.groups = try source(mappings["groups"], "groups", hasPrefix: true, isList: true)
        mapping.uid = try source(mappings["uid"], "uid", hasPrefix: false, isList: false)
        for (index, extra) in mappings["extra"].arrayValue.enumerated() {
            let field = "claimMappings.extra[\(index)]"
            let key = extra["key"].stringValue ?? ""
            guard key.contains("/"), key == key.lowercased(), !key.hasPrefix("/") else {
                throw invalid(
                    "\(field).key is \"\(key)\": it must be a path behind a domain, such as example.com/team, in lower case"
                )
            }
            let domain = key.prefix { $0 != "/" }
            guard !["kubernetes.io", "k8s.io"].contains(where: { domain == $0 || domain.hasSuffix("." + $0) }) else {
                throw invalid("\(field).key is \"\(key)\": kubernetes.io and k8s.io are reserved")
            }
            let compiled = try expression(
                extra["valueExpression"], .claims, at: field + ".valueExpression",
                wanted: [.string, .list(.string), .list(.dyn)], "a string or a list of strings")
            mapping.extra.append((key, compiled))
        }
        return mapping
    }

    private func source(
        _ mapping: JSON, _ name: String, hasPrefix: Bool, isList: Bool
    ) throws(PluginError) -> ClaimMapping.Source? {
        let field = "claimMappings.\(name)"
        let claim = mapping["claim"].stringValue ?? ""
        if claim.isEmpty, mapping["expression"].isEmpty { return nil }
        guard claim.isEmpty || mapping["expression"].isEmpty else {
            throw invalid("\(field) must not have both a claim and an expression")
        }
        if !claim.isEmpty {
            guard !hasPrefix || mapping["prefix"].stringValue != nil else {
                throw invalid("\(field).prefix must be given with a claim; \"\" means none")
            }
            return .claim(claim, prefix: mapping["prefix"].stringValue ?? "")
        }
        let wanted: [CELType] = isList ? [.string, .list(.string), .list(.dyn)] : [.string]
        return .expression(
            try expression(
                mapping["expression"], .claims, at: field + ".expression", wanted: wanted,
                isList ? "a string or a list of strings" : "string"))
    }
}
