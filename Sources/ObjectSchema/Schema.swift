import CObjectSchema
import Objects
import Synchronization

/// Kubernetes' kinds and resources, read from the table in the image.
///
/// Making it costs one pass over the table; a definition is parsed when it is first asked for and kept.
/// All of it may be used from any thread.
public final class Schema: Sendable {
    public static let shared = Schema()

    /// In the order of the table: the core group first, then as discovery lists the groups, preferred versions first.
    public let resources: [SchemaResource]

    private let text: EmbeddedText
    private let packages: [String]
    private let kindLists: [[String]]
    /// Where the lines of the definitions begin, in the order of their names.
    private let offsets: [UInt32]
    private let cache: Mutex<Cache>

    private struct Cache {
        var nodes: [SchemaNode?]
        var kinds: [GroupVersionKind: SchemaNode] = [:]
    }

    private init() {
        text = EmbeddedText(hostd_schema_text())
        var packages: [String] = []
        var kindLists: [[String]] = []
        var offsets: [UInt32] = []
        var resources = ResourceParser()
        text.forEachLine { offset, line in
            let rest = line.dropFirst()
            switch line.first {
            case UInt8(ascii: "P"): packages.append(rest.text)
            case UInt8(ascii: "G"): kindLists.append(rest.parts(" "))
            case UInt8(ascii: "V"): resources.verbSets.append(rest.parts(","))
            case UInt8(ascii: "R"): resources.begin(rest.parts())
            case UInt8(ascii: "T"): offsets.append(UInt32(offset))
            default: if offsets.isEmpty { resources.addSubresource(rest.parts()) }
            }
        }
        self.packages = packages
        self.kindLists = kindLists
        self.offsets = offsets
        self.resources = resources.resources
        cache = Mutex(Cache(nodes: [SchemaNode?](repeating: nil, count: offsets.count)))
    }

    // MARK: Resources

    public func resource(group: String, version: String, plural: String) -> SchemaResource? {
        resources.first { $0.plural == plural && $0.group == group && $0.version == version }
    }

    public func resource(for kind: GroupVersionKind) -> SchemaResource? {
        resources.first { $0.kind == kind.kind && $0.group == kind.group && $0.version == kind.version }
    }

    /// Every group and version with resources, in the order of the table.
    public var groupVersions: [(group: String, version: String)] {
        var seen: [(group: String, version: String)] = []
        for resource in resources where !seen.contains(where: { $0 == (resource.group, resource.version) }) {
            seen.append((resource.group, resource.version))
        }
        return seen
    }

    // MARK: Definitions

    public var definitionCount: Int { offsets.count }

    /// A definition by its full name, such as io.k8s.api.core.v1.Pod.
    public func definition(named name: String) -> SchemaNode? {
        guard let dot = name.lastIndex(of: "."), let package = packages.firstIndex(of: String(name[..<dot])) else {
            return nil
        }
        return index(of: Array((Self.digit(package) + name[dot...]).utf8)).map(definition)
    }

    /// The type of a kind's objects. Complexity: O(log definitions) once per kind, then O(1).
    public func kind(_ kind: GroupVersionKind) -> SchemaNode? {
        if let known = cache.withLock({ $0.kinds[kind] }) { return known }
        let suffix = Array(".\(kind.kind)".utf8)
        for package in packages.indices {
            guard let index = index(of: Array(Self.digit(package).utf8) + suffix) else { continue }
            let node = definition(at: index)
            if node.kinds.contains(kind) {
                cache.withLock { $0.kinds[kind] = node }
                return node
            }
        }
        return nil
    }

    /// The type of an object by its own `apiVersion` and `kind`.
    public func kind(of object: JSON) -> SchemaNode? {
        kind(GroupVersionKind(apiVersion: object.apiVersion, kind: object.kind))
    }

    /// The definition at a position of the table, from 0 to `definitionCount`.
    public func definition(at index: Int) -> SchemaNode {
        if let known = cache.withLock({ $0.nodes[index] }) { return known }
        let node = parse(at: index)
        // Two threads may parse the same definition; the first one to finish is kept.
        return cache.withLock { cache in
            if let known = cache.nodes[index] { return known }
            cache.nodes[index] = node
            return node
        }
    }

    static func digit(_ value: Int) -> String { String(value, radix: 36) }

    /// The position of the definition with this package digit, dot and name.
    private func index(of name: [UInt8]) -> Int? {
        var low = 0
        var high = offsets.count
        while low < high {
            let middle = (low + high) / 2
            let start = Int(offsets[middle]) + 1
            let line = text.bytes[start..<text.lineEnd(from: start)]
            let candidate = line.prefix { $0 != UInt8(ascii: "|") }
            if candidate.elementsEqual(name) { return middle }
            if candidate.lexicographicallyPrecedes(name) { low = middle + 1 } else { high = middle }
        }
        return nil
    }
}

// MARK: - Parsing

