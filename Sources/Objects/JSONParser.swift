import Glibc

extension JSON {
    /// The most levels of arrays and objects that a text may have.
    public static let maximumDepth = 512

    /// Parses one strict RFC 8259 text: no comments, no trailing commas, no duplicate keys, valid UTF-8, bounded
    /// depth. The bytes are borrowed for the call. Complexity: O(bytes); the parser does not recurse.
    public init(parsing bytes: UnsafeRawBufferPointer) throws(JSONParseError) {
        var parser = JSONParser(bytes)
        defer { parser.release() }
        self = try parser.parse()
    }

    /// The same for an object of Kubernetes, without `metadata.managedFields`: who owns which field is often as long as the
    /// rest, and is gone over without a look at what it says.
    public init(parsingWithoutManagedFields bytes: UnsafeRawBufferPointer) throws(JSONParseError) {
        var managedFields: Range<Int>?
        try self.init(parsing: bytes, without: &managedFields)
    }

    /// The same, and where in the bytes the list is; nil when there is none.
    public init(
        parsing bytes: UnsafeRawBufferPointer, without managedFields: inout Range<Int>?
    ) throws(JSONParseError) {
        var parser = JSONParser(bytes)
        parser.skipsManagedFields = true
        defer { parser.release() }
        self = try parser.parse()
        managedFields = parser.skipped
        if managedFields != nil { self["metadata"].removeValue(forKey: "managedFields") }
    }

    public init(parsing bytes: [UInt8]) throws(JSONParseError) {
        self = try bytes.withUnsafeBytes { JSON.parse($0) }.get()
    }

    public init(parsing text: String) throws(JSONParseError) {
        var text = text
        self = try text.withUTF8 { JSON.parse(UnsafeRawBufferPointer($0)) }.get()
    }

    /// Parses a text in which keys may be repeated, as Kubernetes lets them: the last value counts.
    /// - Parameter duplicates: Gets the places of repeated keys, such as "spec.containers[0].image", in the text's order.
    public init(parsing bytes: [UInt8], duplicates: inout [String]) throws(JSONParseError) {
        let outcome = bytes.withUnsafeBytes { bytes in
            Result { () throws(JSONParseError) in
                var parser = JSONParser(bytes)
                defer { parser.release() }
                parser.duplicates = []
                return (try parser.parse(), parser.duplicates ?? [])
            }
        }
        let (value, found) = try outcome.get()
        duplicates += found
        self = value
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer) -> Result<JSON, JSONParseError> {
        Result { () throws(JSONParseError) in try JSON(parsing: bytes) }
    }
}

/// A parser over borrowed bytes. Finished members of all open containers lie on one stack; a container that
/// closes is cut off its top in one move, with exactly the memory that it needs.
struct JSONParser {
    private struct Frame {
        var start: Int
        var isObject: Bool
        /// A Bloom filter of the keys seen, which makes the search for duplicates rare.
        var keyFilter: UInt64
    }

    private let text: UnsafeRawBufferPointer
    private let base: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    var cursor: UnsafePointer<UInt8>
    private var stack: UnsafeMutablePointer<JSONObject.Member>
    private var stackCount = 0
    private var stackCapacity: Int
    private var frames: UnsafeMutablePointer<Frame>
    private var frameCapacity: Int
    private var depth = 0
    /// Places of keys that were there before; nil where that is an error.
    fileprivate var duplicates: [String]?
    /// Whether managed fields are gone over; they are null then.
    var skipsManagedFields = false
    private(set) var skipped: Range<Int>?

    private static let nothing: StaticString = ""

    init(_ bytes: UnsafeRawBufferPointer) {
        text = bytes
        base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? Self.nothing.utf8Start
        end = base + bytes.count
        cursor = base
        // Within what allocators hand out without a lock, and enough for nearly all objects.
        stackCapacity = 48
        stack = .allocate(capacity: stackCapacity)
        frameCapacity = 32
        frames = .allocate(capacity: frameCapacity)
    }

    /// Frees the stacks, with what an error left on them.
    func release() {
        frames.deallocate()
        stack.deinitialize(count: stackCount)
        stack.deallocate()
    }

