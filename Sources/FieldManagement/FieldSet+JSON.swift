import Objects

/// The form of managed fields in an object: FieldsV1, in which `.` says that the path itself is a member.
extension FieldSet {
    /// FieldsV1 that cannot be read.
    public struct DecodingFailure: Error, Sendable, Equatable, CustomStringConvertible {
        public let description: String
    }

    static let maximumDepth = 128

    /// Reads FieldsV1. Throws with the member that is not understood.
    public init(fieldsV1 value: JSON) throws(DecodingFailure) { try self.init(fieldsV1: value, depth: 0) }

    private init(fieldsV1 value: JSON, depth: Int) throws(DecodingFailure) {
        guard let members = value.objectValue else {
            throw DecodingFailure(description: "fieldsV1 must consist of objects, not \(value.typeName)")
        }
        guard depth < Self.maximumDepth else {
            throw DecodingFailure(description: "fieldsV1 is nested deeper than \(Self.maximumDepth) levels")
        }
        self.init()
        for (key, content) in members where key != "." {
            guard let step = FieldStep(text: key) else {
                throw DecodingFailure(description: "fieldsV1 has the member \"\(key)\", which names no field")
            }
            let children = try FieldSet(fieldsV1: content, depth: depth + 1)
            let isMember = children.isEmpty || content["."].exists
            self[step] = Entry(isMember: isMember, children: children)
        }
    }

    /// FieldsV1, with members in order.
    public var fieldsV1: JSON { .object(object) }

    private var object: JSONObject {
        var result = JSONObject(minimumCapacity: entries.count)
        for step in entries.keys.sorted() {
            guard let entry = entries[step] else { continue }
            var content = entry.children.object
            if entry.isMember, !content.isEmpty { content.insertFirst(".", [:]) }
            result[step.text] = .object(content)
        }
        return result
    }
}
