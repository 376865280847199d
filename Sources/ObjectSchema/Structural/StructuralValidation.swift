import Objects

/// Checks an object against the schema of its custom resource, with the messages of Kubernetes. Complexity: linear in the
/// object, times the number of schemas that are combined at a place.
struct StructuralValidation {
    private(set) var errors: [FieldError] = []
    /// Elements that lists of type set and map have twice.
    private(set) var listErrors: [FieldError] = []
    private var path = FieldPath()

    init() {}

    /// Checks a value that begins at a place of the object, such as a default.
    init(at path: FieldPath) { self.path = path }

    /// - Parameter before: what was at this place, if that can be told. A value that is as it was is not checked again, so
    ///   that an object which later rules would refuse can still be changed elsewhere.
    mutating func validate(_ value: JSON, _ node: SchemaNode, before: JSON? = nil) {
        if value.isNull, node.isNullable { return }
        if let before, before == value { return }
        guard checkType(value, node) else { return }
        let facts = node.structure
        if let rules = facts?.rules { check(value, rules) }
        switch value {
        case .object(let members): validateMembers(members, node, before?.objectValue)
        case .array(let elements):
            guard let element = node.items else { return }
            let earlier = before.flatMap { EarlierElements($0.arrayValue, facts) }
            for (index, member) in elements.enumerated() {
                inside(.index(index)) { $0.validate(member, element, before: earlier?.element(like: member)) }
            }
            if let facts { ListChecks.check(elements, facts, path, &listErrors) }
        default: break
        }
    }

    private mutating func validateMembers(_ members: JSONObject, _ node: SchemaNode, _ before: JSONObject?) {
        if let element = node.additionalProperties {
            for (key, member) in members {
                inside(.field(key)) { $0.validate(member, element, before: before?[key]) }
            }
            return
        }
        for (key, member) in members {
            // Metadata is a type of the table, with rules of its own.
            guard let property = node.property(key), property.node.name.isEmpty else { continue }
            inside(.field(key)) { $0.validate(member, property.node, before: before?[key]) }
        }
        if let facts = node.structure, facts.isEmbedded, !facts.isRoot { checkEmbedded(.object(members)) }
    }

    private mutating func inside(_ step: FieldPath.Step, _ body: (inout StructuralValidation) -> Void) {
        path.push(step)
        body(&self)
        path.pop()
    }

    private mutating func checkEmbedded(_ object: JSON) {
        for key in ["apiVersion", "kind"] where object[key].isEmpty {
            errors.append(.required(path.appending(key), "must not be empty"))
        }
        if let version = object["apiVersion"].stringValue, version.split(separator: "/").count > 2 {
            errors.append(
                .invalid(path.appending("apiVersion"), .string(version), "unexpected GroupVersion string: \(version)"))
        }
        if let kind = object["kind"].stringValue, !kind.isEmpty {
            errors += NameChecks.dns1035Label(kind.lowercased()).map {
                .invalid(
                    path.appending("kind"), .string(kind),
                    "may have mixed case, but should otherwise match: \($0)")
            }
        }
        guard object["metadata"].exists else { return }
        var metadata = MetadataValidation.errors(in: object, SchemaNode(shape: .freeObject))
        metadata.removeAll { $0.kind == .required && $0.path == "metadata.name" }
        errors += metadata.map { $0.moved(below: path) }
    }

    // MARK: - Types

    private mutating func checkType(_ value: JSON, _ node: SchemaNode) -> Bool {
        guard let expected = Self.mismatch(value, node.shape) else { return true }
        report(expected, value)
        return false
    }

    private mutating func report(_ expected: String, _ value: JSON) {
        let found = value.schemaTypeName
        errors.append(
            FieldError(
                .typeInvalid, path.text, value: .string(found),
                "\(place)must be of type \(expected): \"\(found)\""))
    }

    /// "spec.replicas in body ", and nothing for the object itself.
    private var place: String {
        let text = path.text
        return text.isEmpty ? "" : text + " in body "
    }

