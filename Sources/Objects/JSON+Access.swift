extension JSON {
    /// A member of an object: null when absent or when this is not an object.
    ///
    /// Assigning makes an object of anything that is not one; assigning null keeps an explicit null (see
    /// `removeValue(forKey:)`). Changing a value in place through the subscript copies nothing.
    public subscript(key: String) -> JSON {
        get {
            if case .object(let object) = self, let position = object.position(of: key) {
                return object.members[position].value
            }
            return .null
        }
        set {
            var object = takeObject()
            object[key] = newValue
            self = .object(object)
        }
        _modify {
            let wasNull = isNull
            var object = takeObject()
            if let position = object.position(of: key) {
                defer { self = .object(object) }
                yield &object.members[position].value
            } else {
                var value = JSON.null
                defer {
                    if !value.isNull { object.append(key, value) }
                    self = wasNull && value.isNull ? .null : .object(object)
                }
                yield &value
            }
        }
    }

    /// An element of an array: null when out of range or when this is not an array.
    ///
    /// Assigning at the count appends; assigning elsewhere out of range, or to what is not an array, does nothing.
    public subscript(index: Int) -> JSON {
        get {
            if case .array(let elements) = self, elements.indices.contains(index) { return elements[index] }
            return .null
        }
        _modify {
            var value = JSON.null
            if case .array(var elements) = self {
                self = .null
                defer { self = .array(elements) }
                if elements.indices.contains(index) {
                    yield &elements[index]
                } else {
                    defer { if index == elements.count { elements.append(value) } }
                    yield &value
                }
            } else {
                yield &value
            }
        }
    }

    private mutating func takeObject() -> JSONObject {
        guard case .object(let object) = self else { return JSONObject() }
        self = .null
        return object
    }

    public var isNull: Bool { if case .null = self { true } else { false } }

    /// Whether there is a value: an absent member reads as null.
    public var exists: Bool { !isNull }

    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// An integer, or a double without a fraction that fits 64 bits.
    public var integerValue: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// Any number as a double.
    public var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The elements; empty when this is not an array.
    public var arrayValue: [JSON] { if case .array(let elements) = self { elements } else { [] } }

    public var objectValue: JSONObject? { if case .object(let object) = self { object } else { nil } }

    /// Members of an object, elements of an array; 0 for anything else.
    public var count: Int {
        switch self {
        case .object(let object): object.count
        case .array(let elements): elements.count
        default: 0
        }
    }

    /// Whether this is null, an empty string, an empty array or an empty object.
    public var isEmpty: Bool {
        switch self {
        case .null: true
        case .string(let value): value.isEmpty
        case .array(let elements): elements.isEmpty
        case .object(let object): object.isEmpty
        default: false
        }
    }

    /// The members of an object of strings (labels, annotations, data); members of other types are left out.
    public var stringDictionary: [String: String] {
        guard case .object(let object) = self else { return [:] }
        var result = [String: String](minimumCapacity: object.count)
        for member in object.members { if case .string(let value) = member.value { result[member.key] = value } }
        return result
    }

    /// Removes a member of an object, without effect on anything else.
    @discardableResult
    public mutating func removeValue(forKey key: String) -> JSON? {
        guard case .object(var object) = self else { return nil }
        self = .null
        defer { self = .object(object) }
        return object.removeValue(forKey: key)
    }

    /// Appends to an array, making one of null; without effect on anything else.
    public mutating func append(_ element: JSON) {
        switch self {
        case .array(var elements):
            self = .null
            elements.append(element)
            self = .array(elements)
        case .null: self = .array([element])
        default: break
        }
    }

    /// Changes each element of an array in place.
    public mutating func updateElements<E: Error>(_ transform: (_ index: Int, _ element: inout JSON) throws(E) -> Void)
        throws(E)
    {
        guard case .array(var elements) = self else { return }
        self = .null
        defer { self = .array(elements) }
        for index in elements.indices { try transform(index, &elements[index]) }
    }

    /// The value at a path of member names; null when some step is absent.
    public subscript(path path: [String]) -> JSON {
        var current = self
        for key in path { current = current[key] }
        return current
    }

    /// How JSON names the type of this value, for messages.
    public var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}
