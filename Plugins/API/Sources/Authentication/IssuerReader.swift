import CEL
import ObjectSchema
import Objects

/// Reads one entry of `jwt`, an issuer of tokens, and collects what is wrong with it, in Kubernetes' words.
/// See https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/#apiserver-k8s-io-v1-JWTAuthenticator.
struct IssuerReader {
    let json: JSON
    /// Of the entry: "jwt[0]".
    let place: String
    /// Issuers that are the server's own.
    let reserved: [String]
    private(set) var faults: [FieldError] = []
    private var usesEmail = false
    private var usesEmailVerified = false

    init(_ json: JSON, at place: String, reserved: [String]) {
        self.json = json
        self.place = place
        self.reserved = reserved
    }

    /// Nil when something is wrong; `faults` says what.
    mutating func issuer() -> AuthenticationSettings.Issuer? {
        let issuer = json["issuer"]
        let url = issuer["url"].stringValue ?? ""
        let authority = authority(issuer["certificateAuthority"].stringValue ?? "")
        let discovery = discovery(url, issuer["discoveryURL"].stringValue ?? "", authority)
        let audiences = audiences(issuer)
        checkEgress(issuer["egressSelectorType"].stringValue ?? "")
        let (required, rules) = claimRules()
        let mapping = mapping()
        let userRules = userRules()
        guard faults.isEmpty, let discovery, let mapping else { return nil }
        return .init(
            source: json, url: url, discovery: discovery, authority: authority, audiences: audiences,
            requiredClaims: required, claimRules: rules, userRules: userRules, mapping: mapping)
    }

    // MARK: Issuer

    private mutating func invalid(_ field: String, _ value: String, _ detail: String) {
        faults.append(.invalid("\(place).\(field)", .string(value), detail))
    }
    private mutating func required(_ field: String, _ detail: String = "") {
        faults.append(.required("\(place).\(field)", detail))
    }
    private mutating func duplicate(_ field: String, _ value: String) {
        faults.append(.duplicate("\(place).\(field)", .string(value)))
    }

    private mutating func authority(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        if !bytes.isEmpty {
            do throws(UpstreamError) {
                _ = try TLSClientContext(trust: .authorities(bytes))
            } catch {
                invalid("issuer.certificateAuthority", "<omitted>", error.description)
            }
        }
        return bytes
    }

    /// Where the discovery document is.
    private mutating func discovery(_ url: String, _ other: String, _ authority: [UInt8]) -> WebhookTarget? {
        if url.isEmpty {
            required("issuer.url")
        } else {
            if reserved.contains(url) {
                invalid("issuer.url", url, "URL must not overlap with disallowed issuers: \(reserved)")
            }
            checkURL(url, "issuer.url")
        }
        func trimmed(_ text: String) -> Substring {
            var text = text[...]
            while text.hasSuffix("/") { text.removeLast() }
            return text
        }
        guard !other.isEmpty else {
            let base = url.hasSuffix("/") ? String(url.dropLast()) : url
            return WebhookTarget(url: base + "/.well-known/openid-configuration", authorities: authority)
        }
        if !url.isEmpty, trimmed(url) == trimmed(other) {
            invalid("issuer.discoveryURL", other, "discoveryURL must be different from URL")
        }
        checkURL(other, "issuer.discoveryURL")
        return WebhookTarget(url: other, authorities: authority)
    }

    private mutating func checkURL(_ url: String, _ field: String) {
        guard url.hasPrefix("https://") else { return invalid(field, url, "URL scheme must be https") }
        let rest = url.dropFirst("https://".count)
        let before = faults.count
        if rest.prefix(while: { !"/?#".contains($0) }).contains("@") {
            invalid(field, url, "URL must not contain a username or password")
        }
        let parts = rest.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        if parts[0].contains("?") { invalid(field, url, "URL must not contain a query") }
        if parts.count > 1, !parts[1].isEmpty { invalid(field, url, "URL must not contain a fragment") }
        if before == faults.count, WebhookTarget(url: url, authorities: []) == nil {
            invalid(field, url, "URL must name a host, and a port where that is not 443")
        }
    }

