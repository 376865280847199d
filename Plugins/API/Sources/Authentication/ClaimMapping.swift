import CEL
import Objects

/// How the claims of a token name a user: `claimMappings` of an issuer's settings.
struct ClaimMapping: Sendable {
    /// Where a value comes from.
    enum Source: Sendable {
        /// A claim's value, behind a prefix.
        case claim(String, prefix: String)
        case expression(ClaimExpression)
    }

    var username: Source
    var groups: Source?
    var uid: Source?
    var extra: [(key: String, expression: ClaimExpression)] = []

    func user(_ claims: JSON) throws(TokenIssuer.Refusal) -> UserInfo {
        if case .claim("email", _) = username {
            // An address that the issuer knows not to be checked names nobody.
            if claims["email_verified"].exists, claims["email_verified"].boolValue != true {
                throw .init(reason: "email not verified")
            }
        }
        let name = try Self.texts(username, claims, "username")
        guard name.count == 1, let name = name.first, !name.isEmpty else {
            throw .init(reason: "the token's claims give no username")
        }
        var user = UserInfo(name: name)
        if let groups { user.groups = try Self.texts(groups, claims, "groups").filter { !$0.isEmpty } }
        if let uid { user.uid = try Self.texts(uid, claims, "uid").first ?? "" }
        for (key, expression) in extra {
            let values = try Self.texts(.expression(expression), claims, "extra \(key)").filter { !$0.isEmpty }
            if !values.isEmpty { user.extra[key] = values }
        }
        return user
    }

    /// The text, or the texts of a list, that a source gives.
    private static func texts(
        _ source: Source, _ claims: JSON, _ what: String
    ) throws(TokenIssuer.Refusal) -> [String] {
        let value: JSON
        let start: String
        switch source {
        case .claim(let name, let prefix):
            value = claims[name]
            start = prefix
        case .expression(let expression):
            start = ""
            do throws(CELError) {
                value = try expression.evaluate(claims).json()
            } catch {
                throw .init(reason: "error evaluating \(what) claim expression: \(error)")
            }
        }
        if let text = value.stringValue { return text.isEmpty ? [] : [start + text] }
        guard value.exists else { return [] }
        let texts = value.arrayValue.compactMap(\.stringValue)
        guard case .array(let elements) = value, texts.count == elements.count else {
            throw .init(reason: "the \(what) of a token must be text or a list of texts")
        }
        return texts.map { start + $0 }
    }
}
