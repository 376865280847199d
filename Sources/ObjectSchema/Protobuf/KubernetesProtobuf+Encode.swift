import Objects

extension KubernetesProtobuf {
    /// Whether objects of a kind have this encoding.
    public static func knows(apiVersion: String, kind: String) -> Bool {
        messageName(apiVersion: apiVersion, kind: kind) != nil
    }

    /// The encoding of an object, with its apiVersion and kind. Members that the kind's message has no field for are left out.
    /// - Throws: when the kind has no encoding, or a value is of another type than its field.
    public static func encode(_ object: JSON) throws(ProtobufError) -> [UInt8] {
        var raw = ProtobufWriter()
        try encode(object, as: try message(apiVersion: object.apiVersion, kind: object.kind), into: &raw, depth: 0)
        return envelope(apiVersion: object.apiVersion, kind: object.kind, raw.bytes)
    }

    /// One event of a watch as it lies in the stream: its size in four bytes, the highest first, then a WatchEvent.
    /// - Parameter object: The encoding of its object, as `encode` gives it.
    public static func event(_ type: String, _ object: [UInt8]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.string(1, type)
        writer.message(2) { $0.data(1, object) }
        let size = UInt32(writer.bytes.count)
        return [UInt8(size >> 24), UInt8(size >> 16 & 0xFF), UInt8(size >> 8 & 0xFF), UInt8(size & 0xFF)] + writer.bytes
    }

    fileprivate static func message(
        apiVersion: String, kind: String
    ) throws(ProtobufError) -> ProtobufTable.Message {
        guard let name = messageName(apiVersion: apiVersion, kind: kind),
            let message = ProtobufTable.shared.message(name)
        else {
            throw ProtobufError(description: "no protobuf encoding is known for kind \"\(kind)\" of \"\(apiVersion)\"")
        }
        return message
    }

    fileprivate static func envelope(apiVersion: String, kind: String, _ raw: [UInt8]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.reserve(raw.count + 64)
        writer.message(1) { type in
            type.string(1, apiVersion)
            type.string(2, kind)
        }
        writer.data(2, raw)
        // Its own coding and type: those that go without saying.
        writer.string(3, "")
        writer.string(4, "")
        return magic + writer.bytes
    }

    static func encode(
        _ value: JSON, as message: ProtobufTable.Message, into writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        guard let members = value.objectValue else {
            throw ProtobufError(description: "a \(message.name) must be an object")
        }
        guard depth < deepest else { throw ProtobufError(description: "messages are nested deeper than \(deepest)") }
        for field in message.ordered {
            if field.isInlined, case .message(let type) = field.kind {
                try encodeInlined(value, type, field, into: &writer, depth: depth)
                continue
            }
            guard let value = members[field.name], !value.isNull else { continue }
            if !field.isRepeated {
                try encode(value, of: field, into: &writer, depth: depth)
            } else if let type = field.entry {
                try encodeMap(value, type, field, into: &writer, depth: depth)
            } else {
                guard case .array(let elements) = value else {
                    throw ProtobufError(description: "\(message.name).\(field.name) must be a list")
                }
                for element in elements { try encode(element, of: field, into: &writer, depth: depth) }
            }
        }
    }

    /// A message whose fields are members of the object itself; left out when there are none of them.
    private static func encodeInlined(
        _ object: JSON, _ type: String, _ field: ProtobufTable.Field, into writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        guard let message = ProtobufTable.shared.message(type) else {
            throw ProtobufError(description: "message \(type) is unknown")
        }
        let start = writer.bytes.count
        var isEmpty = true
        try writer.message(field.number) { inner throws(ProtobufError) in
            let before = inner.bytes.count
            try encode(object, as: message, into: &inner, depth: depth + 1)
            isEmpty = inner.bytes.count == before
        }
        if isEmpty { writer.truncate(to: start) }
    }

    /// The entries of a map in the order of their keys: key 1, value 2.
    private static func encodeMap(
        _ value: JSON, _ type: String, _ field: ProtobufTable.Field, into writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        guard let members = value.objectValue, let entry = ProtobufTable.shared.message(type)?.byNumber[2] else {
            throw ProtobufError(description: "\(field.name) must be an object")
        }
        for (key, value) in members.sortedByKey() {
            try writer.message(field.number) { inner throws(ProtobufError) in
                inner.string(1, key)
                if !value.isNull { try encode(value, of: entry, into: &inner, depth: depth) }
            }
        }
    }

