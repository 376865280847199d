import Objects

/// What a request selects by equality of fields, as authorizers see it.
enum FieldEqualities {
    /// Of a query's fieldSelector. One that cannot be read, which the request is refused for, has none.
    static func of(_ text: String) -> [String: String] {
        do throws(FieldSelector.ParseError) {
            let equalities = try FieldSelector(parsing: text).requirements.filter(\.equals).map { ($0.path, $0.value) }
            return Dictionary(equalities, uniquingKeysWith: { first, _ in first })
        } catch {
            return [:]
        }
    }

    /// Of the `fieldSelector` of a SubjectAccessReview's attributes.
    static func of(_ json: JSON) -> [String: String] {
        if let text = json["rawSelector"].stringValue, !text.isEmpty { return of(text) }
        var fields: [String: String] = [:]
        for requirement in json["requirements"].arrayValue where requirement["operator"].stringValue == "In" {
            guard let key = requirement["key"].stringValue, requirement["values"].count == 1,
                let value = requirement["values"][0].stringValue
            else { continue }
            fields[key] = value
        }
        return fields
    }
}
