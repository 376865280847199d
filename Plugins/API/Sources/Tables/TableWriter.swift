import Objects

/// Writes a meta.k8s.io Table: the columns of a resource, a row per object.
/// See https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables.
struct TableWriter {
    private let resource: Resource
    private let version: String
    private let layout: TableLayout
    private let includeObject: String
    private let now = Timestamp.now()
    private var output: [UInt8] = []
    private var rows = 0
    /// Where each row begins and what it is ranked by, of a layout that ranks its rows.
    private var ranks: [(rank: Int64, start: Int)] = []

    /// - Parameter layout: nil for that of the resource.
    init(_ resource: Resource, version: String, includeObject: String?, layout: TableLayout? = nil) {
        self.resource = resource
        self.version = version
        self.includeObject = includeObject ?? "Metadata"
        self.layout = layout ?? TableLayout.of(resource)
    }

    /// - Throws: 400 for what `includeObject` cannot be.
    static func check(includeObject value: String?) throws(APIStatus) {
        guard let value, !["", "None", "Metadata", "Object"].contains(value) else { return }
        throw .badRequest(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"\(value)\": "
                + "must be 'Metadata', 'Object', 'None', or empty")
    }

    /// Begins a table. `more` is a list's continue token.
    mutating func begin(revision: UInt64, more: String?, remaining: UInt64?, showsColumns: Bool = true) {
        output.append(contentsOf: "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/\(version)\",\"metadata\":".utf8)
        var metadata: JSONObject = [:]
        if revision > 0 { metadata["resourceVersion"] = .string(String(revision)) }
        if let more { metadata["continue"] = .string(more) }
        if let remaining { metadata["remainingItemCount"] = .integer(Int64(remaining)) }
        JSON.object(metadata).write(into: &output)
        output.append(contentsOf: ",\"columnDefinitions\":".utf8)
        JSON.array(showsColumns ? layout.columns.map(\.json) : []).write(into: &output)
        output.append(contentsOf: ",\"rows\":[".utf8)
    }

    /// Adds the row of one stored object.
    mutating func add(_ value: UnsafeRawBufferPointer, revision: UInt64) {
        let object: JSON
        do {
            object = Conversion.fromStorage(try JSON(parsing: value), resource)
        } catch {
            // A damaged object still has a row, so that it can be seen.
            object = ["metadata": ["name": "<damaged>"]]
        }
        if rows > 0 { output.append(0x2C) }
        rows += 1
        if let rank = layout.rank { ranks.append((rank(object), output.count)) }
        output.append(contentsOf: "{\"cells\":".utf8)
        JSON.array(layout.cells(object, now)).write(into: &output)
        if let conditions = layout.conditions?(object) {
            output.append(contentsOf: ",\"conditions\":".utf8)
            conditions.write(into: &output)
        }
        output.append(contentsOf: ",\"object\":".utf8)
        switch includeObject {
        case "None": output.append(contentsOf: "null".utf8)
        case "Object": Conversion.write(value, revision, resource, into: &output)
        default: StoredObject.writePartial(value, revision: revision, version: version, into: &output)
        }
        output.append(0x7D)
    }

    /// Adds the row of a view of an object, such as its scale, that is stored nowhere.
    mutating func add(view: JSON) {
        var row: JSON = ["cells": .array(layout.cells(view, now)), "object": .null]
        switch includeObject {
        case "None": break
        case "Object": row["object"] = view
        default:
            row["object"] = [
                "kind": "PartialObjectMetadata", "apiVersion": .string("meta.k8s.io/\(version)"),
                "metadata": view.metadata,
            ]
        }
        if rows > 0 { output.append(0x2C) }
        rows += 1
        row.write(into: &output)
    }

    /// Puts the rows in the order of their ranks; rows of one rank stay as they came.
    private mutating func arrange() {
        guard let first = ranks.first?.start, ranks.count > 1 else { return }
        let ends = ranks.dropFirst().map { $0.start - 1 } + [output.count]
        let rows = zip(ranks, ends).sorted { ($0.0.rank, $0.1) < ($1.0.rank, $1.1) }
        let arranged = rows.map { output[$0.0.start..<$0.1] }.joined(separator: [0x2C])
        output.replaceSubrange(first..., with: Array(arranged))
    }

    mutating func finish(newline: Bool = true) -> [UInt8] {
        arrange()
        output.append(contentsOf: (newline ? "]}\n" : "]}").utf8)
        return output
    }
}

