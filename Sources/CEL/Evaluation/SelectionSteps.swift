/// What a field or an index of a value is.
enum Selection {
    /// A field; an optional's field is an optional.
    static func field(_ name: String, of value: CELValue) throws(CELError) -> CELValue {
        switch value {
        case .map(let map):
            guard let found = try map.field(name) else { throw .noSuchKey(name) }
            return found
        case .optional(let wrapped):
            guard let wrapped else { return .optional(nil) }
            return .optional(try optionalField(name, of: wrapped))
        case .null: throw .noSuchKey(name)
        default: throw CELError("no such overload: unsupported field selection on \(value.type.runtimeName)")
        }
    }

    /// A field if it is there: what has no fields does not have this one. Elements of lists have no names.
    static func optionalField(_ name: String, of value: CELValue) throws(CELError) -> CELValue? {
        switch value {
        case .map(let map): return try map.field(name)
        case .optional(let wrapped):
            return try wrapped.flatMap { (inner) throws(CELError) in try optionalField(name, of: inner) }
        case .list: throw .noSuchOverload
        default: return nil
        }
    }

    static func element(_ index: CELValue, of value: CELValue) throws(CELError) -> CELValue {
        switch value {
        case .list(let list):
            guard let position = position(index) else { throw .noSuchOverload }
            guard position >= 0, position < list.count else { throw CELError("index out of bounds: \(position)") }
            return try list.element(Int(position))
        case .map(let map):
            guard let found = try map.value(index) else { throw .noSuchKey("\(index)") }
            return found
        case .optional(let wrapped):
            guard let wrapped else { return .optional(nil) }
            return .optional(try optionalElement(index, of: wrapped))
        default: throw .noSuchOverload
        }
    }

    static func optionalElement(_ index: CELValue, of value: CELValue) throws(CELError) -> CELValue? {
        switch value {
        case .list(let list):
            guard let position = position(index) else { throw .noSuchOverload }
            return position >= 0 && position < list.count ? try list.element(Int(position)) : nil
        case .map(let map): return try map.value(index)
        case .optional(let wrapped):
            return try wrapped.flatMap { (inner) throws(CELError) in try optionalElement(index, of: inner) }
        default: throw .noSuchOverload
        }
    }

    /// An index into a list: an integer of any numeric type.
    private static func position(_ index: CELValue) -> Int64? {
        switch index {
        case .int(let value): value
        case .uint(let value): Int64(exactly: value)
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// Wraps a value that may be an optional already.
    static func optional(_ value: CELValue?) -> CELValue {
        if case .optional(let inner)? = value { return .optional(inner) }
        return .optional(value)
    }
}

/// `operand.field`, and with `isOptional` `operand.?field`.
struct FieldStep: Step {
    let operand: any Step
    let field: String
    let isOptional: Bool
    var isAttribute: Bool { true }

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        let value = try operand.evaluate(frame)
        try frame.charge(operand.isAttribute ? 1 : 2)
        if isOptional { return Selection.optional(try Selection.optionalField(field, of: value)) }
        return try Selection.field(field, of: value)
    }
}

/// `has(operand.field)`.
struct PresenceStep: Step {
    let operand: any Step
    let field: String

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        let value = try operand.evaluate(frame)
        if operand.isAttribute { frame.refund(1) }
        return .bool(try Selection.optionalField(field, of: value) != nil)
    }
}

/// `operand[index]`, and with `isOptional` `operand[?index]`.
struct IndexStep: Step {
    let operand: any Step
    let index: any Step
    let isOptional: Bool
    var isAttribute: Bool { true }

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        let value = try operand.evaluate(frame)
        let before = frame.cost
        let index = try self.index.evaluate(frame)
        // A name as an index costs no more than its use.
        if self.index.isAttribute { frame.refund(frame.cost - before) }
        try frame.charge(operand.isAttribute ? 1 : 2)
        if isOptional { return Selection.optional(try Selection.optionalElement(index, of: value)) }
        return try Selection.element(index, of: value)
    }
}
