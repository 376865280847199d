/// A URL of an expression: an absolute one, or an absolute path (RFC 3986).
struct CELURL: CELOpaque {
    static let typeName = "kubernetes.URL"
    let scheme: String
    let host: String
    let hostname: String
    let port: String
    let escapedPath: String
    let query: String
    let text: String?

    var typeName: String { Self.typeName }
    func equals(_ other: any CELOpaque) -> Bool { (other as? CELURL)?.text == text }

    init(parsing text: String) throws(CELError) {
        func failure(_ problem: String) -> CELError {
            CELError("URL parse error during conversion from string: parse \"\(text)\": \(problem)")
        }
        guard !text.isEmpty else { throw failure("empty url") }
        guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }) else {
            throw failure("net/url: invalid control character in URL")
        }
        var rest = Substring(text)
        if let colon = rest.firstIndex(of: ":"), Self.isScheme(rest[..<colon]) {
            scheme = rest[..<colon].lowercased()
            rest = rest[rest.index(after: colon)...]
        } else {
            scheme = ""
        }
        guard rest.hasPrefix("/") || !scheme.isEmpty else { throw failure("invalid URI for request") }
        let withoutQuery = rest.prefix { $0 != "?" }
        query = String(rest.dropFirst(withoutQuery.count + 1))
        var path = withoutQuery
        var authority = ""
        if !scheme.isEmpty, path.hasPrefix("//") {
            let after = path.dropFirst(2)
            authority = String(after.prefix { $0 != "/" })
            path = after.dropFirst(authority.count)
        } else if !path.hasPrefix("/") {
            path = ""
        }
        guard Self.hasValidEscapes(path) else { throw failure("invalid URL escape") }
        let afterUser = authority.split(separator: "@", omittingEmptySubsequences: false).last.map(String.init) ?? ""
        guard let parts = Self.split(afterUser) else { throw failure("invalid port or host \"\(afterUser)\"") }
        host = afterUser
        (hostname, port) = parts
        escapedPath = String(path)
        self.text = text
    }

    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, (first | 0x20) &- 0x61 < 26 else { return false }
        return text.utf8.allSatisfy { ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 < 10 || "+-.".utf8.contains($0) }
    }

    private static func hasValidEscapes(_ text: Substring) -> Bool {
        text.split(separator: "%", omittingEmptySubsequences: false).dropFirst().allSatisfy { part in
            let digits = part.unicodeScalars.prefix(2)
            return digits.count == 2 && digits.allSatisfy(\.properties.isASCIIHexDigit)
        }
    }

    /// The name and the port of a host; an address of IPv6 stands in brackets.
    private static func split(_ host: String) -> (String, String)? {
        var name = Substring(host)
        var rest: Substring = ""
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return nil }
            name = host[host.index(after: host.startIndex)..<end]
            rest = host[host.index(after: end)...]
        } else if let colon = host.lastIndex(of: ":") {
            name = host[..<colon]
            rest = host[colon...]
        }
        guard rest.isEmpty || rest.hasPrefix(":") && rest.dropFirst().utf8.allSatisfy({ $0 &- 0x30 < 10 }) else {
            return nil
        }
        return (String(name), String(rest.dropFirst()))
    }

    /// The query's values by name, unescaped; what cannot be unescaped is left out.
    var queryValues: [(name: String, values: [String])] {
        var result: [(name: String, values: [String])] = []
        for pair in query.split(separator: "&") where !pair.contains(";") {
            let name = pair.prefix { $0 != "=" }
            guard let key = Self.unescaped(name), let value = Self.unescaped(pair.dropFirst(name.count + 1)) else {
                continue
            }
            if let index = result.firstIndex(where: { $0.name == key }) {
                result[index].values.append(value)
            } else {
                result.append((key, [value]))
            }
        }
        return result
    }

    private static func unescaped(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension CELLibrary {
    /// `url` and what it can be asked.
    public static let urls = CELLibrary(
        "urls",
        [
            .unary("url(string): kubernetes.URL", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
                .opaque(try CELURL(parsing: try text.string()))
            },
            .unary("isURL(string): bool") { text throws(CELError) in
                .bool((try? CELURL(parsing: try text.string())) != nil)
            },
            part("getScheme") { $0.scheme }, part("getHost") { $0.host }, part("getHostname") { $0.hostname },
            part("getPort") { $0.port }, part("getEscapedPath") { $0.escapedPath },
            .unary("kubernetes.URL . getQuery(): map(string, list(string))") { value throws(CELError) in
                var map = CELDictionary()
                for (name, values) in try value.opaque(CELURL.self).queryValues {
                    try map.insert(.list(.values(values.map { .string($0) })), for: .string(name))
                }
                return .map(.values(map))
            },
        ])

    private static func part(_ name: String, _ read: @escaping @Sendable (CELURL) -> String) -> Overload {
        .unary("kubernetes.URL . \(name)(): string") { value throws(CELError) in
            .string(read(try value.opaque(CELURL.self)))
        }
    }
}
