import Objects

extension CELValue {
    /// CEL's equality: numbers by value whatever their types, lists and maps by their content, and values of different
    /// types are not equal.
    public func equals(_ other: CELValue) throws(CELError) -> Bool {
        switch (self, other) {
        case (.null, .null): return true
        case (.bool(let left), .bool(let right)): return left == right
        case (.string(let left), .string(let right)): return JSON.string(left) == JSON.string(right)
        case (.bytes(let left), .bytes(let right)): return left == right
        case (.timestamp(let left), .timestamp(let right)): return left == right
        case (.duration(let left), .duration(let right)): return left == right
        case (.type(let left), .type(let right)): return left.runtimeName == right.runtimeName
        case (.list(let left), .list(let right)): return try left.equals(right)
        case (.map(let left), .map(let right)): return try left.equals(right)
        case (.optional(let left), .optional(let right)):
            guard let left, let right else { return left == nil && right == nil }
            return try left.equals(right)
        case (.opaque(let left), .opaque(let right)):
            return left.typeName == right.typeName && left.equals(right)
        default: return numericOrder(other) == .equal
        }
    }

    enum Order: Sendable { case less, equal, greater, unordered }

    /// How two numbers compare, whatever their types; nil when one is none.
    func numericOrder(_ other: CELValue) -> Order? {
        switch (self, other) {
        case (.int(let left), .int(let right)): return Self.order(left, right)
        case (.uint(let left), .uint(let right)): return Self.order(left, right)
        case (.double(let left), .double(let right)): return Self.order(left, right)
        case (.int(let left), .uint(let right)): return left < 0 ? .less : Self.order(left.magnitude, right)
        case (.uint(let left), .int(let right)): return right < 0 ? .greater : Self.order(left, right.magnitude)
        case (.int(let left), .double(let right)): return Self.order(left, right)
        case (.uint(let left), .double(let right)): return Self.order(left, right)
        case (.double(let left), .int(let right)): return Self.order(right, left).reversed
        case (.double(let left), .uint(let right)): return Self.order(right, left).reversed
        default: return nil
        }
    }

    private static func order<Value: Comparable>(_ left: Value, _ right: Value) -> Order {
        left < right ? .less : left == right ? .equal : left > right ? .greater : .unordered
    }

    /// Exact: an integer is compared with the double's whole part, then with its fraction.
    private static func order<Integer: FixedWidthInteger>(_ left: Integer, _ right: Double) -> Order {
        if right.isNaN { return .unordered }
        let whole = right.rounded(.down)
        guard let integer = Integer(exactly: whole) else { return whole < 0 ? .greater : .less }
        if left != integer { return left < integer ? .less : .greater }
        return whole == right ? .equal : .less
    }

    /// The order of two values that have one.
    func order(_ other: CELValue) throws(CELError) -> Order {
        switch (self, other) {
        case (.bool(let left), .bool(let right)): return Self.order(left ? 1 : 0, right ? 1 : 0)
        case (.string(let left), .string(let right)):
            return left.precedesByBytes(right) ? .less : JSON.string(left) == JSON.string(right) ? .equal : .greater
        case (.bytes(let left), .bytes(let right)):
            return left.lexicographicallyPrecedes(right) ? .less : left == right ? .equal : .greater
        case (.timestamp(let left), .timestamp(let right)): return Self.order(left, right)
        case (.duration(let left), .duration(let right)): return Self.order(left, right)
        default:
            guard let order = numericOrder(other) else { throw .noSuchOverload }
            return order
        }
    }
}

extension CELValue.Order {
    var reversed: CELValue.Order {
        switch self {
        case .less: .greater
        case .greater: .less
        case .equal, .unordered: self
        }
    }
}

extension CELList {
    func equals(_ other: CELList) throws(CELError) -> Bool {
        guard count == other.count else { return false }
        if case .json(let left, let schema) = self, case .json(let right, let otherSchema) = other {
            if left == right { return true }
            if schema == nil, otherSchema == nil { return false }
        }
        switch kind {
        case .atomic:
            for index in 0..<count where try !element(index).equals(try other.element(index)) { return false }
            return true
        case .set, .map: return try hasSameElements(as: other)
        }
    }

    /// Whether every element of one is in the other, for lists without order.
    private func hasSameElements(as other: CELList) throws(CELError) -> Bool {
        var rest = try other.elements()
        for element in try elements() {
            var found: Int?
            for (index, candidate) in rest.enumerated() where try element.equals(candidate) {
                found = index
                break
            }
            guard let found else { return false }
            rest.remove(at: found)
        }
        return true
    }
}

extension CELMap {
    func equals(_ other: CELMap) throws(CELError) -> Bool {
        guard count == other.count else { return false }
        if case .json(let left, let schema) = self, case .json(let right, let otherSchema) = other {
            if left == right { return true }
            if schema == nil, otherSchema == nil { return false }
        }
        for key in keys {
            guard let left = try rawValue(key), let right = try other.rawValue(key), try left.equals(right) else {
                return false
            }
        }
        return true
    }

    /// The value of a key of JSON, which for objects is the member's own name and not the field's identifier.
    func rawValue(_ key: CELValue) throws(CELError) -> CELValue? {
        guard case .json(let object, let schema) = self, case .object(let type) = schema?.shape,
            case .string(let name) = key
        else { return try value(key) }
        guard let member = object[name] else { return nil }
        return try CELValue(member, type.fields.values.first { $0.jsonName == name }?.schema)
    }
}
