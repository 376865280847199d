import Glibc
import Objects

/// The part of JSON Schema that plugins describe their options with. Unlike in JSON Schema, an object with `properties`
/// takes no further ones unless `additionalProperties` says so: a mistyped key must not pass.
public indirect enum OptionSchema: Sendable {
    case any(Common)
    case object(Common, ObjectRules)
    case array(Common, items: OptionSchema?, minimum: Int, maximum: Int)
    case string(Common, TextRules)
    case number(Common, isInteger: Bool, minimum: Double?, maximum: Double?)
    case boolean(Common)

    public struct Common: Sendable {
        var allowed: [JSON] = []
        var defaultValue: JSON?
    }

    public struct ObjectRules: Sendable {
        var properties: [(name: String, schema: OptionSchema)] = []
        var required: [String] = []
        var additional: OptionSchema?
    }

    public struct TextRules: Sendable {
        var minimum = 0
        var maximum = Int.max
        var pattern: String?
    }

    /// Why a plugin's schema cannot be used.
    public struct Failure: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// The schema of a plugin that takes no options.
    public static let none = OptionSchema.object(Common(), ObjectRules())

    private static let keywords: Set<String> = [
        "$schema", "$id", "$comment", "title", "description", "examples", "type", "properties", "required", "enum",
        "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "items",
        "additionalProperties", "default", "deprecated",
    ]

    /// Reads a schema; `path` is for messages.
    public init(_ json: JSON, path: String = "", depth: Int = 0) throws(Failure) {
        let place = path.isEmpty ? "the schema" : "the schema at \(path)"
        guard case .object(let object) = json else { throw Failure(description: "\(place) is not an object") }
        guard depth < 32 else { throw Failure(description: "\(place) is nested deeper than 32 levels") }
        for (key, _) in object where !Self.keywords.contains(key) {
            throw Failure(description: "\(place) uses the keyword \"\(key)\", which hostd does not know")
        }
        let common = Common(allowed: json["enum"].arrayValue, defaultValue: object["default"])
        switch json["type"].stringValue ?? (object["properties"] == nil ? "" : "object") {
        case "": self = .any(common)
        case "boolean": self = .boolean(common)
        case "integer", "number":
            self = .number(
                common, isInteger: json["type"].stringValue == "integer", minimum: json["minimum"].doubleValue,
                maximum: json["maximum"].doubleValue)
        case "string":
            let pattern = json["pattern"].stringValue
            if let pattern, !Self.isPattern(pattern) {
                throw Failure(description: "\(place) has a pattern that is no POSIX extended expression")
            }
            self = .string(
                common,
                TextRules(
                    minimum: Int(json["minLength"].integerValue ?? 0),
                    maximum: Int(json["maxLength"].integerValue ?? .max), pattern: pattern))
        case "array":
            let items = json["items"].isNull ? nil : try Self(json["items"], path: path + "[]", depth: depth + 1)
            self = .array(
                common, items: items, minimum: Int(json["minItems"].integerValue ?? 0),
                maximum: Int(json["maxItems"].integerValue ?? .max))
        case "object": self = .object(common, try Self.objectRules(json, path: path, depth: depth))
        default: throw Failure(description: "\(place) has the unknown type \(json["type"].serializedString())")
        }
    }

    private static func objectRules(_ json: JSON, path: String, depth: Int) throws(Failure) -> ObjectRules {
        var rules = ObjectRules()
        for (name, schema) in json["properties"].objectValue ?? [:] {
            let schemaPath = path.isEmpty ? name : "\(path).\(name)"
            rules.properties.append((name, try Self(schema, path: schemaPath, depth: depth + 1)))
        }
        rules.required = json["required"].arrayValue.compactMap(\.stringValue)
        switch json["additionalProperties"] {
        case .bool(true): rules.additional = .any(Common())
        case .object: rules.additional = try Self(json["additionalProperties"], path: path + ".*", depth: depth + 1)
        default: break
        }
        return rules
    }

    private static func isPattern(_ pattern: String) -> Bool {
        var expression = regex_t()
        guard regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB) == 0 else { return false }
        regfree(&expression)
        return true
    }

    var common: Common {
        switch self {
        case .any(let common), .object(let common, _), .array(let common, _, _, _), .string(let common, _),
            .number(let common, _, _, _), .boolean(let common):
            common
        }
    }
}
