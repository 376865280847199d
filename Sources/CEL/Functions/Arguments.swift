import Objects

/// Arguments as the types that functions take.
extension CELValue {
    func bool() throws(CELError) -> Bool {
        guard case .bool(let value) = self else { throw .noSuchOverload }
        return value
    }

    func string() throws(CELError) -> String {
        guard case .string(let value) = self else { throw .noSuchOverload }
        return value
    }

    func int() throws(CELError) -> Int64 {
        guard case .int(let value) = self else { throw .noSuchOverload }
        return value
    }

    /// The elements of a list. Complexity: O(count).
    func elements() throws(CELError) -> [CELValue] {
        guard case .list(let list) = self else { throw .noSuchOverload }
        return try list.elements()
    }

    /// The elements of a list of strings.
    func strings() throws(CELError) -> [String] {
        var texts: [String] = []
        for element in try elements() { texts.append(try element.string()) }
        return texts
    }

    func wrapped() throws(CELError) -> CELValue? {
        guard case .optional(let value) = self else { throw .noSuchOverload }
        return value
    }

    func timestamp() throws(CELError) -> Timestamp {
        guard case .timestamp(let value) = self else { throw .noSuchOverload }
        return value
    }

    func opaque<Value: CELOpaque>(_ type: Value.Type) throws(CELError) -> Value {
        guard case .opaque(let value) = self, let value = value as? Value else { throw .noSuchOverload }
        return value
    }

    /// A map whose entries are values. Complexity: O(count) unless an expression has made it.
    func dictionary() throws(CELError) -> CELDictionary {
        guard case .map(let map) = self else { throw .noSuchOverload }
        if case .values(let values) = map { return values }
        var result = CELDictionary()
        for key in map.keys {
            if let value = try map.value(key) { try result.insert(value, for: key) }
        }
        return result
    }
}
