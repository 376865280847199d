import ObjectSchema
import Objects

/// Writes what the author of a new object owns of it, straight from the object: what `FieldComparison` with the empty
/// object of its kind would find, without a set of paths in between. Most writes of a cluster that works are creations.
struct CreatedFields {
    /// FieldsV1 as JSON text.
    private(set) var text: [UInt8] = []

    private static let member = Array("{\".\":{}".utf8)
    private static let leaf = Array("{}".utf8)

    /// The fields of `object`, less those in `ignored`; empty when nothing is left. `empty` is what every object of the
    /// kind has. Complexity: O(size of the object), with members sorted.
    static func text(of object: JSON, empty: JSON, schema: SchemaNode?, ignored: FieldSet) -> [UInt8] {
        guard let members = object.objectValue else { return [] }
        var writer = CreatedFields()
        writer.text.reserveCapacity(512)
        let type = FieldType(node: schema, property: nil)
        writer.text.append(UInt8(ascii: "{"))
        let hasAny = writer.write(members, empty.objectValue ?? [:], type, ignored, isTop: true)
        writer.text.append(UInt8(ascii: "}"))
        return hasAny ? writer.text : []
    }

    /// Writes the members of an object that are owned, in order. Whether there were any.
    private mutating func write(
        _ members: JSONObject, _ empty: JSONObject?, _ type: FieldType, _ ignored: FieldSet?, isTop: Bool = false,
        hasBefore: Bool = false
    ) -> Bool {
        var hasAny = hasBefore
        members.forEachByKey { name, value in
            let foreign = ignored?[.field(name)]
            if foreign?.isMember == true { return }
            let start = text.count
            if hasAny { text.append(UInt8(ascii: ",")) }
            append(name: name)
            let isWritten = write(
                value, empty?[name], type.member(name), foreign?.children, isNobodys: isTop && name == "metadata")
            if isWritten { hasAny = true } else { text.removeSubrange(start...) }
        }
        return hasAny
    }

    /// Writes what belongs to one value. False when nothing of it is owned. `isNobodys`: only what is inside may be.
    private mutating func write(
        _ value: JSON, _ empty: JSON?, _ type: FieldType, _ ignored: FieldSet?, isNobodys: Bool
    ) -> Bool {
        var division = type.division(of: value)
        if let empty {
            if empty == value { return false }
            if type.division(of: empty) != division { division = .leaf }
        }
        let isEmpty = (empty?.isEmptyContainer ?? true) && value.isEmptyContainer
        if division == .leaf || isEmpty {
            if isNobodys { return false }
            text += Self.leaf
            return true
        }
        let isMember = empty == nil && !isNobodys
        let start = text.count
        if isMember { text += Self.member } else { text.append(UInt8(ascii: "{")) }
        let hasInside: Bool
        if division == .members {
            hasInside = write(
                value.objectValue ?? [:], empty?.objectValue, type, ignored, hasBefore: isMember)
        } else {
            hasInside = write(value.arrayValue, type, division, ignored, hasBefore: isMember)
        }
        text.append(UInt8(ascii: "}"))
        if isMember, text.count == start + Self.member.count + 1 {
            text.removeSubrange(start...)
            text += Self.leaf
        }
        return isMember || hasInside
    }

    /// Writes the elements of a list, in the order of their steps.
    private mutating func write(
        _ elements: [JSON], _ type: FieldType, _ division: FieldType.Division, _ ignored: FieldSet?, hasBefore: Bool
    ) -> Bool {
        var hasAny = hasBefore
        let keyed = KeyedElements(elements, type, division)
        for (step, value) in keyed.ordered.sorted(by: { $0.step < $1.step }) {
            let foreign = ignored?[step]
            if foreign?.isMember == true { continue }
            let start = text.count
            if hasAny { text.append(UInt8(ascii: ",")) }
            JSON.string(step.text).write(into: &text)
            text.append(UInt8(ascii: ":"))
            if keyed.repeated[step] != nil {
                text += Self.leaf
                hasAny = true
                continue
            }
            let isWritten = write(value, nil, type.element, foreign?.children, isNobodys: false)
            if isWritten { hasAny = true } else { text.removeSubrange(start...) }
        }
        return hasAny
    }

    private static let nameStart = Array("\"f:".utf8)

    /// `"f:NAME":`.
    private mutating func append(name: String) {
        if !text.append(plain: name, after: Self.nameStart) { JSON.string("f:\(name)").write(into: &text) }
        text.append(UInt8(ascii: ":"))
    }
}

extension [UInt8] {
    /// Appends a beginning and, behind it, text and the quote that ends a string of JSON; nothing, and false, for text that has
    /// to be escaped.
    fileprivate mutating func append(plain value: String, after beginning: [UInt8]) -> Bool {
        var value = value
        return value.withUTF8 { bytes in
            if bytes.contains(where: { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C }) { return false }
            append(contentsOf: beginning)
            append(contentsOf: bytes)
            append(UInt8(ascii: "\""))
            return true
        }
    }
}

extension FieldManager {
    private static let quote = Array("\"".utf8)

    /// `metadata.managedFields` of an object that `manager` made of nothing, as JSON text; empty when nothing in it can be
    /// owned. The same as `update` with no live object and no managers says.
    public func created(_ object: JSON, manager: String, time: String) -> [UInt8] {
        let fields = CreatedFields.text(
            of: object, empty: EmptyObject.make(schema), schema: schema, ignored: ignored)
        if fields.isEmpty { return [] }
        var text: [UInt8] = []
        text.reserveCapacity(fields.count + 160)
        func append(_ name: StaticString, _ value: String) {
            text.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
            if !text.append(plain: value, after: Self.quote) { JSON.string(value).write(into: &text) }
        }
        append("[{\"manager\":", manager)
        append(",\"operation\":", FieldManagerIdentity.Operation.update.rawValue)
        append(",\"apiVersion\":", apiVersion)
        if !time.isEmpty { append(",\"time\":", time) }
        append(",\"fieldsType\":", "FieldsV1")
        text += Array(",\"fieldsV1\":".utf8)
        text += fields
        if !subresource.isEmpty { append(",\"subresource\":", subresource) }
        text += Array("}]".utf8)
        return text
    }
}
