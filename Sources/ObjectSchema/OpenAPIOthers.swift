import Objects

/// What other servers' OpenAPI documents of version 2 bring into this server's: the paths of the APIs that are carried on to them,
/// and the definitions that those need. Pure.
public struct OpenAPIOthers: Sendable {
    /// In the order of the documents and of the paths in them.
    public private(set) var paths: [(path: String, item: JSON)] = []
    /// By the names that they have in this server's document.
    public private(set) var definitions: [(name: String, schema: JSON)] = []
    /// Definitions of this server's own that are referred to.
    public private(set) var ownNames: Set<String> = []
    private var byName: [String: JSON] = [:]
    private let isTaken: @Sendable (String) -> Bool

    private static let prefix = "#/definitions/"

    /// - Parameter custom: names of definitions of custom kinds, which no other definition may have.
    public init(custom: Set<String> = []) {
        isTaken = { custom.contains($0) || Schema.shared.definition(named: $0) != nil }
    }

    /// Takes from a document what lies below a path, such as "/apis/things.example.com/v1". What the document defines of
    /// Kubernetes' own kinds is taken to be what this server has of them; another definition whose name is taken gets a name of
    /// its own.
    public mutating func add(_ document: JSON, below root: String) {
        let parameters = document["parameters"]
        var wanted: [(path: String, item: JSON)] = []
        for (path, item) in document["paths"].objectValue ?? [:] where path == root || path.hasPrefix(root + "/") {
            wanted.append((path, Self.withParameters(item, parameters)))
        }
        let names = names(of: wanted.map(\.item), document["definitions"])
        for (path, item) in wanted where !paths.contains(where: { $0.path == path }) {
            paths.append((path, Self.renamed(item, names)))
        }
        for (name, own) in names.sorted(by: { $0.key.precedesByBytes($1.key) }) where byName[own] == nil {
            guard !isTaken(own) else {
                ownNames.insert(own)
                continue
            }
            let schema = Self.renamed(document["definitions"][name], names)
            byName[own] = schema
            definitions.append((own, schema))
        }
    }

    /// The definitions that some parts of a document need, with the names that they get.
    private func names(of parts: [JSON], _ definitions: JSON) -> [String: String] {
        var names: [String: String] = [:]
        var waiting = parts
        while let part = waiting.popLast() {
            Self.forEachReference(in: part) { name in
                let isKnown = definitions[name].exists || (name.hasPrefix("io.k8s.") && isTaken(name))
                guard names[name] == nil, isKnown else { return }
                names[name] = name
                waiting.append(definitions[name])
            }
        }
        // All are known now, so that two versions of one definition can be compared.
        for name in names.keys.sorted() {
            names[name] = freeName(for: name) { own in Self.renamed(definitions[name], names) == byName[own] }
        }
        return names
    }

    private func freeName(for name: String, isSame: (String) -> Bool) -> String {
        if isTaken(name), name.hasPrefix("io.k8s.") { return name }
        var candidate = name
        var number = 1
        while isTaken(candidate) || (byName[candidate] != nil && !isSame(candidate)) {
            number += 1
            candidate = "\(name)_v\(number)"
        }
        return candidate
    }

    private static func forEachReference(in json: JSON, _ body: (String) -> Void) {
        switch json {
        case .object(let members):
            for (key, value) in members {
                if key == "$ref", let text = value.stringValue, text.hasPrefix(prefix) {
                    body(String(text.dropFirst(prefix.count)))
                } else {
                    forEachReference(in: value, body)
                }
            }
        case .array(let elements): for element in elements { forEachReference(in: element, body) }
        default: break
        }
    }

    private static func renamed(_ json: JSON, _ names: [String: String]) -> JSON {
        switch json {
        case .object(let members):
            var result = JSONObject()
            for (key, value) in members {
                if key == "$ref", let text = value.stringValue, text.hasPrefix(prefix) {
                    let name = String(text.dropFirst(prefix.count))
                    result[key] = .string(prefix + (names[name] ?? name))
                } else {
                    result[key] = renamed(value, names)
                }
            }
            return .object(result)
        case .array(let elements): return .array(elements.map { renamed($0, names) })
        default: return json
        }
    }

    /// Parameters that a document keeps in one place are written where they are used: the place is this server's.
    private static func withParameters(_ json: JSON, _ parameters: JSON) -> JSON {
        let place = "#/parameters/"
        switch json {
        case .object(let members):
            if let text = members["$ref"]?.stringValue, text.hasPrefix(place) {
                return parameters[String(text.dropFirst(place.count))]
            }
            var result = JSONObject()
            for (key, value) in members { result[key] = withParameters(value, parameters) }
            return .object(result)
        case .array(let elements): return .array(elements.map { withParameters($0, parameters) })
        default: return json
        }
    }
}
