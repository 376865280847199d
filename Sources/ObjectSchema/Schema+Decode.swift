import Objects

/// A value has a type that its field cannot hold; the message is what Kubernetes' decoder would say.
public struct SchemaTypeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// "spec.containers[0].image".
    public let path: String
    /// "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string".
    public let description: String
}

extension Schema {
    /// Gives an object the form in which Kubernetes would have decoded it: removes fields that the kind does not have and
    /// nulls, writes quantities and times canonically, and checks each value's type.
    ///
    /// Returns the paths of the unknown fields ("spec.containers[0].foo"), which strict field validation reports.
    public func prune(_ object: inout JSON, as node: SchemaNode) throws(SchemaTypeError) -> [String] {
        if node.structure != nil {
            var pruning = StructuralPruning()
            try pruning.prune(&object, node)
            return pruning.unknown
        }
        let pass = DecodePass()
        try pass.decode(&object, node, owner: node)
        return pass.unknown
    }
}

private final class DecodePass {
    private(set) var unknown: [String] = []
    private var path = FieldPath()

    func decode(_ value: inout JSON, _ node: SchemaNode, owner: SchemaNode) throws(SchemaTypeError) {
        switch node.shape {
        case .object: try decodeObject(&value, node, owner)
        case .map: try decodeMap(&value, node, owner)
        case .array: try decodeArray(&value, node, owner)
        case .string: guard case .string = value else { throw mismatch(value, node, owner) }
        case .boolean: guard case .bool = value else { throw mismatch(value, node, owner) }
        case .number: guard value.doubleValue != nil else { throw mismatch(value, node, owner) }
        case .integer32, .integer64: try decodeInteger(&value, node, owner)
        case .intOrString: try decodeIntOrString(&value, node, owner)
        case .quantity: try decodeQuantity(&value)
        case .time, .microTime: try decodeTime(&value, node, owner)
        case .bytes: try decodeBytes(value, node, owner)
        case .freeObject: guard case .object = value else { throw mismatch(value, node, owner) }
        case .any: break
        }
    }

    private func decodeObject(_ value: inout JSON, _ node: SchemaNode, _ owner: SchemaNode) throws(SchemaTypeError) {
        guard case .object(var object) = value else { throw mismatch(value, node, owner) }
        value = .null
        var hasExtra = false
        try object.updateValues { (key, member) throws(SchemaTypeError) in
            guard let property = node.property(key) else {
                hasExtra = true
                path.push(.field(key))
                unknown.append(path.text)
                path.pop()
                return
            }
            if member.isNull {
                hasExtra = true
                return
            }
            let type = property.node
            if Self.isPlain(member, type) { return }
            path.push(.field(key))
            try decode(&member, type, owner: node)
            path.pop()
        }
        if hasExtra { object.removeAll { key, member in member.isNull || node.property(key) == nil } }
        value = .object(object)
    }

    private func decodeMap(_ value: inout JSON, _ node: SchemaNode, _ owner: SchemaNode) throws(SchemaTypeError) {
        guard case .object(var object) = value else { throw mismatch(value, node, owner) }
        guard let element = node.additionalProperties else { return }
        value = .null
        try object.updateValues { (key, member) throws(SchemaTypeError) in
            if Self.isPlain(member, element) { return }
            if member.isNull { member = Self.zero(element) }
            // As Kubernetes' decoder names the place, for which a map is like an object.
            path.push(.field(key))
            try decode(&member, element, owner: owner)
            path.pop()
        }
        value = .object(object)
    }

    private func decodeArray(_ value: inout JSON, _ node: SchemaNode, _ owner: SchemaNode) throws(SchemaTypeError) {
        guard case .array = value else { throw mismatch(value, node, owner) }
        guard let element = node.items else { return }
        try value.updateElements { (index, member) throws(SchemaTypeError) in
            if Self.isPlain(member, element) { return }
            if member.isNull { member = Self.zero(element) }
            path.push(.index(index))
            try decode(&member, element, owner: owner)
            path.pop()
        }
    }