    private mutating func audiences(_ issuer: JSON) -> [String] {
        let audiences = issuer["audiences"].arrayValue.map { $0.stringValue ?? "" }
        let policy = issuer["audienceMatchPolicy"].stringValue ?? ""
        let field = "issuer.audienceMatchPolicy"
        switch audiences.count {
        case 0: required("issuer.audiences", "at least one \(place).issuer.audiences is required")
        case 1 where !policy.isEmpty && policy != "MatchAny":
            invalid(field, policy, "audienceMatchPolicy must be empty or MatchAny for single audience")
        case 1: break
        default:
            if policy != "MatchAny" {
                invalid(field, policy, "audienceMatchPolicy must be MatchAny for multiple audiences")
            }
        }
        for (index, audience) in audiences.enumerated() {
            if audience.isEmpty { required("issuer.audiences[\(index)]") }
            if audiences[..<index].contains(audience) { duplicate("issuer.audiences[\(index)]", audience) }
        }
        return audiences
    }

    private mutating func checkEgress(_ type: String) {
        guard !type.isEmpty else { return }
        invalid(
            "issuer.egressSelectorType", type,
            ["controlplane", "cluster"].contains(type)
                ? "there are no egress selectors here: issuers are connected to directly; leave it out"
                : "egress selector must be either controlplane or cluster")
    }

    // MARK: Rules and mappings

    private mutating func claimRules() -> ([(claim: String, value: String)], [TokenIssuer.Rule]) {
        var required: [(claim: String, value: String)] = []
        var rules: [TokenIssuer.Rule] = []
        for (index, rule) in json["claimValidationRules"].arrayValue.enumerated() {
            let field = "claimValidationRules[\(index)]"
            let (claim, source) = (rule["claim"].stringValue ?? "", rule["expression"].stringValue ?? "")
            let (value, message) = (rule["requiredValue"].stringValue ?? "", rule["message"].stringValue ?? "")
            switch (claim.isEmpty, source.isEmpty) {
            case (false, false): invalid(field, claim, "claim and expression can't both be set")
            case (true, true): self.required(field, "claim or expression is required")
            case (false, true):
                if !message.isEmpty { invalid(field + ".message", message, "may not be specified when claim is set") }
                if required.contains(where: { $0.claim == claim }) { duplicate(field + ".claim", claim) }
                required.append((claim, value))
            case (true, false):
                if !value.isEmpty {
                    invalid(field + ".requiredValue", value, "may not be specified when expression is set")
                }
                add(to: &rules, source, message, .claims, at: field + ".expression")
            }
        }
        return (required, rules)
    }

    private mutating func userRules() -> [TokenIssuer.Rule] {
        var rules: [TokenIssuer.Rule] = []
        for (index, rule) in json["userValidationRules"].arrayValue.enumerated() {
            let field = "userValidationRules[\(index)].expression"
            guard let source = rule["expression"].stringValue, !source.isEmpty else {
                required(field)
                continue
            }
            add(to: &rules, source, rule["message"].stringValue ?? "", .user, at: field)
        }
        return rules
    }

    private mutating func add(
        to rules: inout [TokenIssuer.Rule], _ source: String, _ message: String, _ subject: ClaimExpression.Subject,
        at field: String
    ) {
        guard !rules.contains(where: { $0.expression.source == source }) else { return duplicate(field, source) }
        guard let compiled = expression(source, subject, at: field, wanted: [.bool], "bool") else { return }
        if subject == .claims, compiled.selects("email_verified") { usesEmailVerified = true }
        rules.append(.init(expression: compiled, message: message))
    }

