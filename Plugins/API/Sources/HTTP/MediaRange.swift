/// One entry of an Accept or Accept-Encoding header (RFC 9110, section 12.5), in lower case but for its parameters' values.
struct MediaRange: Equatable {
    /// "application/json", or for a coding "gzip".
    var type: Substring
    var parameters: [Substring: Substring] = [:]
    /// 0 to 1000.
    private var quality = 1000
    private var position = 0

    private init(type: Substring) { self.type = type }

    /// The entries that the client takes, those first that it likes best; of those that it likes equally, the more specific,
    /// then the earlier ones.
    static func parse(_ header: String) -> [MediaRange] {
        all(header).filter { !$0.isRefused }.sorted { left, right in
            if left.quality != right.quality { return left.quality > right.quality }
            if left.wildcards != right.wildcards { return left.wildcards < right.wildcards }
            return left.position < right.position
        }
    }

    /// All entries as they stand.
    static func all(_ header: String) -> [MediaRange] {
        var ranges: [MediaRange] = []
        for (position, entry) in header.split(separator: ",").enumerated() {
            let parts = entry.split(separator: ";", omittingEmptySubsequences: false).map(trimmed)
            guard let type = parts.first, !type.isEmpty else { continue }
            var range = MediaRange(type: type.contains(where: \.isUppercase) ? type.lowercased()[...] : type)
            range.position = position
            for part in parts.dropFirst() {
                guard let equals = part.firstIndex(of: "=") else { continue }
                let (name, value) = (part[..<equals], part[part.index(after: equals)...])
                if name == "q" || name == "Q" {
                    range.quality = thousandths(value)
                } else {
                    range.parameters[name] = value
                }
            }
            ranges.append(range)
        }
        return ranges
    }

    var isYAML: Bool { type == "application/yaml" }

    /// Whether the client says that it does not take this.
    var isRefused: Bool { quality == 0 }

    private var wildcards: Int { type.utf8.count(where: { $0 == UInt8(ascii: "*") }) }

    /// "0.5" as 500. What is no quality counts as 1, as in Kubernetes.
    private static func thousandths(_ text: Substring) -> Int {
        guard let value = Double(text), value >= 0, value <= 1 else { return 1000 }
        return Int((value * 1000).rounded())
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