    private static func mismatch(_ value: JSON, _ shape: SchemaNode.Shape) -> String? {
        switch (shape, value) {
        case (.string, .string), (.boolean, .bool), (.array, .array), (.number, .integer), (.number, .number),
            (.intOrString, .string), (.any, _):
            return nil
        case (.object, .object), (.freeObject, .object), (.map, .object): return nil
        case (.integer64, _), (.intOrString, _):
            return value.integerValue != nil ? nil : shape == .intOrString ? "integer,string" : "integer"
        case (.string, _): return "string"
        case (.boolean, _): return "boolean"
        case (.array, _): return "array"
        case (.number, _): return "number"
        default: return "object"
        }
    }

    // MARK: - Rules

    private mutating func check(_ value: JSON, _ rules: ValueRules) {
        if !rules.type.isEmpty, !value.hasType(rules.type) { report(rules.type, value) }
        if !rules.allowed.isEmpty, !rules.allowed.contains(value) {
            let shown = rules.allowed.map { $0.stringValue ?? $0.serializedString() }
            errors.append(.notSupported(path.text, value, shown))
        }
        switch value {
        case .string(let text): check(text, rules)
        case .integer, .number: if let bounds = rules.bounds { check(value, bounds) }
        case .array(let elements): check(elements, rules)
        case .object(let members): check(members, rules)
        default: break
        }
        combine(value, rules)
    }

    private mutating func invalid(_ value: JSON, _ detail: String) {
        errors.append(.invalid(path.text, value, detail))
    }

    private mutating func check(_ text: String, _ rules: ValueRules) {
        if let sizes = rules.sizes {
            let count = Int64(text.unicodeScalars.count)
            if sizes.maximumLength >= 0, count > sizes.maximumLength {
                errors.append(.tooLong(path.text, limit: Int(sizes.maximumLength)))
            }
            if count < sizes.minimumLength {
                invalid(.string(text), "\(place)should be at least \(sizes.minimumLength) chars long")
            }
        }
        if let pattern = rules.pattern, !pattern.occurs(in: text) {
            invalid(.string(text), "\(place)should match '\(pattern.text)'")
        }
        if let format = rules.format, !format.accepts(text) {
            let detail = "\(place)must be of type \(format.rawValue): \(JSON.string(text).serializedString())"
            errors.append(FieldError(.typeInvalid, path.text, value: .string(text), detail))
        }
    }

    private mutating func check(_ value: JSON, _ bounds: ValueRules.Bounds) {
        let number = value.doubleValue ?? 0
        if let least = bounds.minimum.doubleValue, number < least || (bounds.excludesMinimum && number == least) {
            let words = bounds.excludesMinimum ? "greater than" : "greater than or equal to"
            invalid(value, "\(place)should be \(words) \(bounds.minimum)")
        }
        if let most = bounds.maximum.doubleValue, number > most || (bounds.excludesMaximum && number == most) {
            let words = bounds.excludesMaximum ? "less than" : "less than or equal to"
            invalid(value, "\(place)should be \(words) \(bounds.maximum)")
        }
        if let factor = bounds.multipleOf.doubleValue, factor > 0 {
            let quotient = number / factor
            if quotient != quotient.rounded() { invalid(value, "\(place)should be a multiple of \(bounds.multipleOf)") }
        }
    }

    private mutating func check(_ elements: [JSON], _ rules: ValueRules) {
        if let sizes = rules.sizes {
            let count = Int64(elements.count)
            if count < sizes.minimumItems {
                invalid(.array(elements), "\(place)should have at least \(sizes.minimumItems) items")
            }
            if sizes.maximumItems >= 0, count > sizes.maximumItems {
                errors.append(.tooMany(path.text, elements.count, limit: Int(sizes.maximumItems)))
            }
        }
        guard let element = rules.elements else { return }
        for (index, member) in elements.enumerated() { inside(.index(index)) { $0.check(member, element) } }
    }

