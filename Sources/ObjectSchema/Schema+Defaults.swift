import CObjectSchema
import Objects

/// A row of defaults.txt: the value that an absent field of a type gets, when the condition holds; of some fields also one that is
/// empty or 0, which in Kubernetes are the same as absent.
final class DefaultRule: Sendable {
    let path: [String]
    let value: JSON
    let condition: RuleCondition
    private let replacesZero: Bool

    static let table = RuleTable(EmbeddedText(hostd_defaults_text())) { DefaultRule($0) }

    /// Parses `PATH = JSON [when CONDITION]`, or the same with `:=`.
    init(_ line: String) {
        replacesZero = line.split(separator: " ", maxSplits: 2).dropFirst().first == ":="
        let sides = line.parts(separatedBy: replacesZero ? " := " : " = ", maxSplits: 1)
        let tail = sides[1].parts(separatedBy: " when ", maxSplits: 1)
        path = RuleCondition.path(sides[0])
        condition = tail.count > 1 ? RuleCondition(tail[1]) : .always
        do { value = try JSON(parsing: String(tail[0])) } catch {
            // SAFETY: the table is part of the image and covered by a test; a malformed row is a build error.
            fatalError("defaults.txt has a malformed value in \"\(line)\": \(error)")
        }
    }

    func apply(to object: inout JSON) {
        let present = object[path: path]
        guard present.isNull || replacesZero && (present.isEmpty || present == 0), condition.holds(for: object) else {
            return
        }
        Self.set(&object, path[...], value)
    }

    private static func set(_ object: inout JSON, _ path: ArraySlice<String>, _ value: JSON) {
        guard let key = path.first else {
            object = value
            return
        }
        switch object[key] {
        case .null where path.count > 1: object[key] = [:]
        case .null, .object: break
        // A value of a wrong type is for validation to find.
        default: if path.count > 1 { return }
        }
        set(&object[key], path.dropFirst(), value)
    }
}

extension Schema {
    /// Gives absent fields the values that Kubernetes gives them, everywhere in an object.
    public func applyDefaults(_ object: inout JSON, as node: SchemaNode) {
        if node.structure != nil { return StructuralDefaults.apply(to: &object, node) }
        switch node.shape {
        case .object:
            guard case .object = object else { return }
            for rule in node.defaultRules { rule.apply(to: &object) }
            applyStatedDefaults(&object, node)
            if let special = node.special { ComputedDefaults.apply(to: &object, special) }
            guard case .object(var members) = object else { return }
            object = .null
            members.updateValues { key, value in
                if let property = node.property(key) { applyDefaults(&value, as: property.node) }
            }
            object = .object(members)
        case .array:
            guard let items = node.items, items.shape == .object || items.shape == .array else { return }
            object.updateElements { _, element in applyDefaults(&element, as: items) }
        case .map:
            guard let values = node.additionalProperties, values.shape == .object, case .object(var members) = object
            else { return }
            object = .null
            members.updateValues { _, value in applyDefaults(&value, as: values) }
            object = .object(members)
        default: break
        }
    }

    /// Gives a status what it always has: for kinds of the table the numbers and flags that are 0 and false where nobody
    /// says otherwise, and texts that are required and empty, since clients take them for given; for custom resources their
    /// schema's defaults.
    public func applyStatusDefaults(_ object: inout JSON, as node: SchemaNode) {
        if node.structure != nil { return StructuralDefaults.apply(to: &object, node) }
        guard let status = node.property("status"), case .object = object["status"] else { return }
        applyZeros(&object["status"], status.node)
    }

    private func applyZeros(_ value: inout JSON, _ node: SchemaNode) {
        switch node.shape {
        case .object:
            guard case .object(var members) = value else { return }
            value = .null
            for property in node.properties {
                guard let zero = property.defaultValue,
                    zero == 0 || zero == false || (property.isRequired && zero == "")
                else { continue }
                if members[property.name]?.isNull ?? true { members[property.name] = zero }
            }
            members.updateValues { key, member in
                if let property = node.property(key) { applyZeros(&member, property.node) }
            }
            value = .object(members)
        case .array:
            guard let items = node.items, items.shape == .object else { return }
            value.updateElements { _, element in applyZeros(&element, items) }
        default: break
        }
    }

    /// The defaults of the OpenAPI document, except for those that only state Go's zero value.
    private func applyStatedDefaults(_ object: inout JSON, _ node: SchemaNode) {
        for property in node.properties {
            guard let value = property.effectiveDefault else { continue }
            if object[property.name].isNull { object[property.name] = value }
        }
    }
}
