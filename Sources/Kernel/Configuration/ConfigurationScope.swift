import Objects

/// A mapping of the configuration while it is decoded: knows its place and path, and refuses keys that nobody takes.
struct ConfigurationScope {
    let file: String
    let keyPath: String
    let node: YAMLNode
    private let entries: [YAMLNode.Entry]

    /// Fails when `node` is not a mapping or has a key outside `allowed`.
    init(file: String, keyPath: String, node: YAMLNode, allowed: [String]) throws(ConfigurationError) {
        self.file = file
        self.keyPath = keyPath
        self.node = node
        switch node.content {
        case .mapping(let entries): self.entries = entries
        case .scalar("", true): entries = []
        default:
            throw ConfigurationError(
                file: file, mark: node.mark, keyPath: keyPath,
                message: "expected a mapping with the keys \(list(allowed)), found \(node.description)")
        }
        for entry in entries where !allowed.contains(entry.key) {
            throw ConfigurationError(
                file: file, mark: entry.mark, keyPath: path(entry.key),
                message: "unknown key; allowed are \(list(allowed))" + suggestion(for: entry.key, among: allowed))
        }
    }

    func path(_ key: String) -> String { keyPath.isEmpty ? key : "\(keyPath).\(key)" }

    func entry(_ key: String) -> YAMLNode.Entry? { entries.first { $0.key == key } }

    func failure(_ key: String, _ message: String) -> ConfigurationError {
        ConfigurationError(
            file: file, mark: entry(key)?.value.mark ?? node.mark, keyPath: path(key), message: message)
    }

    /// The text of a key, nil when absent.
    func text(_ key: String) throws(ConfigurationError) -> String? {
        guard let entry = entry(key) else { return nil }
        guard case .scalar(let text, _) = entry.value.content, entry.value.json != .null else {
            throw failure(key, "expected text, found \(entry.value.description)")
        }
        return text
    }

    func flag(_ key: String) throws(ConfigurationError) -> Bool? {
        guard let entry = entry(key) else { return nil }
        guard let value = entry.value.json.boolValue else {
            throw failure(key, "expected true or false, found \(entry.value.description)")
        }
        return value
    }

    func elements(_ key: String) throws(ConfigurationError) -> [YAMLNode]? {
        guard let entry = entry(key) else { return nil }
        switch entry.value.content {
        case .sequence(let elements): return elements
        case .scalar("", true): return []
        default: throw failure(key, "expected a list, found \(entry.value.description)")
        }
    }

    /// One of several words.
    func choice(_ key: String, of allowed: [String], default value: String) throws(ConfigurationError) -> String {
        guard let text = try text(key) else { return value }
        guard allowed.contains(text) else {
            throw failure(
                key, "\"\(text)\" is not possible; allowed: \(list(allowed))" + suggestion(for: text, among: allowed))
        }
        return text
    }
}

/// "a, b and c".
func list(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "none" }
    return words.dropLast().joined(separator: ", ") + " and " + last
}
