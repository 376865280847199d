import Objects

/// The formats of strings that are checked; others are let through, as in Kubernetes.
/// See https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/ (format).
enum ValueFormat: String, Sendable {
    case bsonObjectId = "bsonobjectid"
    case uri, email, hostname, ipv4, ipv6, cidr, mac, uuid, uuid3, uuid4, uuid5, isbn, isbn10, isbn13, creditcard, ssn
    case hexColor = "hexcolor"
    case rgbColor = "rgbcolor"
    case byte, password, date, duration
    case dateTime = "date-time"
    case dateTimeJoined = "datetime"
    case shortName = "k8s-short-name"
    case longName = "k8s-long-name"

    func accepts(_ text: String) -> Bool {
        switch self {
        case .password: true
        case .bsonObjectId: text.utf8.count == 24 && Self.isHex(text.utf8)
        case .uri: Self.isURI(text)
        case .email: Self.isEmail(text)
        case .hostname: Self.isHostname(text)
        case .ipv4: IPSyntax.isIPv4(text)
        case .ipv6: IPSyntax.isIPv6(text)
        case .cidr: IPSyntax.isRange(text)
        case .mac: Self.isMAC(text)
        case .uuid: Self.isUUID(text, version: nil)
        case .uuid3: Self.isUUID(text, version: "3")
        case .uuid4: Self.isUUID(text, version: "4")
        case .uuid5: Self.isUUID(text, version: "5")
        case .isbn: Self.isISBN(text, 10) || Self.isISBN(text, 13)
        case .isbn10: Self.isISBN(text, 10)
        case .isbn13: Self.isISBN(text, 13)
        case .creditcard: Self.isCardNumber(text)
        case .ssn: Self.isGrouped(text, "-", [3, 2, 4])
        case .hexColor: Self.isHexColor(text)
        case .rgbColor: Self.isRGBColor(text)
        case .byte: Base64.decode(text) != nil
        case .date: Self.isDate(text)
        case .duration: (try? GoDuration(parsing: text)) != nil
        case .dateTime, .dateTimeJoined: (try? Timestamp(parsing: text)) != nil
        case .shortName: NameChecks.dns1123Label(text).isEmpty
        case .longName: NameChecks.dns1123Subdomain(text).isEmpty
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isHex(_ text: some Sequence<UInt8>) -> Bool {
        text.allSatisfy { isDigit($0) || (0x61...0x66).contains($0 | 0x20) }
    }

    /// An absolute URI, or a path from the root, as Go's `url.ParseRequestURI` takes it.
    private static func isURI(_ text: String) -> Bool {
        guard !text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else { return false }
        if text.hasPrefix("/") { return true }
        guard let colon = text.utf8.firstIndex(of: 0x3A), colon > text.startIndex else { return false }
        let scheme = text.utf8[..<colon]
        guard let first = scheme.first, (0x61...0x7A).contains(first | 0x20) else { return false }
        return scheme.allSatisfy {
            (0x61...0x7A).contains($0 | 0x20) || isDigit($0) || [0x2B, 0x2D, 0x2E].contains($0)
        }
            && text.utf8.index(after: colon) < text.utf8.endIndex
    }

    private static func isEmail(_ text: String) -> Bool {
        guard let at = text.lastIndex(of: "@"), at > text.startIndex else { return false }
        let local = text[..<at]
        let domain = text[text.index(after: at)...]
        return !domain.isEmpty && !local.utf8.contains(where: { $0 <= 0x20 || [0x2C, 0x3B, 0x3C, 0x3E].contains($0) })
            && !local.hasPrefix(".") && !local.hasSuffix(".") && !domain.utf8.contains(where: { $0 <= 0x20 })
    }

    private static func isHostname(_ text: String) -> Bool {
        let name = text.hasSuffix(".") ? text.dropLast() : text[...]
        guard !name.isEmpty, name.utf8.count <= 253 else { return false }
        return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.utf8.first, let last = label.utf8.last, label.utf8.count <= 63 else { return false }
            let isPlain = label.utf8.allSatisfy { isDigit($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x2D }
            return isPlain && first != 0x2D && last != 0x2D
        }
    }

    private static func isMAC(_ text: String) -> Bool {
        for (separator, width) in [(Character(":"), 2), ("-", 2), (".", 4)] where text.contains(separator) {
            let parts = text.split(separator: separator, omittingEmptySubsequences: false)
            let bytes = parts.count * width / 2
            return [6, 8, 20].contains(bytes) && parts.allSatisfy { $0.utf8.count == width && isHex($0.utf8) }
        }
        return false
    }

    private static func isUUID(_ text: String, version: Character?) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return false }
        for (position, byte) in bytes.enumerated() {
            if [8, 13, 18, 23].contains(position) {
                guard byte == 0x2D else { return false }
            } else if !isHex([byte]) {
                return false
            }
        }
        guard let version else { return true }
        guard bytes[14] == version.asciiValue else { return false }
        return version == "3" || [0x38, 0x39, 0x61, 0x62].contains(bytes[19] | 0x20)
    }

    /// Digits in groups of the given lengths.
    private static func isGrouped(_ text: String, _ separator: Character, _ lengths: [Int]) -> Bool {
        let parts = text.split(omittingEmptySubsequences: false) { $0 == separator || $0 == " " }
        return parts.map(\.utf8.count) == lengths && parts.allSatisfy { $0.utf8.allSatisfy(isDigit) }
    }

    private static func isISBN(_ text: String, _ count: Int) -> Bool {
        let digits = text.utf8.filter { $0 != 0x2D && $0 != 0x20 }
        guard digits.count == count else { return false }
        var sum = 0
        for (position, byte) in digits.enumerated() {
            let isLastX = count == 10 && position == 9 && byte | 0x20 == 0x78
            guard isDigit(byte) || isLastX else { return false }
            let value = isLastX ? 10 : Int(byte) - 0x30
            sum += value * (count == 10 ? position + 1 : position % 2 == 0 ? 1 : 3)
        }
        return sum % (count == 10 ? 11 : 10) == 0
    }

    /// Luhn's checksum.
    private static func isCardNumber(_ text: String) -> Bool {
        let digits = text.utf8.filter { isDigit($0) }.map { Int($0) - 0x30 }
        guard (13...16).contains(digits.count) else { return false }
        let sum = digits.reversed().enumerated().reduce(0) { sum, entry in
            let value = entry.offset % 2 == 0 ? entry.element : entry.element * 2
            return sum + (value > 9 ? value - 9 : value)
        }
        return sum % 10 == 0
    }

    private static func isHexColor(_ text: String) -> Bool {
        let digits = text.hasPrefix("#") ? text.utf8.dropFirst() : text.utf8[...]
        return (digits.count == 3 || digits.count == 6) && isHex(digits)
    }

    private static func isRGBColor(_ text: String) -> Bool {
        guard text.hasPrefix("rgb("), text.hasSuffix(")") else { return false }
        let parts = text.dropFirst(4).dropLast().split(separator: ",", omittingEmptySubsequences: false)
        return parts.count == 3
            && parts.allSatisfy { part in
                let digits = part.filter { $0 != " " }
                return !digits.isEmpty && digits.utf8.allSatisfy(isDigit) && (Int(digits) ?? 256) <= 255
            }
    }

    private static func isDate(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 10 && (try? Timestamp(parsing: text + "T00:00:00Z")) != nil
    }
}
