import CObjectSchema
import Objects

/// A column of the table that an API server makes of objects for `kubectl get`.
public struct TableColumn: Sendable {
    public enum Source: Sendable, Hashable {
        /// The value at a path.
        case path([String])
        /// How long ago the time at a path was.
        case age([String])
        /// The number of elements or members at all the paths together.
        case count([[String]])
        /// One field of each element of the list at a path (the elements themselves without a field), joined by commas.
        case each([String], field: String)
        /// A map of labels as "a=b,c=d", or "<none>".
        case labels([String])
        /// A label selector in its text form, or "<none>".
        case selector([String])
        /// "2/3": two numbers, absent ones as 0.
        case ratio([String], [String])
        /// The value as text, or the given text when absent. Booleans become "true" and "false".
        case text([String], absent: String)
        /// Something that the front end computes from the whole object, by name, perhaps with one argument.
        case computed(String, argument: String)
    }

    public let header: String
    /// "string", "integer", "boolean" or "date".
    public let type: String
    /// 0 is always shown, 1 with `-o wide`.
    public let priority: Int
    public let source: Source
    /// What stands for an absent or empty value; empty when nothing does.
    public let absentText: String

    /// "name" for the column of the name, else empty, as the column definitions of the API have it.
    public var format: String { header == "Name" ? "name" : "" }

    init(_ line: String) {
        let parts = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        header = parts[0]
        type = parts[1]
        priority = Int(parts[2]) ?? 0
        source = Self.source(parts[3].split(separator: " ").map(String.init))
        absentText = parts.count > 4 ? parts[4] : ""
    }

    private static func source(_ words: [String]) -> Source {
        func path(_ index: Int) -> [String] {
            index < words.count ? words[index].split(separator: ".").map(String.init) : []
        }
        switch words[0] {
        case "@age": return .age(path(1))
        case "@count": return .count((1..<words.count).map(path))
        case "@each": return .each(path(1), field: words.count > 2 ? words[2] : "")
        case "@labels": return .labels(path(1))
        case "@selector": return .selector(path(1))
        case "@ratio": return .ratio(path(1), path(2))
        case "@text": return .text(path(1), absent: words.count > 2 ? words[2] : "")
        default:
            if words[0].hasPrefix("@") {
                return .computed(String(words[0].dropFirst()), argument: words.count > 1 ? words[1] : "")
            }
            return .path(path(0))
        }
    }
}

/// The columns of each kind.
public enum TableColumns {
    static let table = RuleTable(EmbeddedText(hostd_columns_text())) { TableColumn($0) }

    /// The columns of a kind, or name and creation time for one that has none of its own.
    public static func `for`(_ node: SchemaNode) -> [TableColumn] {
        let rows = table.rows(for: node.name)
        return rows.isEmpty ? table.rows(for: "io.k8s.api.default") : rows
    }

    public static func `for`(_ kind: GroupVersionKind) -> [TableColumn] {
        Schema.shared.kind(kind).map { self.for($0) } ?? table.rows(for: "io.k8s.api.default")
    }
}

extension TableColumn {
    /// The cell of an object; nil when the source is computed, which is for the caller to do.
    public func cell(of object: JSON, now: Timestamp) -> JSON? {
        switch source {
        case .path(let path):
            let value = object[path: path]
            if !value.isEmpty || absentText.isEmpty { return value.isNull ? (type == "string" ? "" : value) : value }
            return type == "integer" ? JSON(Int64(absentText) ?? 0) : .string(absentText)
        case .age(let path): return .string(Self.age(object[path: path], now: now))
        case .count(let paths): return JSON(paths.reduce(0) { $0 + object[path: $1].count })
        case .each(let path, let field):
            let texts = object[path: path].arrayValue.map { Self.text(field.isEmpty ? $0 : $0[field]) }
            return .string(texts.isEmpty ? (absentText.isEmpty ? "<none>" : absentText) : texts.joined(separator: ","))
        case .labels(let path):
            let pairs = (object[path: path].objectValue ?? [:]).sortedByKey().map { "\($0.key)=\(Self.text($0.value))" }
            return .string(pairs.isEmpty ? "<none>" : pairs.joined(separator: ","))
        case .selector(let path): return .string(Self.selector(object[path: path]))
        case .ratio(let first, let second):
            return .string("\(object[path: first].integerValue ?? 0)/\(object[path: second].integerValue ?? 0)")
        case .text(let path, let absent):
            let value = object[path: path]
            return .string(value.isNull ? absent : Self.text(value))
        case .computed: return nil
        }
    }

    private static func text(_ value: JSON) -> String { value.stringValue ?? value.serializedString() }

    private static func selector(_ value: JSON) -> String {
        do {
            let text = try LabelSelector(object: value).description
            return text.isEmpty || value.isNull ? "<none>" : text
        } catch {
            return "<error>"
        }
    }

    /// "5m", "3h12m", "<unknown>" when the time is absent or malformed.
    public static func age(_ time: JSON, now: Timestamp) -> String {
        guard let text = time.stringValue else { return "<unknown>" }
        do { return humanDuration(seconds: now.nanoseconds(since: try Timestamp(parsing: text)) / 1_000_000_000) } catch
        {
            return "<unknown>"
        }
    }

    /// A duration in at most two units, the way that kubectl shows ages.
    public static func humanDuration(seconds: Int64) -> String {
        func pair(_ large: Int64, _ largeUnit: String, _ small: Int64, _ smallUnit: String) -> String {
            small == 0 ? "\(large)\(largeUnit)" : "\(large)\(largeUnit)\(small)\(smallUnit)"
        }
        let minutes = seconds / 60
        let hours = seconds / 3600
        let days = hours / 24
        switch seconds {
        case ..<(-1): return "<invalid>"
        case ..<0: return "0s"
        case ..<120: return "\(seconds)s"
        case ..<600: return pair(minutes, "m", seconds % 60, "s")
        case ..<10_800: return "\(minutes)m"
        case ..<28_800: return pair(hours, "h", minutes % 60, "m")
        case ..<172_800: return "\(hours)h"
        case ..<691_200: return pair(days, "d", hours % 24, "h")
        case ..<63_072_000: return "\(days)d"
        case ..<252_288_000: return pair(days / 365, "y", days % 365, "d")
        default: return "\(days / 365)y"
        }
    }
}
