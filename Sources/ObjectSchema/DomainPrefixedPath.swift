import Objects

/// A domain and what it calls something of its own: "acme.io/foo".
enum DomainPrefixedPath {
    static func check(_ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        let text = value.stringValue ?? ""
        guard !text.isEmpty else { return errors.append(.required(place)) }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) else {
            return errors.append(
                .invalid(place, value, #"must be a domain-prefixed path (such as "acme.io/foo")"#))
        }
        errors += NameChecks.dns1123Subdomain(parts[0]).map { .invalid(place, .string(parts[0]), $0) }
        if !parts[1].utf8.allSatisfy(isOfPath) {
            errors.append(
                .invalid(
                    place, .string(parts[1]),
                    #"Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"#))
        }
    }

    private static func isOfPath(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "/-._~%!$&'()*+,;=:".utf8.contains(byte)
        }
    }
}