    mutating func parse() throws(JSONParseError) -> JSON {
        while true {
            if var value = try parseValueStart() {
                while depth > 0 {
                    let isObject = frames[depth - 1].isObject
                    if isObject {
                        stack[stackCount - 1].value = value
                    } else {
                        push("", value)
                    }
                    guard let closed = try continueContainer(isObject: isObject) else { break }
                    value = closed
                }
                if depth == 0 {
                    skipWhitespace()
                    if cursor != end { throw failure("unexpected text after the value") }
                    return value
                }
            }
        }
    }

    /// Parses a scalar or an empty container and returns it, or opens a container and returns nil.
    private mutating func parseValueStart() throws(JSONParseError) -> JSON? {
        skipWhitespace()
        guard cursor < end else { throw failure("unexpected end of the text") }
        if skipsManagedFields, isAtManagedFields {
            let start = cursor - base
            try skipContainer()
            skipped = start..<(cursor - base)
            return .null
        }
        switch cursor.pointee {
        case UInt8(ascii: "\""): return .string(try parseString(isKey: false).text)
        case UInt8(ascii: "{"):
            try open(isObject: true)
            skipWhitespace()
            if cursor < end, cursor.pointee == UInt8(ascii: "}") {
                cursor += 1
                depth -= 1
                return .object(JSONObject())
            }
            try parseKey()
            return nil
        case UInt8(ascii: "["):
            try open(isObject: false)
            skipWhitespace()
            if cursor < end, cursor.pointee == UInt8(ascii: "]") {
                cursor += 1
                depth -= 1
                return .array([])
            }
            return nil
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: throw failure("unexpected character, expected a value")
        }
    }

    private mutating func open(isObject: Bool) throws(JSONParseError) {
        guard depth < JSON.maximumDepth else {
            throw failure("nested more than \(JSON.maximumDepth) levels deep")
        }
        cursor += 1
        if depth == frameCapacity { growFrames() }
        frames[depth] = Frame(start: stackCount, isObject: isObject, keyFilter: 0)
        depth += 1
    }

    private mutating func growFrames() {
        let larger = UnsafeMutablePointer<Frame>.allocate(capacity: frameCapacity * 2)
        larger.moveInitialize(from: frames, count: depth)
        frames.deallocate()
        frames = larger
        frameCapacity *= 2
    }

    /// After an element or member: goes on to the next (nil), or closes the container and returns it.
    private mutating func continueContainer(isObject: Bool) throws(JSONParseError) -> JSON? {
        skipWhitespace()
        guard cursor < end else {
            throw failure("unexpected end of the text inside \(isObject ? "an object" : "an array")")
        }
        switch cursor.pointee {
        case UInt8(ascii: ","):
            cursor += 1
            if isObject {
                skipWhitespace()
                try parseKey()
            }
            return nil
        case UInt8(ascii: "}") where isObject: return try closeObject()
        case UInt8(ascii: "]") where !isObject: return closeArray()
        default:
            throw failure("unexpected character, expected a comma or the end of the \(isObject ? "object" : "array")")
        }
    }

    private mutating func closeObject() throws(JSONParseError) -> JSON {
        depth -= 1
        let start = frames[depth].start
        let count = stackCount - start
        var members = ContiguousArray<JSONObject.Member>()
        members.reserveCapacity(count)
        for index in start..<stackCount { members.append((stack + index).move()) }
        stackCount = start
        guard let object = JSONObject(unique: members) else {
            guard duplicates != nil else { throw failure("duplicate key in this object") }
            cursor += 1
            return .object(withoutDuplicates(members))
        }
        cursor += 1
        return .object(object)
    }

    private mutating func closeArray() -> JSON {
        depth -= 1
        let start = frames[depth].start
        let count = stackCount - start
        var elements: [JSON] = []
        elements.reserveCapacity(count)
        for index in start..<stackCount { elements.append((stack + index).move().value) }
        stackCount = start
        cursor += 1
        return .array(elements)
    }

    @inline(__always)
    private mutating func push(_ key: String, _ value: JSON) {
        if stackCount == stackCapacity { growStack() }
        (stack + stackCount).initialize(to: JSONObject.Member(key: key, value: value))
        stackCount += 1
    }

    private mutating func growStack() {
        let larger = UnsafeMutablePointer<JSONObject.Member>.allocate(capacity: stackCapacity * 2)
        larger.moveInitialize(from: stack, count: stackCount)
        stack.deallocate()
        stack = larger
        stackCapacity *= 2
    }