extension Schema {
    private func parse(at index: Int) -> SchemaNode {
        var offset = Int(offsets[index])
        var end = text.lineEnd(from: offset)
        let head = text.bytes[(offset + 1)..<end].parts()
        let package = Int(head[0].prefix(1), radix: 36) ?? 0
        let shortName = String(head[0].dropFirst(2))
        let name = packages[package] + "." + shortName
        var kinds: [GroupVersionKind] = []
        var isAtomic = false
        var union: [String] = []
        var body: SchemaReference?
        for part in head.dropFirst() {
            let rest = String(part.dropFirst())
            switch part.first {
            case "#": kinds = versions(rest).map { GroupVersionKind(groupVersion: $0, kind: shortName) }
            case "A": isAtomic = true
            case "U": union = rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            case "=": body = reference(Substring(rest), package)
            default: break
            }
        }
        if case .inline(let node)? = body {
            let shape = shortName == "MicroTime" ? .microTime : node.shape
            return SchemaNode(shape: shape, name: name, kinds: kinds, element: node.element)
        }
        var properties: [SchemaProperty] = []
        offset = end + 1
        while offset < text.bytes.count, text.bytes[offset] == UInt8(ascii: " ") {
            end = text.lineEnd(from: offset)
            properties.append(property(text.bytes[(offset + 1)..<end].parts(), package))
            offset = end + 1
        }
        return SchemaNode(
            shape: .object, name: name, kinds: kinds, isAtomic: isAtomic, properties: properties,
            unionDiscriminator: union.first ?? "",
            unionFields: union.count > 1 ? union[1].split(separator: ",").map(String.init) : [])
    }

    private func versions(_ text: String) -> [String] {
        Int(text).map { kindLists[$0] } ?? [text]
    }

    private func property(_ parts: [String], _ package: Int) -> SchemaProperty {
        var isRequired = false
        var defaultValue: JSON?
        var listType: SchemaProperty.ListType?
        var mapKeys: [String] = []
        var strategies = ""
        var mergeKey: String?
        var mapType: SchemaProperty.MapType?
        for part in parts.dropFirst(2) {
            let rest = part.dropFirst()
            switch part.first {
            case "!": isRequired = true
            case "=": defaultValue = Self.value(rest)
            case "a": listType = .atomic
            case "u": listType = .set
            case "m":
                listType = .map
                mapKeys = rest.split(separator: ",").map(String.init)
            case "A": mapType = .atomic
            case "G": mapType = .granular
            case "S": strategies = String(rest)
            case "K": mergeKey = String(rest)
            default: break
            }
        }
        return SchemaProperty(
            name: parts[0], isRequired: isRequired, defaultValue: defaultValue, listType: listType, mapKeys: mapKeys,
            mergesList: strategies.contains("mr"), retainsKeys: strategies.contains("rt"),
            replaces: strategies.contains("rp"), mergeKey: mergeKey, mapType: mapType,
            reference: reference(Substring(parts[1]), package))
    }

    private static func value(_ text: Substring) -> JSON? {
        do { return try JSON(parsing: String(text)) } catch {
            // SAFETY: the table is part of the image and covered by a test; a value that is not JSON is a build error.
            fatalError("schema.txt has a malformed default \(text): \(error)")
        }
    }

    private func reference(_ text: Substring, _ package: Int) -> SchemaReference {
        switch text.first {
        case "@":
            let name = text.dropFirst()
            let full = name.contains(".") ? String(name) : Self.digit(package) + "." + name
            guard let index = index(of: Array(full.utf8)) else {
                // SAFETY: the table is part of the image and covered by a test; a dangling reference is a build error.
                fatalError("schema.txt names the missing definition \(full)")
            }
            return .definition(index)
        case "[": return .inline(SchemaNode(shape: .array, element: reference(text.dropFirst(), package)))
        case "{": return .inline(SchemaNode(shape: .map, element: reference(text.dropFirst(), package)))
        default: return .inline(SchemaNode(shape: Self.shape(text.first)))
        }
    }

    private static func shape(_ letter: Character?) -> SchemaNode.Shape {
        switch letter {
        case "s": .string
        case "y": .bytes
        case "t": .time
        case "q": .quantity
        case "x": .intOrString
        case "i": .integer32
        case "l": .integer64
        case "d": .number
        case "b": .boolean
        case "o": .freeObject
        default: .any
        }
    }
}

extension GroupVersionKind {
    /// From "apps/v1" or "/v1".
    init(groupVersion: String, kind: String) {
        let parts = groupVersion.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        self.init(
            group: parts.count == 2 ? String(parts[0]) : "", version: parts.last.map(String.init) ?? "", kind: kind)
    }
}

private struct ResourceParser {
    var verbSets: [[String]] = []
    var resources: [SchemaResource] = []

    mutating func begin(_ parts: [String]) {
        let origin = GroupVersionKind(groupVersion: parts[0], kind: parts[3])
        resources.append(
            SchemaResource(
                group: origin.group, version: origin.version, plural: parts[1], singular: parts[2], kind: parts[3],
                isNamespaced: parts[4] == "N", verbs: verbs(parts[5]), shortNames: list(parts[6]),
                categories: list(parts[7]), subresources: []))
    }

    mutating func addSubresource(_ parts: [String]) {
        guard let owner = resources.popLast() else { return }
        let origin = parts[2].isEmpty ? "\(owner.group)/\(owner.version)" : parts[2]
        let added = SchemaResource.Subresource(
            name: parts[0], kind: GroupVersionKind(groupVersion: origin, kind: parts[1]), verbs: verbs(parts[3]))
        resources.append(
            SchemaResource(
                group: owner.group, version: owner.version, plural: owner.plural, singular: owner.singular,
                kind: owner.kind, isNamespaced: owner.isNamespaced, verbs: owner.verbs, shortNames: owner.shortNames,
                categories: owner.categories, subresources: owner.subresources + [added]))
    }

    private func verbs(_ index: String) -> [String] { Int(index).map { verbSets[$0] } ?? [] }
    private func list(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }
}
