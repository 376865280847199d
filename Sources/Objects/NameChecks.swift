/// The syntax rules of Kubernetes' names. Each check returns its complaints in the words that Kubernetes uses, and none
/// when the text is well-formed. See https://kubernetes.io/docs/concepts/overview/working-with-objects/names/.
public enum NameChecks {
    /// An RFC 1123 label: at most 63 of a-z, 0-9 and "-".
    public static func dns1123Label(_ text: String) -> [String] {
        let bytes = text.utf8[...]
        if isLabel(bytes) { return tooLong(text, 63) }
        return tooLong(text, 63) + [isSubdomain(bytes) ? "must not contain dots" : labelRule]
    }

    private static let labelRule =
        #"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"#

    /// An RFC 1123 subdomain: labels joined by dots, at most 253 bytes.
    public static func dns1123Subdomain(_ text: String) -> [String] { subdomain(text, "characters") }

    private static func subdomain(_ text: String, _ unit: String) -> [String] {
        tooLong(text, 253, unit)
            + complaint(
                isSubdomain(text.utf8[...]),
                #"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#
            )
    }

    /// The same with labels that may begin with "_" and have more of them inside.
    public static func dns1123SubdomainWithUnderscore(_ text: String) -> [String] {
        let isFine = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy {
            let rest = $0.first == UInt8(ascii: "_") ? $0.dropFirst() : $0
            guard let first = rest.first, let last = rest.last else { return false }
            return (isLower(first) || isDigit(first)) && (isLower(last) || isDigit(last))
                && rest.allSatisfy {
                    isLower($0) || isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
                }
        }
        return tooLong(text, 253)
            + complaint(
                isFine,
                #"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"#
            )
    }

    /// An RFC 1035 label: as RFC 1123's, but it begins with a letter.
    public static func dns1035Label(_ text: String) -> [String] {
        tooLong(text, 63)
            + complaint(
                isLabel(text.utf8[...]) && isLower(text.utf8.first ?? 0),
                #"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#
            )
    }

    /// "*." and a subdomain.
    public static func wildcardSubdomain(_ text: String) -> [String] {
        tooLong(text, 253)
            + complaint(
                text.hasPrefix("*.") && isSubdomain(text.utf8.dropFirst(2)),
                #"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#
            )
    }

    /// The key of a label or annotation: a name with an optional DNS prefix and a slash.
    public static func qualifiedName(_ text: String) -> [String] {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var complaints: [String] = []
        let name: Substring.UTF8View
        switch parts.count {
        case 1: name = parts[0]
        case 2:
            name = parts[1]
            if parts[0].isEmpty {
                complaints.append("prefix part must be non-empty")
            } else {
                complaints += subdomain(String(Substring(parts[0])), "bytes").map { "prefix part " + $0 }
            }
        default:
            return [
                "a valid label key " + qualifiedRule
                    + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ]
        }
        if name.isEmpty {
            complaints.append("name part must be non-empty")
        } else if name.count > 63 {
            complaints.append("name part must be no more than 63 bytes")
        }
        if !isQualified(name) { complaints.append("name part " + qualifiedRule) }
        return complaints
    }

    /// The value of a label: empty, or at most 63 of A-Z, a-z, 0-9, "-", "_" and ".".
    public static func labelValue(_ text: String) -> [String] {
        tooLong(text, 63, "bytes")
            + complaint(
                text.isEmpty || isQualified(text.utf8[...]),
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            )
    }

    /// The name of an environment variable.
    public static func environmentName(_ text: String) -> [String] {
        if text.isEmpty { return ["environment variable name must be non-empty"] }
        return complaint(
            text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "=") },
            "a valid environment variable name must consist only of printable ASCII characters other than '='")
    }

    /// A key of a ConfigMap's or Secret's data, which may become a file name.
    public static func configKey(_ text: String) -> [String] {
        var complaints = tooLong(text, 253)
        complaints += complaint(
            !text.isEmpty && text.utf8.allSatisfy { isAlphanumeric($0) || isJoiner($0) },
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )
        if text == "." {
            complaints.append("must not be '.'")
        } else if text == ".." {
            complaints.append("must not be '..'")
        } else if text.hasPrefix("..") {
            complaints.append("must not start with '..'")
        }
        return complaints
    }

    /// The name of a port of a container (RFC 6335): at most 15 of a-z, 0-9 and "-", with a letter in it.
    public static func portName(_ text: String) -> [String] {
        var complaints = tooLong(text, 15)
        if !text.utf8.allSatisfy({ isLower($0) || isDigit($0) || $0 == UInt8(ascii: "-") }) {
            complaints.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
        }
        if !text.utf8.contains(where: isLower) { complaints.append("must contain at least one letter (a-z)") }
        if text.contains("--") { complaints.append("must not contain consecutive hyphens") }
        if text.hasPrefix("-") || text.hasSuffix("-") { complaints.append("must not begin or end with a hyphen") }
        return complaints
    }

    /// A name that becomes one step of a path, as those of roles and bindings do.
    public static func pathSegment(_ text: String) -> [String] {
        if text == "." { return ["may not be '.'"] }
        if text == ".." { return ["may not be '..'"] }
        return ["/", "%"].filter { text.contains($0) }.map { "may not contain '\($0)'" }
    }

    /// The name of an HTTP header.
    public static func headerName(_ text: String) -> [String] {
        complaint(
            !text.isEmpty && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") },
            "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
        )
    }

    /// The reason of a condition: a letter, then letters, digits, "_", "," and ":", the last of which may be no "," or ":".
    public static func conditionReason(_ text: String) -> [String] {
        let bytes = text.utf8
        let isFine =
            bytes.first.map { isLower($0 | 0x20) } == true
            && bytes.last.map { isAlphanumeric($0) || $0 == UInt8(ascii: "_") } == true
            && bytes.allSatisfy { isAlphanumeric($0) || "_,:".utf8.contains($0) }
        return complaint(
            isFine,
            "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
        )
    }

    /// A whole number with a percent sign.
    public static func percent(_ text: String) -> [String] {
        complaint(
            text.hasSuffix("%") && text.utf8.count > 1 && text.utf8.dropLast().allSatisfy(isDigit),
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
        )
    }

    public static func portNumber(_ number: Int64) -> [String] {
        complaint((1...65_535).contains(number), "must be between 1 and 65535, inclusive")
    }

    private static let qualifiedRule =
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

    private static func complaint(_ isFine: Bool, _ text: @autoclosure () -> String) -> [String] {
        isFine ? [] : [text()]
    }

    /// Kubernetes counts bytes, whatever it calls them.
    private static func tooLong(_ text: String, _ limit: Int, _ unit: String = "characters") -> [String] {
        text.utf8.count > limit ? ["must be no more than \(limit) \(unit)"] : []
    }

    private static func isLower(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "a") < 26 }
    private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || isLower(byte | 0x20) }
    private static func isJoiner(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
    }

    private static func isLabel(_ text: Substring.UTF8View) -> Bool {
        guard let first = text.first, let last = text.last else { return false }
        return first != UInt8(ascii: "-") && last != UInt8(ascii: "-")
            && text.allSatisfy { isLower($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isSubdomain(_ text: Substring.UTF8View) -> Bool {
        text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy(isLabel)
    }

    private static func isQualified(_ text: Substring.UTF8View) -> Bool {
        guard let first = text.first, let last = text.last else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last) && text.allSatisfy { isAlphanumeric($0) || isJoiner($0) }
    }
}
