import ObjectSchema
import Objects
import PluginKit
import Synchronization

/// What a CustomResourceDefinition says of one of its versions, beyond what every resource has. Immutable: a changed
/// definition makes new ones, and what was in use is told that it is no longer.
final class CustomVersion: Sendable {
    /// A column of tables, from additionalPrinterColumns.
    struct Column: Sendable {
        var column: TableLayout.Column
        var path: JSONPath
    }

    /// The name of the CustomResourceDefinition.
    let definition: String
    let version: String
    let listKind: String
    /// Of the definition. What is written later is mostly written under this schema.
    private let schemaRevision: UInt64
    /// The writes of the definition's objects, of this state and of those before.
    let writes: DefinitionWrites
    /// This state's number among them.
    let turn: UInt64
    let isServed: Bool
    let isTerminating: Bool
    let columns: [Column]
    let scale: ScalePaths?
    /// The text for Warning headers; nil when the version is not deprecated.
    let deprecationWarning: String?
    /// What converts between the versions; nil when their objects differ in their `apiVersion` alone.
    let conversion: ConversionWebhook?
    /// What selectors may name, in all versions.
    let fields: CustomFields

    private struct State {
        var schema: SchemaNode?
        var isIndexed = false
        var isRetired = false
        var next: UInt64 = 0
        var onRetire: [UInt64: @Sendable () -> Void] = [:]
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - object: the CustomResourceDefinition
    ///   - entry: the member of `spec.versions`
    init(
        _ object: JSON, _ entry: JSON, schemaRevision: UInt64, writes: DefinitionWrites,
        conversion: ConversionWebhook?, fields: CustomFields
    ) {
        self.writes = writes
        turn = writes.next
        self.conversion = conversion
        self.fields = fields
        definition = object.name
        version = entry["name"].stringValue ?? ""
        listKind = object["status"]["acceptedNames"]["listKind"].stringValue ?? ""
        self.schemaRevision = schemaRevision
        isServed = entry["served"].boolValue ?? false
        isTerminating = object.deletionTimestamp != nil
        columns = entry["additionalPrinterColumns"].arrayValue.compactMap(Self.column)
        scale = ScalePaths(entry["subresources"]["scale"])
        let kind = object["spec"]["names"]["kind"].stringValue ?? ""
        let group = object["spec"]["group"].stringValue ?? ""
        deprecationWarning =
            entry["deprecated"].boolValue == true
            ? entry["deprecationWarning"].stringValue ?? "\(group)/\(version) \(kind) is deprecated" : nil
    }

    private static func column(_ entry: JSON) -> Column? {
        // What cannot be read was refused when the definition was written.
        guard let text = entry["jsonPath"].stringValue, let path = try? JSONPath(parsing: text) else { return nil }
        return Column(
            column: TableLayout.Column(
                name: entry["name"].stringValue ?? "", type: entry["type"].stringValue ?? "string",
                priority: entry["priority"].integerValue ?? 0, format: entry["format"].stringValue ?? "",
                description: entry["description"].stringValue
                    ?? "Custom resource definition column (in JSONPath format): \(text)"), path: path)
    }

    /// Records of a later revision were written under this schema, and so are pruned and have their defaults.
    var settledRevision: UInt64 { max(schemaRevision, writes.settledRevision) }

    // MARK: - Schema

    static let definitions = "customresourcedefinitions.apiextensions.k8s.io"

    /// The type of the version's objects, once `prepare` has made it.
    var schema: SchemaNode? { state.withLock { $0.schema } }

    /// Makes the schema ready, from the stored definition: a version that nobody asks for costs no more than its names.
    func prepare(_ store: StoreClient) throws(APIStatus) {
        guard schema == nil else { return }
        let node: SchemaNode
        do {
            guard let object = try store.object("\(Self.definitions)//\(definition)"),
                let entry = object["spec"]["versions"].arrayValue.first(where: { $0["name"].stringValue == version })
            else { throw APIStatus.unknownPath }
            node = try StructuralCompiler.compile(entry["schema"]["openAPIV3Schema"])
        } catch let status as APIStatus {
            throw status
        } catch {
            throw .internalError("the schema of \(definition), version \(version), cannot be used: \(error)")
        }
        state.withLock { if $0.schema == nil { $0.schema = node } }
    }

    /// Whether all objects are indexed by the present definition's selectable fields, as far as is known.
    var isIndexed: Bool { state.withLock { $0.isIndexed } }

    func markIndexed() { state.withLock { $0.isIndexed = true } }

    // MARK: - Retirement

    /// Calls `body` when the definition changes or goes, at once when it has; the number takes it back.
    func onRetire(_ body: @escaping @Sendable () -> Void) -> UInt64 {
        let id = state.withLock { state -> UInt64? in
            guard !state.isRetired else { return nil }
            state.next += 1
            state.onRetire[state.next] = body
            return state.next
        }
        if id == nil { body() }
        return id ?? 0
    }

    func cancelRetire(_ id: UInt64) { state.withLock { _ = $0.onRetire.removeValue(forKey: id) } }

    func retire() {
        let bodies = state.withLock { state in
            state.isRetired = true
            defer { state.onRetire = [:] }
            return Array(state.onRetire.values)
        }
        for body in bodies { body() }
    }
}