    private static func encode(
        _ value: JSON, of field: ProtobufTable.Field, into writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        switch field.kind {
        case .integer:
            guard let number = value.integerValue else { throw wrongType(field, "an integer") }
            writer.integer(field.number, UInt64(bitPattern: number))
        case .double:
            guard let number = value.doubleValue else { throw wrongType(field, "a number") }
            writer.double(field.number, number)
        case .boolean:
            guard let flag = value.boolValue else { throw wrongType(field, "true or false") }
            writer.integer(field.number, flag ? 1 : 0)
        case .string:
            guard let text = value.stringValue else { throw wrongType(field, "a string") }
            writer.string(field.number, text)
        case .bytes:
            guard let text = value.stringValue, let bytes = Base64.decode(text) else {
                throw wrongType(field, "a string of base 64")
            }
            writer.data(field.number, bytes)
        case .message(let type):
            try writer.message(field.number) { inner throws(ProtobufError) in
                if try encodeSpecial(value, type, field, into: &inner) { return }
                let value = SchemaAlternative(type)?.members(of: value) ?? value
                guard let message = ProtobufTable.shared.message(type) else {
                    throw ProtobufError(description: "message \(type) is unknown")
                }
                try encode(value, as: message, into: &inner, depth: depth + 1)
            }
        }
    }

    private static func wrongType(_ field: ProtobufTable.Field, _ wanted: String) -> ProtobufError {
        ProtobufError(description: "field \(field.name) must be \(wanted)")
    }

    /// Messages whose JSON is not an object of their fields; false for all others.
    private static func encodeSpecial(
        _ value: JSON, _ type: String, _ field: ProtobufTable.Field, into writer: inout ProtobufWriter
    ) throws(ProtobufError) -> Bool {
        switch type {
        case "api.resource.Quantity": writer.string(1, value.stringValue ?? value.serializedString())
        case "meta.v1.Time", "meta.v1.MicroTime":
            guard let text = value.stringValue, let time = try? Timestamp(parsing: text) else {
                throw wrongType(field, "a time in RFC 3339 form")
            }
            writer.integer(1, UInt64(bitPattern: time.seconds))
            if type == "meta.v1.MicroTime" { writer.integer(2, UInt64(time.nanoseconds)) }
        case "util.intstr.IntOrString":
            let text = value.stringValue
            guard let number = text == nil ? value.integerValue : 0 else {
                throw wrongType(field, "an integer or a string")
            }
            writer.integer(1, text == nil ? 0 : 1)
            writer.integer(2, UInt64(bitPattern: number))
            writer.string(3, text ?? "")
        case "runtime.RawExtension", "meta.v1.FieldsV1": writer.data(1, value.serialized())
        case "meta.v1.Verbs", "authentication.v1.ExtraValue", "authorization.v1.ExtraValue",
            "certificates.v1.ExtraValue":
            for element in value.arrayValue { writer.string(1, element.stringValue ?? "") }
        default: return false
        }
        return true
    }
}

/// Encodes a list object by object, so that not all of them must be there as values at once.
public struct ProtobufListEncoder {
    private let apiVersion: String
    private let kind: String
    private let element: ProtobufTable.Message
    private let items: UInt64
    private var raw = ProtobufWriter()

    /// - Parameters:
    ///   - kind: The list's, such as PodList.
    ///   - metadata: The list's metadata.
    /// - Throws: when the list has no encoding.
    public init(apiVersion: String, kind: String, metadata: JSON) throws(ProtobufError) {
        self.apiVersion = apiVersion
        self.kind = kind
        let list = try KubernetesProtobuf.message(apiVersion: apiVersion, kind: kind)
        guard let field = list.ordered.first(where: { $0.name == "items" }), case .message(let type) = field.kind,
            let element = ProtobufTable.shared.message(type)
        else { throw ProtobufError(description: "\(kind) is no list") }
        self.element = element
        items = field.number
        try KubernetesProtobuf.encode(["metadata": metadata], as: list, into: &raw, depth: 0)
    }

    public mutating func add(_ object: JSON) throws(ProtobufError) {
        try raw.message(items) { [element] writer throws(ProtobufError) in
            try KubernetesProtobuf.encode(object, as: element, into: &writer, depth: 1)
        }
    }

    /// The whole list.
    public func finish() -> [UInt8] {
        KubernetesProtobuf.envelope(apiVersion: apiVersion, kind: kind, raw.bytes)
    }
}
