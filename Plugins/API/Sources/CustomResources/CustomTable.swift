import Objects

/// The tables of custom resources: the columns that the definition gives, by default the name and the age.
enum CustomTable {
    static func layout(_ custom: CustomVersion) -> TableLayout {
        guard !custom.columns.isEmpty else {
            return TableLayout(columns: [name, age]) { object, now in
                [.string(object.name), .string(HumanDuration.since(object.creationTimestamp, now: now))]
            }
        }
        let columns = custom.columns
        return TableLayout(columns: [name] + columns.map(\.column)) { object, now in
            [.string(object.name)] + columns.map { cell($0.path.first(in: object), $0.column.type, now) }
        }
    }

    private static let name = TableLayout.Column(
        name: "Name", type: "string", priority: 0, format: "name",
        description: "Name must be unique within a namespace.")
    private static let age = TableLayout.Column(
        name: "Age", type: "date", priority: 0, format: "", description: "The time since the object was created.")

    /// A value as its column's type has it; null where it is none of the type.
    static func cell(_ value: JSON?, _ type: String, _ now: Timestamp) -> JSON {
        guard let value, value.exists else { return .null }
        switch type {
        case "integer":
            let whole = value.integerValue ?? value.doubleValue.flatMap { Int64(exactly: $0.rounded(.towardZero)) }
            return whole.map { .integer($0) } ?? .null
        case "number": return value.doubleValue == nil ? .null : value
        case "boolean": return value.boolValue == nil ? .null : value
        case "date":
            guard let text = value.stringValue else { return .null }
            guard (try? Timestamp(parsing: text)) != nil else { return "<invalid>" }
            return .string(HumanDuration.since(text, now: now))
        default: return .string(value.stringValue ?? value.canonicalText())
        }
    }
}