    private mutating func mapping() -> ClaimMapping? {
        let mappings = json["claimMappings"]
        let username = source(mappings["username"], "username", hasPrefix: true, isList: false)
        if case .expression(let expression) = username {
            usesEmail = expression.selects("email")
            usesEmailVerified = usesEmailVerified || expression.selects("email_verified")
        }
        let groups = source(mappings["groups"], "groups", hasPrefix: true, isList: true)
        let uid = source(mappings["uid"], "uid", hasPrefix: false, isList: false)
        let extra = extra(mappings["extra"].arrayValue)
        if usesEmail, !usesEmailVerified {
            invalid(
                "claimMappings.username.expression", mappings["username"]["expression"].stringValue ?? "",
                "claims.email_verified must be used in claimMappings.username.expression or "
                    + "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is "
                    + "used in claimMappings.username.expression")
        }
        return username.map { ClaimMapping(username: $0, groups: groups, uid: uid, extra: extra) }
    }

    private mutating func extra(_ entries: [JSON]) -> [(key: String, expression: ClaimExpression)] {
        var extra: [(key: String, expression: ClaimExpression)] = []
        for (index, entry) in entries.enumerated() {
            let field = "claimMappings.extra[\(index)]"
            let key = entry["key"].stringValue ?? ""
            checkKey(key, field + ".key")
            guard !entries[..<index].contains(where: { $0["key"].stringValue == key }) else {
                duplicate(field + ".key", key)
                continue
            }
            guard let source = entry["valueExpression"].stringValue, !source.isEmpty else {
                required(field + ".valueExpression")
                continue
            }
            let compiled = expression(
                source, .claims, at: field + ".valueExpression", wanted: Self.texts, "a string or a list of strings")
            guard let compiled else { continue }
            usesEmailVerified = usesEmailVerified || compiled.selects("email_verified")
            extra.append((key, compiled))
        }
        return extra
    }

    private mutating func checkKey(_ key: String, _ field: String) {
        let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if key.isEmpty {
            required(field)
        } else if parts.count != 2 || parts.contains("") {
            invalid(field, key, "must be a domain-prefixed path (such as \"acme.io/foo\")")
        } else {
            let lowered = parts[0].lowercased()
            for complaint in NameChecks.dns1123Subdomain(lowered) { invalid(field, key, complaint) }
            if ["kubernetes.io", "k8s.io"].contains(where: { lowered == $0 || lowered.hasSuffix("." + $0) }) {
                invalid(field, key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use")
            }
        }
        if key != key.lowercased() { invalid(field, key, "must be lowercase") }
    }

    private static let texts: [CELType] = [.string, .list(.string), .list(.dyn)]

    private mutating func source(
        _ mapping: JSON, _ name: String, hasPrefix: Bool, isList: Bool
    ) -> ClaimMapping.Source? {
        let field = "claimMappings.\(name)"
        let (claim, source) = (mapping["claim"].stringValue ?? "", mapping["expression"].stringValue ?? "")
        let prefix = mapping["prefix"].stringValue
        switch (claim.isEmpty, source.isEmpty) {
        case (false, false): invalid(field, "", "claim and expression can't both be set")
        case (true, true): if name == "username" { required(field, "claim or expression is required") }
        case (false, true):
            if hasPrefix, prefix == nil {
                required(
                    field + ".prefix",
                    "prefix is required when claim is set. It can be set to an empty string to disable prefixing")
            }
            return .claim(claim, prefix: hasPrefix ? prefix ?? "" : "")
        case (true, false):
            if let prefix { invalid(field + ".prefix", prefix, "may not be specified when expression is set") }
            return expression(
                source, .claims, at: field + ".expression", wanted: isList ? Self.texts : [.string],
                isList ? "a string or a list of strings" : "string"
            ).map { .expression($0) }
        }
        return nil
    }

    private mutating func expression(
        _ source: String, _ subject: ClaimExpression.Subject, at field: String, wanted: [CELType], _ names: String
    ) -> ClaimExpression? {
        let compiled: ClaimExpression
        do throws(CELIssues) {
            compiled = try ClaimExpression(source, subject)
        } catch {
            invalid(field, source, "compilation failed: \(error)")
            return nil
        }
        guard wanted.contains(compiled.resultType) || compiled.resultType == .dyn else {
            invalid(field, source, "must evaluate to \(names)")
            return nil
        }
        return compiled
    }
}