/// The columns of a resource, and how an object fills them.
struct TableLayout: Sendable {
    struct Column: Sendable {
        var name: String
        var type: String
        /// Shown only in wide output when above 0.
        var priority: Int64
        var format = ""
        /// Empty for what goes without saying.
        var description = ""

        var json: JSON {
            [
                "name": .string(name), "type": .string(type), "format": .string(format),
                "description": .string(description.isEmpty ? Self.describe(name) : description),
                "priority": .integer(priority),
            ]
        }

        private static func describe(_ name: String) -> String {
            switch name {
            case "Name": "Name must be unique within a namespace."
            case "Age", "Created At": "The time since the object was created."
            default: "\(name) of the object."
            }
        }
    }

    var columns: [Column]
    var cells: @Sendable (JSON, Timestamp) -> [JSON]
    /// What rows are ordered by; nil where the order of the list is kept.
    var rank: (@Sendable (JSON) -> Int64)?
    /// What is said of a row besides its cells; nil for nothing.
    var conditions: (@Sendable (JSON) -> JSON?)?

    /// Columns from a compact text: "Name Status Restarts:integer Age IP+", a plus for wide output, "_" for a blank; ":name"
    /// is the format of columns that name an object, as "Name" itself does.
    init(_ text: String, _ cells: @escaping @Sendable (JSON, Timestamp) -> [JSON]) {
        columns = text.split(separator: " ").map { word in
            var word = word
            var priority: Int64 = 0
            if word.last == "+" {
                priority = 1
                word = word.dropLast()
            }
            let parts = word.split(separator: ":")
            let name = String(parts[0].map { $0 == "_" ? " " : $0 })
            let type = parts.count > 1 ? String(parts[1]) : name == "Name" ? "name" : "string"
            return Column(
                name: name, type: type == "name" ? "string" : type, priority: priority,
                format: type == "name" ? "name" : "")
        }
        self.cells = cells
    }

    init(columns: [Column], _ cells: @escaping @Sendable (JSON, Timestamp) -> [JSON]) {
        self.columns = columns
        self.cells = cells
    }

    /// The columns of a scale subresource.
    static let scale = TableLayout("Name:string Desired:integer Available:integer Age") { scale, now in
        [
            .string(scale.name), Cell.integer(scale["spec"]["replicas"]), Cell.integer(scale["status"]["replicas"]),
            Cell.age(scale, now),
        ]
    }

    static func of(_ resource: Resource) -> TableLayout {
        if let custom = resource.custom { return CustomTable.layout(custom) }
        return WorkloadTables.layout(resource.qualified) ?? CoreTables.layout(resource.qualified)
            ?? OtherTables.layout(resource.qualified) ?? StorageTables.layout(resource.qualified)
            ?? AdmissionTables.layout(resource.qualified)
            ?? TableLayout("Name Age") { object, now in [.string(object.name), Cell.age(object, now)] }
    }
}

/// Cells that several layouts have.
enum Cell {
    static func age(_ object: JSON, _ now: Timestamp) -> JSON {
        .string(HumanDuration.since(object.creationTimestamp, now: now))
    }

    static func text(_ value: JSON, _ fallback: String = "<none>") -> JSON {
        switch value {
        case .string(let text): .string(text.isEmpty ? fallback : text)
        case .null: .string(fallback)
        default: .string(value.serializedString())
        }
    }

    /// A cell as text.
    static func string(_ value: JSON) -> String { value.stringValue ?? value.serializedString() }

    static func list(_ values: [String], _ fallback: String = "<none>") -> JSON {
        .string(values.isEmpty ? fallback : values.joined(separator: ","))
    }

    static func integer(_ value: JSON) -> JSON { .integer(value.integerValue ?? 0) }

    static func containers(_ spec: JSON) -> JSON {
        list(spec["containers"].arrayValue.compactMap { $0["name"].stringValue }, "")
    }

    static func images(_ spec: JSON) -> JSON {
        list(spec["containers"].arrayValue.compactMap { $0["image"].stringValue }, "")
    }

    static func selector(_ selector: JSON) -> JSON {
        guard selector.exists else { return "<none>" }
        guard let parsed = try? LabelSelector(object: selector) else { return "<error>" }
        return .string(parsed.isEmpty ? "<none>" : parsed.selectorText)
    }

    static func map(_ map: JSON) -> JSON {
        list((map.objectValue ?? [:]).sortedByKey().map { "\($0.key)=\($0.value.stringValue ?? "")" })
    }
}
