import Objects

/// What a list, a watch or a deletion of a collection selects, as authorizers see it: requirements that all hold. One that an
/// authorizer cannot be told of is left out, since the request then only seems to ask for more than it does.
/// See https://kubernetes.io/docs/reference/access-authn-authz/webhook/#request-payloads.
struct AccessSelector: Sendable, Hashable {
    enum Operator: String, Sendable {
        case isIn = "In"
        case isNotIn = "NotIn"
        case exists = "Exists"
        case doesNotExist = "DoesNotExist"
    }

    struct Requirement: Sendable, Hashable {
        var key: String
        var `operator`: Operator
        var values: [String] = []
    }

    var requirements: [Requirement] = []

    init(_ requirements: [Requirement] = []) { self.requirements = requirements }

    /// Of a query's fieldSelector. One that cannot be read, which the request is refused for, has none.
    init(fields text: String) {
        do throws(FieldSelector.ParseError) {
            requirements = try FieldSelector(parsing: text).requirements.map {
                Requirement(key: $0.path, operator: $0.equals ? .isIn : .isNotIn, values: [$0.value])
            }
        } catch {
            requirements = []
        }
    }

    /// Of a query's labelSelector, likewise.
    init(labels text: String) {
        do throws(LabelSelector.ParseError) {
            requirements = try LabelSelector(parsing: text).requirements.compactMap { requirement in
                let kind: Operator
                switch requirement.operator {
                case .equals, .isIn: kind = .isIn
                case .notEquals, .isNotIn: kind = .isNotIn
                case .exists: kind = .exists
                case .doesNotExist: kind = .doesNotExist
                case .greaterThan, .lessThan: return nil
                }
                let isAboutValues = kind == .isIn || kind == .isNotIn
                return Requirement(
                    key: requirement.key, operator: kind, values: isAboutValues ? requirement.values : [])
            }
        } catch {
            requirements = []
        }
    }

    /// Of a `fieldSelector` or `labelSelector` in a SubjectAccessReview's attributes.
    /// - Parameter parse: Reads its `rawSelector`.
    init(_ json: JSON, parse: (String) -> AccessSelector) {
        if let text = json["rawSelector"].stringValue, !text.isEmpty {
            self = parse(text)
            return
        }
        requirements = json["requirements"].arrayValue.compactMap { requirement in
            guard let key = requirement["key"].stringValue,
                let kind = Operator(rawValue: requirement["operator"].stringValue ?? "")
            else { return nil }
            return Requirement(
                key: key, operator: kind, values: requirement["values"].arrayValue.compactMap(\.stringValue))
        }
    }

    var isEmpty: Bool { requirements.isEmpty }

    /// Bytes of its text, about.
    var size: Int {
        requirements.reduce(0) { $1.values.reduce($0 + $1.key.utf8.count) { $0 + $1.utf8.count } }
    }

    /// The only value that a key may have; nil when there may be others.
    func equality(_ key: String) -> String? {
        requirements.first { $0.key == key && $0.operator == .isIn && $0.values.count == 1 }?.values[0]
    }

    /// As a SubjectAccessReview has it.
    var json: JSON {
        let requirements = requirements.map { requirement -> JSON in
            var json: JSONObject = [
                "key": .string(requirement.key), "operator": .string(requirement.operator.rawValue),
            ]
            if !requirement.values.isEmpty { json["values"] = .array(requirement.values.map { .string($0) }) }
            return .object(json)
        }
        return ["requirements": .array(requirements)]
    }
}
