/// `[a, ?b]`.
struct ListStep: Step {
    let elements: [any Step]
    let optional: Set<Int>

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        var values: [CELValue] = []
        values.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            let value = try element.evaluate(frame)
            guard optional.contains(index) else {
                values.append(value)
                continue
            }
            guard case .optional(let wrapped) = value else { throw .noSuchOverload }
            if let wrapped { values.append(wrapped) }
        }
        try frame.charge(10)
        return .list(.values(values))
    }
}

/// `{a: b, ?c: d}`.
struct MapStep: Step {
    struct Entry: Sendable {
        let key: any Step
        let value: any Step
        let isOptional: Bool
    }

    let entries: [Entry]

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        var map = CELDictionary()
        for entry in entries {
            let key = try entry.key.evaluate(frame)
            let value = try entry.value.evaluate(frame)
            guard entry.isOptional else {
                try map.insert(value, for: key)
                continue
            }
            guard case .optional(let wrapped) = value else { throw .noSuchOverload }
            if let wrapped { try map.insert(wrapped, for: key) }
        }
        try frame.charge(30)
        return .map(.values(map))
    }
}

/// `Type{field: value}`.
struct ObjectStep: Step {
    struct Field: Sendable {
        let name: String
        let value: any Step
        let isOptional: Bool
    }

    let type: CELObjectType
    let fields: [Field]

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        var members = CELDictionary()
        for field in fields {
            let value = try field.value.evaluate(frame)
            let name = type.fields[field.name]?.jsonName ?? field.name
            guard field.isOptional else {
                try members.insert(value, for: .string(name))
                continue
            }
            guard case .optional(let wrapped) = value else { throw .noSuchOverload }
            if let wrapped { try members.insert(wrapped, for: .string(name)) }
        }
        try frame.charge(40)
        return .map(.object(type, members))
    }
}
