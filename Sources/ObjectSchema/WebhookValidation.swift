import Objects

/// Rules of webhooks and of where webhooks are.
/// See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/.
enum WebhookValidation {
    private static let versions = ["v1", "v1beta1"]

    static func check(_ object: JSON, _ errors: inout [FieldError]) {
        var names: Set<String> = []
        for (index, webhook) in object["webhooks"].arrayValue.enumerated() {
            let place = "webhooks[\(index)]"
            check(webhook: webhook, place, &errors)
            check(versions: webhook["admissionReviewVersions"], "\(place).admissionReviewVersions", &errors)
            let name = webhook["name"].stringValue ?? ""
            if !name.isEmpty, !names.insert(name).inserted {
                errors.append(.duplicate("\(place).name", .string(name)))
            }
        }
    }

    private static func check(webhook: JSON, _ place: String, _ errors: inout [FieldError]) {
        qualifiedName(webhook["name"].stringValue ?? "", "\(place).name", &errors)
        for (index, rule) in webhook["rules"].arrayValue.enumerated() {
            AdmissionRuleValidation.check(rule, "\(place).rules[\(index)]", &errors)
        }
        client(webhook["clientConfig"], "\(place).clientConfig", &errors)
        AdmissionRuleValidation.check(conditions: webhook["matchConditions"], "\(place).matchConditions", &errors)
    }

    /// A domain of three parts or more.
    private static func qualifiedName(_ name: String, _ place: String, _ errors: inout [FieldError]) {
        if name.isEmpty { return errors.append(.required(place)) }
        let complaints = NameChecks.dns1123Subdomain(name)
        if !complaints.isEmpty {
            return errors.append(.invalid(place, .string(name), complaints.joined(separator: ",")))
        }
        if name.split(separator: ".", omittingEmptySubsequences: false).count < 3 {
            errors.append(
                .invalid(
                    place, .string(name), "should be a domain with at least three segments separated by dots"))
        }
    }

    static func check(versions: JSON, _ place: String, _ errors: inout [FieldError]) {
        let wanted = Self.versions.joined(separator: ", ")
        let names = versions.arrayValue.compactMap(\.stringValue)
        if names.isEmpty { return errors.append(.required(place, "must specify one of \(wanted)")) }
        var seen: Set<String> = []
        for (index, name) in names.enumerated() {
            guard seen.insert(name).inserted else {
                errors.append(.invalid("\(place)[\(index)]", .string(name), "duplicate version"))
                continue
            }
            errors += NameChecks.dns1035Label(name).map { .invalid("\(place)[\(index)]", .string(name), $0) }
        }
        if seen.isDisjoint(with: Self.versions) {
            errors.append(.invalid(place, versions, "must include at least one of \(wanted)"))
        }
    }

    // MARK: - Where a webhook is

    static func client(_ client: JSON, _ place: String, _ errors: inout [FieldError]) {
        switch (client["url"].exists, client["service"].exists) {
        case (true, true), (false, false):
            errors.append(.required(place, "exactly one of url or service is required"))
        case (true, false): check(url: client["url"].stringValue ?? "", "\(place).url", &errors)
        case (false, true): check(service: client["service"], "\(place).service", &errors)
        }
    }

    private static func check(url: String, _ place: String, _ errors: inout [FieldError]) {
        let form = "; desired format: https://host[/path]"
        let parts = URLParts(url)
        if parts.scheme != "https" {
            errors.append(.invalid(place, .string(parts.scheme), "'https' is the only allowed URL scheme" + form))
        }
        if parts.host.isEmpty { errors.append(.invalid(place, "", "host must be specified" + form)) }
        if let user = parts.user {
            errors.append(.invalid(place, .string(user), "user information is not permitted in the URL"))
        }
        if !parts.fragment.isEmpty {
            errors.append(.invalid(place, .string(parts.fragment), "fragments are not permitted in the URL"))
        }
        if !parts.query.isEmpty {
            errors.append(.invalid(place, .string(parts.query), "query parameters are not permitted in the URL"))
        }
    }

    private static func check(service: JSON, _ place: String, _ errors: inout [FieldError]) {
        for field in ["name", "namespace"] where service[field].isEmpty {
            errors.append(.required("\(place).\(field)", "service \(field) is required"))
        }
        if let port = service["port"].integerValue, case let complaints = NameChecks.portNumber(port),
            !complaints.isEmpty
        {
            errors.append(
                .invalid(
                    "\(place).port", .integer(port), "port is not valid: " + complaints.joined(separator: ",")))
        }
        if let path = service["path"].stringValue { check(path: path, "\(place).path", &errors) }
    }

    /// Names between slashes, with or without one at the end.
    private static func check(path: String, _ place: String, _ errors: inout [FieldError]) {
        func complain(_ text: String) { errors.append(.invalid(place, .string(path), text)) }
        if path.isEmpty || path == "/" { return }
        if path == "//" { return complain("segment[0] may not be empty") }
        if !path.hasPrefix("/") { complain("must start with a '/'") }
        var steps = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if steps.count > 1, steps.last?.isEmpty == true { steps.removeLast() }
        for (index, step) in steps.enumerated() {
            if step.isEmpty {
                complain("segment[\(index)] may not be empty")
            } else {
                for text in NameChecks.dns1123Subdomain(String(step)) { complain("segment[\(index)]: \(text)") }
            }
        }
    }
}

/// The parts of a URL that say more than where a server is.
private struct URLParts {
    let scheme: String
    let host: String
    /// Nil where the URL names none.
    let user: String?
    let query: String
    let fragment: String

    init(_ url: String) {
        var rest = Substring(url)
        func cut(_ mark: Character) -> String {
            guard let index = rest.firstIndex(of: mark) else { return "" }
            let tail = String(rest[rest.index(after: index)...])
            rest = rest[..<index]
            return tail
        }
        fragment = cut("#")
        query = cut("?")
        if let colon = rest.firstIndex(of: ":"), rest[..<colon].allSatisfy({ $0.isLetter || $0.isNumber }) {
            scheme = rest[..<colon].lowercased()
            rest = rest[rest.index(after: colon)...]
        } else {
            scheme = ""
        }
        guard rest.hasPrefix("//") else {
            (host, user) = ("", nil)
            return
        }
        let authority = rest.dropFirst(2).prefix { $0 != "/" }
        if let at = authority.lastIndex(of: "@") {
            user = String(authority[..<at])
            host = String(authority[authority.index(after: at)...])
        } else {
            user = nil
            host = String(authority)
        }
    }
}
