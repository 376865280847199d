/// Where a probe or hook asks by HTTP, and where an answer may send it on to.
struct HTTPPlace: Sendable, Equatable {
    var isTLS: Bool
    /// An address or a name, without brackets.
    var host: String
    var port: Int
    /// With the query.
    var path: String

    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    var url: String { "\(isTLS ? "https" : "http")://\(authority)\(path.hasPrefix("/") ? "" : "/")\(path)" }

    /// The place that a Location header names (RFC 3986, section 5.2); nil when it is none of HTTP.
    func following(_ location: String) -> HTTPPlace? {
        let reference = String(location.prefix { $0 != "#" })
        var next = self
        var rest = reference[...]
        if let scheme = Self.scheme(reference) {
            guard scheme == "http" || scheme == "https" else { return nil }
            next.isTLS = scheme == "https"
            rest = rest.dropFirst(scheme.utf8.count + 1)
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let authority = rest.prefix { $0 != "/" && $0 != "?" }
            guard next.take(authority: authority) else { return nil }
            rest = rest.dropFirst(authority.count)
            next.path = rest.isEmpty ? "/" : rest.hasPrefix("?") ? "/\(rest)" : String(rest)
            return next
        }
        if rest.hasPrefix("/") {
            next.path = String(rest)
        } else if rest.hasPrefix("?") {
            next.path = String(path.prefix { $0 != "?" } + rest)
        } else if !rest.isEmpty {
            let directory = path.prefix { $0 != "?" }
            next.path = (directory.lastIndex(of: "/").map { String(directory[...$0]) } ?? "/") + rest
        }
        return next
    }

    private static func scheme(_ text: String) -> String? {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let name = text[..<colon]
        guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) })
        else { return nil }
        return name.lowercased()
    }

    /// Sets host and port; false when they are not well formed.
    private mutating func take(authority: Substring) -> Bool {
        var rest = authority
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        if rest.hasPrefix("[") {
            guard let close = rest.firstIndex(of: "]") else { return false }
            host = String(rest[rest.index(after: rest.startIndex)..<close])
            rest = rest[rest.index(after: close)...]
        } else {
            let name = rest.prefix { $0 != ":" }
            host = String(name)
            rest = rest.dropFirst(name.count)
        }
        port = isTLS ? 443 : 80
        if rest.hasPrefix(":"), rest.count > 1 {
            guard let number = UInt16(rest.dropFirst()), number > 0 else { return false }
            port = Int(number)
        }
        return !host.isEmpty
    }
}
