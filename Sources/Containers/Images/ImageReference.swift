import PluginKit

/// An image's name as people write it, made canonical as Docker and Kubernetes do: `busybox` is
/// `docker.io/library/busybox:latest`. See the distribution project's reference grammar.
package struct ImageReference: Sendable, Hashable, CustomStringConvertible {
    /// Host and optional port: docker.io, localhost:5000.
    package let registry: String
    /// Path in it: library/busybox.
    package let repository: String
    package let tag: String?
    package let digest: Digest?

    package var name: String { "\(registry)/\(repository)" }

    /// With a digest the tag says nothing more, so it is left out.
    package var description: String {
        if let digest { return "\(name)@\(digest)" }
        return "\(name):\(tag ?? "latest")"
    }

    package init(parsing text: String) throws(PluginError) {
        guard !text.isEmpty, text.utf8.count <= 512 else {
            throw Self.invalid(text, "it is empty or longer than 512 bytes")
        }
        var rest = Substring(text)
        var digest: Digest?
        if let at = rest.firstIndex(of: "@") {
            digest = try Digest(parsing: String(rest[rest.index(after: at)...]))
            rest = rest[..<at]
        }
        var tag: String?
        let lastSlash = rest.lastIndex(of: "/") ?? rest.startIndex
        if let colon = rest[lastSlash...].lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
            guard Self.isTag(tag ?? "") else {
                throw Self.invalid(text, "its tag may hold letters, digits, '_', '.' and '-', up to 128")
            }
        }
        var (registry, repository) = Self.splitRegistry(rest)
        if registry == "docker.io" || registry == "index.docker.io" {
            registry = "docker.io"
            if !repository.contains("/") { repository = "library/\(repository)" }
        }
        guard Self.isRegistry(registry) else {
            throw Self.invalid(text, "\"\(registry)\" is not a registry's host name")
        }
        guard repository.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(Self.isComponent) else {
            throw Self.invalid(
                text, "a repository is written in lower-case letters and digits, separated by '.', '_', '-' or '/'")
        }
        self.registry = registry
        self.repository = repository
        self.digest = digest
        self.tag = tag ?? (digest == nil ? "latest" : nil)
    }

    /// The first component is a host when it looks like one: it has a dot or a port, or is "localhost".
    private static func splitRegistry(_ rest: Substring) -> (registry: String, repository: String) {
        guard let slash = rest.firstIndex(of: "/") else { return ("docker.io", String(rest)) }
        let first = rest[..<slash]
        let isHost =
            first.contains(".") || first.contains(":") || first == "localhost"
            || first.utf8.contains { (65...90).contains($0) }
        return isHost ? (String(first), String(rest[rest.index(after: slash)...])) : ("docker.io", String(rest))
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...122).contains(byte) || (65...90).contains(byte)
    }

    private static func isTag(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, bytes.count <= 128, isAlphanumeric(first) || first == 95 else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || $0 == 95 || $0 == 46 || $0 == 45 }
    }

    private static func isRegistry(_ text: String) -> Bool {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, UInt16(parts[1]) == nil { return false }
        let labels = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        return labels.allSatisfy { label in
            let bytes = Array(label.utf8)
            guard let first = bytes.first, let last = bytes.last else { return false }
            return isAlphanumeric(first) && isAlphanumeric(last) && bytes.allSatisfy { isAlphanumeric($0) || $0 == 45 }
        }
    }

    private static func isComponent(_ text: Substring) -> Bool {
        let bytes = Array(text.utf8)
        func plain(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (97...122).contains(byte) }
        guard let first = bytes.first, let last = bytes.last, plain(first), plain(last) else { return false }
        for (index, byte) in bytes.enumerated() where !plain(byte) {
            guard byte == 46 || byte == 95 || byte == 45 else { return false }
            let previous = bytes[index - 1]
            if plain(previous) || byte == 45 && previous == 45 { continue }
            // Two underscores may stand together, other separators not.
            let isDouble = byte == 95 && previous == 95 && plain(bytes[index - 2])
            if !isDouble { return false }
        }
        return true
    }

    private static func invalid(_ text: String, _ reason: String) -> PluginError {
        .invalid("\"\(text.prefix(128))\" is not an image reference: \(reason)")
    }
}
