import Objects
import PluginKit

/// The label and field selectors of a list or a watch, over the index of stored records.
struct Selection: Sendable {
    /// What the store understands: labels by name, fields with a leading dot. Empty when everything is selected.
    let text: String
    private let requirements: LabelSelector
    private let fields: [(name: String, equals: Bool, value: String)]
    /// Nothing can match.
    let matchesNothing: Bool

    private static let ownWords: Set = [
        "pods", "nodes", "namespaces", "secrets", "services", "replicationcontrollers", "events",
        "certificatesigningrequests.certificates.k8s.io",
    ]

    static func forbiddenField(_ field: String, _ resource: Resource) -> APIStatus {
        // Custom resources, and kinds of which more can be selected, say it in other words than all the others.
        if resource.custom != nil || Self.ownWords.contains(resource.qualified) {
            return .badRequest("field label not supported: \(field)")
        }
        if resource.qualified == "jobs.batch" {
            return .badRequest("field label \"\(field)\" not supported for Job")
        }
        let known = (["metadata.name"] + (resource.isNamespaced ? ["metadata.namespace"] : []))
        return .badRequest(
            "\"\(field)\" is not a known field selector: only \(known.map { "\"\($0)\"" }.joined(separator: ", "))")
    }

    init(_ query: Query, _ resource: Resource) throws(APIStatus) {
        let labels: LabelSelector
        do {
            labels = try LabelSelector(parsing: query["labelSelector"] ?? "")
        } catch {
            throw .badRequest("\(error)")
        }
        let selector: FieldSelector
        do {
            selector = try FieldSelector(parsing: query["fieldSelector"] ?? "")
        } catch {
            throw .badRequest("unable to parse field selector: \(error)")
        }
        requirements = labels
        matchesNothing = labels.matchesNothing
        var fields: [(name: String, equals: Bool, value: String)] = []
        for requirement in selector.requirements {
            let path = Self.storedPath(requirement.path, resource)
            guard
                path == "metadata.name" || (path == "metadata.namespace" && resource.isNamespaced)
                    || resource.selectableFields.contains(path)
            else { throw Self.forbiddenField(requirement.path, resource) }
            fields.append((resource.indexName(of: path), requirement.equals, requirement.value))
        }
        self.fields = fields
        var parts = labels.isEmpty ? [] : [labels.selectorText]
        parts += fields.map { "\($0.name)\($0.equals ? "=" : "!=")\($0.value)" }
        text = parts.joined(separator: ",")
    }

    private static func storedPath(_ path: String, _ resource: Resource) -> String {
        guard resource.qualified == "events" else { return path }
        if path.hasPrefix("regarding.") { return "involvedObject." + path.dropFirst("regarding.".count) }
        switch path {
        case "reportingController": return "reportingComponent"
        case "source.component": return "source"
        default: return path
        }
    }

    var isEverything: Bool { text.isEmpty && !matchesNothing }

    /// Whether a record's index satisfies both selectors.
    func matches(_ record: StoreRecord) -> Bool {
        if isEverything { return true }
        if matchesNothing { return false }
        return withExtendedLifetime(record) { matches(index: record.indexBytes) }
    }

    func matches(index: UnsafeRawBufferPointer) -> Bool {
        func value(_ name: String) -> String? { Self.value(of: name, in: index) }
        for field in fields {
            guard (value(field.name) == field.value) == field.equals else { return false }
        }
        return requirements.matches(value)
    }

    /// Whether an object of this name satisfies both, that has no labels and lies in no namespace.
    func matches(name: String) -> Bool {
        !matchesNothing && Array(".metadata.name\0\(name)\0".utf8).withUnsafeBytes { matches(index: $0) }
    }

    /// The value under a name in an index of "name\0value\0" pairs.
    static func value(of name: String, in index: UnsafeRawBufferPointer) -> String? {
        var position = 0
        while position < index.count {
            guard let nameEnd = index[position...].firstIndex(of: 0) else { return nil }
            guard nameEnd + 1 <= index.count, let valueEnd = index[(nameEnd + 1)...].firstIndex(of: 0) else {
                return nil
            }
            if index[position..<nameEnd].elementsEqual(name.utf8) {
                return String(decoding: index[(nameEnd + 1)..<valueEnd], as: UTF8.self)
            }
            position = valueEnd + 1
        }
        return nil
    }
}
