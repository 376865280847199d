import CObjectSchema

/// What types and fields are for: the rows of descriptions.txt.
///
/// Made for one document and dropped with it, since nothing but documents shows them; until then the text lies in the image
/// and takes no memory. Making it costs one pass over the text, a type its own rows.
struct SchemaDescriptions {
    private struct Row: Sendable {
        let field: String
        let text: String

        /// Parses `FIELD TEXT`.
        init(_ line: String) {
            let parts = line.split(separator: " ", maxSplits: 1)
            field = String(parts[0])
            text = parts.count > 1 ? String(parts[1]) : ""
        }
    }

    /// The row of a section that speaks of the type itself.
    private static let itself = "."
    /// The section that every kind shares, as the table names it.
    private static let everyKind = "io.k8s.api.*"

    private let table = RuleTable(EmbeddedText(hostd_descriptions_text())) { Row($0) }
    private let shared: [String: String]

    init() { shared = Self.texts(table.rows(for: Self.everyKind)) }

    /// What is known of one type.
    struct OfType {
        /// What the type is; nil when nothing is said of it.
        let itself: String?
        fileprivate let fields: [String: String]

        /// What a field is for; nil when nothing is said of it.
        subscript(field: String) -> String? { fields[field] }
    }

    subscript(node: SchemaNode) -> OfType {
        var fields = Self.texts(table.rows(for: node.name))
        let itself = fields.removeValue(forKey: Self.itself)
        if !node.kinds.isEmpty { fields.merge(shared) { own, _ in own } }
        return OfType(itself: itself, fields: fields)
    }

    /// Every row, for checks of the text itself; a type's own is under ".".
    var rows: [(type: String, field: String, text: String)] {
        table.types.flatMap { type in table.rows(for: type).map { (type, $0.field, $0.text) } }
    }

    private static func texts(_ rows: [Row]) -> [String: String] {
        Dictionary(rows.map { ($0.field, $0.text) }, uniquingKeysWith: { first, _ in first })
    }
}