    private mutating func parseKey() throws(JSONParseError) {
        guard cursor < end, cursor.pointee == UInt8(ascii: "\"") else {
            throw failure("unexpected character, expected a key in quotes")
        }
        let start = cursor
        let (key, mark) = try parseString(isKey: true)
        let top = depth - 1
        let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: mark & 63)
        if frames[top].keyFilter & bit != 0, stackCount - frames[top].start <= JSONObject.indexThreshold {
            for position in frames[top].start..<stackCount where stack[position].key.hasSameBytes(as: key) {
                guard duplicates != nil else { throw failure("duplicate key \"\(key)\"", at: start) }
                let place = place(of: key, levels: depth)
                duplicates?.append(place)
                removeMember(at: position)
                break
            }
        }
        frames[top].keyFilter |= bit
        skipWhitespace()
        guard cursor < end, cursor.pointee == UInt8(ascii: ":") else {
            throw failure("unexpected character, expected a colon after the key")
        }
        cursor += 1
        push(key, .null)
    }

    /// The place of a member of the innermost of so many open containers.
    private func place(of key: String, levels: Int) -> String {
        var place = ""
        for level in 0..<max(levels - 1, 0) {
            let next = frames[level + 1].start
            if frames[level].isObject {
                place += (place.isEmpty ? "" : ".") + stack[next - 1].key
            } else {
                place += "[\(next - frames[level].start)]"
            }
        }
        return (place.isEmpty ? "" : place + ".") + key
    }

    /// Takes a finished member out of the innermost object.
    private mutating func removeMember(at position: Int) {
        (stack + position).deinitialize(count: 1)
        (stack + position).moveInitialize(from: stack + position + 1, count: stackCount - position - 1)
        stackCount -= 1
    }

    /// The members of an object that has just closed, with the last value of each key.
    private mutating func withoutDuplicates(_ members: ContiguousArray<JSONObject.Member>) -> JSONObject {
        var object = JSONObject(minimumCapacity: members.count)
        for member in members {
            if object.contains(member.key) {
                let place = place(of: member.key, levels: depth + 1)
                duplicates?.append(place)
            }
            object[member.key] = member.value
        }
        return object
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSON) throws(JSONParseError) -> JSON {
        let count = word.utf8CodeUnitCount
        guard end - cursor >= count, memcmp(cursor, word.utf8Start, count) == 0 else {
            throw failure("unexpected word, expected \(word)")
        }
        cursor += count
        return value
    }

    @inline(__always)
    private mutating func skipWhitespace() {
        while cursor < end {
            let byte = cursor.pointee
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            cursor += 1
        }
    }

    /// Whether the value of `metadata.managedFields` of the outermost object comes next, and is a list.
    private var isAtManagedFields: Bool {
        depth == 2 && frames[0].isObject && frames[1].isObject && cursor.pointee == UInt8(ascii: "[")
            && stack[stackCount - 1].key == "managedFields" && stack[frames[1].start - 1].key == "metadata"
    }

    /// Goes over an array or object, of which the brackets and the ends of strings are looked at alone.
    private mutating func skipContainer() throws(JSONParseError) {
        let start = cursor
        var open = 0
        while cursor < end {
            switch cursor.pointee {
            case UInt8(ascii: "\""): try skipString()
            case UInt8(ascii: "["), UInt8(ascii: "{"): open += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): open -= 1
            default: break
            }
            cursor += 1
            if open == 0 { return }
        }
        throw failure("unexpected end of the text inside an array", at: start)
    }

    /// Goes from the opening quote of a string to its closing one.
    private mutating func skipString() throws(JSONParseError) {
        let start = cursor
        cursor += 1
        while true {
            cursor = Self.skipPlain(from: cursor, to: end)
            guard cursor < end else { throw failure("unterminated string", at: start) }
            if cursor.pointee == UInt8(ascii: "\"") { return }
            cursor += cursor.pointee == UInt8(ascii: "\\") ? 2 : 1
        }
    }

    func failure(_ message: String, at place: UnsafePointer<UInt8>? = nil) -> JSONParseError {
        JSONParseError(message, at: (place ?? cursor) - base, in: text)
    }
}