    /// Whether a value is right as it is, which is seen without a look at where it stands.
    private static func isPlain(_ value: JSON, _ node: SchemaNode) -> Bool {
        switch (value, node.shape) {
        case (.string, .string), (.bool, .boolean), (.integer, .integer64), (.integer, .number): true
        default: false
        }
    }

    private func decodeInteger(_ value: inout JSON, _ node: SchemaNode, _ owner: SchemaNode) throws(SchemaTypeError) {
        guard let integer = value.integerValue, node.shape == .integer64 || Int32(exactly: integer) != nil else {
            throw mismatch(value, node, owner)
        }
        value = .integer(integer)
    }

    private func decodeIntOrString(_ value: inout JSON, _ node: SchemaNode, _ owner: SchemaNode) throws(SchemaTypeError)
    {
        if case .string = value { return }
        guard let integer = value.integerValue, Int32(exactly: integer) != nil else {
            throw mismatch(value, node, owner)
        }
        value = .integer(integer)
    }

    private func decodeQuantity(_ value: inout JSON) throws(SchemaTypeError) {
        do { value = .string(try Quantity(value).description) } catch {
            throw SchemaTypeError(path: path.text, description: error.description)
        }
    }

    private func decodeTime(_ value: inout JSON, _ node: SchemaNode, _ owner: SchemaNode) throws(SchemaTypeError) {
        guard case .string(let text) = value else { throw mismatch(value, node, owner) }
        let isMicro = node.shape == .microTime
        do { value = .string(try Timestamp(parsing: text).formatted(fraction: isMicro ? .micro : .none)) } catch {
            let layout = isMicro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00"
            throw SchemaTypeError(
                path: path.text,
                description: "parsing time \"\(text)\" as \"\(layout)\": cannot parse \"\(text)\" as \"2006\"")
        }
    }

    private func decodeBytes(_ value: JSON, _ node: SchemaNode, _ owner: SchemaNode) throws(SchemaTypeError) {
        guard case .string(let text) = value else { throw mismatch(value, node, owner) }
        guard Base64.decode(text) != nil else {
            let bad = text.utf8.enumerated().first {
                Base64.decode(String(decoding: text.utf8.prefix($0.offset / 4 * 4 + 4), as: UTF8.self)) == nil
            }
            throw SchemaTypeError(path: path.text, description: "illegal base64 data at input byte \(bad?.offset ?? 0)")
        }
    }

    /// What Go's decoder makes of a null in a list or map.
    private static func zero(_ node: SchemaNode) -> JSON {
        switch node.shape {
        case .string, .bytes: ""
        case .boolean: false
        case .integer32, .integer64, .number, .intOrString: 0
        case .quantity: "0"
        case .object, .freeObject, .map: [:]
        case .array: []
        case .time, .microTime, .any: .null
        }
    }

    private func mismatch(_ value: JSON, _ node: SchemaNode, _ owner: SchemaNode) -> SchemaTypeError {
        let found: String
        switch value {
        case .bool: found = "bool"
        case .integer, .number:
            let isRange = node.shape == .integer32 || node.shape == .integer64 || node.shape == .intOrString
            found = isRange ? "number \(value)" : "number"
        default: found = value.typeName
        }
        let names = path.fieldNames
        let place = names.isEmpty ? "Go value" : "Go struct field \(owner.shortName).\(names)"
        return SchemaTypeError(
            path: path.text, description: "json: cannot unmarshal \(found) into \(place) of type \(Self.goType(node))")
    }

    private static func goType(_ node: SchemaNode) -> String {
        switch node.shape {
        case .string, .bytes: "string"
        case .boolean: "bool"
        case .integer32: "int32"
        case .integer64: "int64"
        case .number: "float64"
        case .time: "v1.Time"
        case .microTime: "v1.MicroTime"
        case .quantity: "resource.Quantity"
        case .intOrString: "intstr.IntOrString"
        case .array: "[]" + (node.items.map(goType) ?? "interface {}")
        case .map: "map[string]" + (node.additionalProperties.map(goType) ?? "interface {}")
        case .object, .freeObject, .any:
            node.name.isEmpty
                ? "map[string]interface {}" : node.name.split(separator: ".").suffix(2).joined(separator: ".")
        }
    }
}