    private mutating func check(_ members: JSONObject, _ rules: ValueRules) {
        for name in rules.required where !members.contains(name) { errors.append(.required(path.appending(name))) }
        if let sizes = rules.sizes {
            let count = Int64(members.count)
            if count < sizes.minimumMembers {
                invalid(.object(members), "\(place)should have at least \(sizes.minimumMembers) properties")
            }
            if sizes.maximumMembers >= 0, count > sizes.maximumMembers {
                errors.append(.tooMany(path.text, members.count, limit: Int(sizes.maximumMembers)))
            }
        }
        for (name, inner) in rules.members {
            if let member = members[name] { inside(.field(name)) { $0.check(member, inner) } }
        }
        if let others = rules.others {
            for (name, member) in members where !rules.members.contains(where: { $0.name == name }) {
                inside(.field(name)) { $0.check(member, others) }
            }
        }
    }

    // MARK: - Combinations

    private func outcome(_ value: JSON, _ rules: ValueRules) -> [FieldError] {
        var trial = StructuralValidation(at: path)
        trial.check(value, rules)
        return trial.errors
    }

    private mutating func combination(_ text: String) {
        errors.append(FieldError(.invalid, "<nil>", value: "", "\(JSON.string(path.text).serializedString()) \(text)"))
    }

    private mutating func combine(_ value: JSON, _ rules: ValueRules) {
        if !rules.anyOf.isEmpty {
            var best: [FieldError]?
            for option in rules.anyOf {
                let found = outcome(value, option)
                if found.isEmpty {
                    best = nil
                    break
                }
                if best.map({ found.count < $0.count }) ?? true { best = found }
            }
            if let best {
                combination("must validate at least one schema (anyOf)")
                errors += best
            }
        }
        if !rules.oneOf.isEmpty {
            let outcomes = rules.oneOf.map { outcome(value, $0) }
            let valid = outcomes.count { $0.isEmpty }
            if valid != 1 {
                let found = valid == 0 ? "Found none valid" : "Found \(valid) valid alternatives"
                combination("must validate one and only one schema (oneOf). \(found)")
                if valid == 0, let best = outcomes.min(by: { $0.count < $1.count }) { errors += best }
            }
        }
        if !rules.allOf.isEmpty {
            let outcomes = rules.allOf.map { outcome(value, $0) }
            let valid = outcomes.count { $0.isEmpty }
            errors += outcomes.flatMap { $0 }
            if valid < outcomes.count {
                combination("must validate all the schemas (allOf)\(valid == 0 ? ". None validated" : "")")
            }
        }
        if let not = rules.not, outcome(value, not).isEmpty { combination("must not validate the schema (not)") }
    }
}

extension JSON {
    /// A type's name as messages about schemas have it.
    var schemaTypeName: String { typeName }

    /// Whether this is of a JSON schema's type.
    func hasType(_ type: String) -> Bool {
        switch type {
        case "integer": integerValue != nil
        case "number": doubleValue != nil
        default: typeName == type
        }
    }
}

/// The elements that a list had before, by what tells them apart; only lists of type map have that.
struct EarlierElements {
    private let keys: [String]
    private let elements: [JSON: JSON]

    init?(_ list: [JSON], _ facts: StructuralFacts?) {
        guard let facts, facts.listType == .map else { return nil }
        keys = facts.mapKeys
        let keys = facts.mapKeys
        elements = Dictionary(
            list.map { element in (.object(JSONObject(keys.map { ($0, element[$0]) })), element) },
            uniquingKeysWith: { first, _ in first })
    }

    func element(like other: JSON) -> JSON? { elements[.object(JSONObject(keys.map { ($0, other[$0]) }))] }
}

/// Lists of type set and map have no element twice.
enum ListChecks {
    static func check(
        _ elements: [JSON], _ facts: StructuralFacts, _ path: FieldPath, _ errors: inout [FieldError]
    ) {
        guard elements.count > 1, let type = facts.listType, type != .atomic else { return }
        var seen: Set<JSON> = []
        var reported: Set<JSON> = []
        for (index, element) in elements.enumerated() {
            let key: JSON
            if type == .map {
                key = .object(JSONObject(facts.mapKeys.map { ($0, element[$0]) }))
            } else {
                key = element
            }
            if !seen.insert(key).inserted, reported.insert(key).inserted {
                errors.append(.duplicate(path.appending("[\(index)]"), key))
            }
        }
    }
}
