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
    private let end: UnsafePointer<UInt8>
    private var cursor: UnsafePointer<UInt8>
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

// MARK: - Numbers

extension JSONParser {
    private mutating func parseNumber() throws(JSONParseError) -> JSON {
        let start = cursor
        let isNegative = cursor.pointee == UInt8(ascii: "-")
        if isNegative { cursor += 1 }
        let digits = cursor
        var magnitude: UInt64 = 0
        while cursor < end, case let digit = cursor.pointee &- UInt8(ascii: "0"), digit < 10 {
            magnitude = magnitude &* 10 &+ UInt64(digit)
            cursor += 1
        }
        let count = cursor - digits
        guard count > 0 else { throw failure("a number needs a digit here") }
        if count > 1, digits.pointee == UInt8(ascii: "0") {
            throw failure("a number must not begin with a zero", at: start)
        }
        let isWhole = try !skipFractionAndExponent()
        if isWhole, count < 19 {
            return .integer(isNegative ? -Int64(magnitude) : Int64(magnitude))
        }
        let text = String(decoding: UnsafeBufferPointer(start: start, count: cursor - start), as: UTF8.self)
        if isWhole, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw failure("number out of range", at: start) }
        return .number(value)
    }

    /// Returns whether there was a fraction or an exponent.
    private mutating func skipFractionAndExponent() throws(JSONParseError) -> Bool {
        var found = false
        if cursor < end, cursor.pointee == UInt8(ascii: ".") {
            cursor += 1
            found = true
            try skipDigits()
        }
        if cursor < end, cursor.pointee | 0x20 == UInt8(ascii: "e") {
            cursor += 1
            found = true
            if cursor < end, cursor.pointee == UInt8(ascii: "+") || cursor.pointee == UInt8(ascii: "-") { cursor += 1 }
            try skipDigits()
        }
        return found
    }

    private mutating func skipDigits() throws(JSONParseError) {
        let start = cursor
        while cursor < end, cursor.pointee &- UInt8(ascii: "0") < 10 { cursor += 1 }
        if cursor == start { throw failure("a number needs a digit here") }
    }
}

// MARK: - Strings

extension JSONParser {
    /// Parses a string from its opening quote. `mark` is a cheap hash of the bytes, meaningful for keys only.
    @inline(__always)
    private mutating func parseString(isKey: Bool) throws(JSONParseError) -> (text: String, mark: UInt64) {
        let open = cursor
        cursor += 1
        let start = cursor
        cursor = Self.skipPlain(from: cursor, to: end)
        guard cursor < end, cursor.pointee == UInt8(ascii: "\"") else { return try parseHardString(from: open) }
        let count = cursor - start
        cursor += 1
        let bytes = UnsafeBufferPointer(start: start, count: count)
        if !isKey { return (String(decoding: bytes, as: UTF8.self), 0) }
        guard count > 15 else {
            let mark = count == 0 ? 0 : UInt64(start[0]) &* 7 &+ UInt64(start[count - 1]) &* 3 &+ UInt64(count)
            return (String(decoding: bytes, as: UTF8.self), mark)
        }
        let mark = UInt64(start[0]) &* 7 &+ UInt64(start[count - 1]) &* 3 &+ UInt64(count)
        return (KnownKeys.shared.find(bytes) ?? String(decoding: bytes, as: UTF8.self), mark)
    }

    /// Goes over bytes that stand for themselves: ASCII other than quote, backslash and control characters.
    @inline(__always)
    private static func skipPlain(from start: UnsafePointer<UInt8>, to end: UnsafePointer<UInt8>) -> UnsafePointer<
        UInt8
    > {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        var cursor = start
        while end - cursor >= 8 {
            let word = UInt64(littleEndian: UnsafeRawPointer(cursor).loadUnaligned(as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            let special =
                ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | (word &- ones &* 0x20) | word
            let found = special & highs
            if found != 0 { return cursor + found.trailingZeroBitCount / 8 }
            cursor += 8
        }
        while cursor < end {
            let byte = cursor.pointee
            if byte < 0x20 || byte >= 0x80 || byte == 0x22 || byte == 0x5C { return cursor }
            cursor += 1
        }
        return cursor
    }

    /// Parses a string that has escapes or is not ASCII. `cursor` is at the first such byte.
    private mutating func parseHardString(from open: UnsafePointer<UInt8>) throws(JSONParseError) -> (String, UInt64) {
        var bytes: [UInt8] = []
        var chunk = open + 1
        var mark = UInt64(truncatingIfNeeded: open[1 < end - open ? 1 : 0])
        while true {
            guard cursor < end else { throw failure("unterminated string", at: open) }
            let byte = cursor.pointee
            if byte == UInt8(ascii: "\"") { break }
            if byte < 0x20 { throw failure("control character in a string; write it as an escape") }
            if byte == UInt8(ascii: "\\") {
                bytes.append(contentsOf: UnsafeBufferPointer(start: chunk, count: cursor - chunk))
                try parseEscape(into: &bytes)
                chunk = cursor
                mark = 0
            } else {
                cursor += 1
            }
        }
        bytes.append(contentsOf: UnsafeBufferPointer(start: chunk, count: cursor - chunk))
        cursor += 1
        // A key with an escape may equal a plain one, so its mark must be the plain one's.
        mark = bytes.isEmpty ? 0 : UInt64(bytes[0]) &* 7 &+ UInt64(bytes[bytes.count - 1]) &* 3 &+ UInt64(bytes.count)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("invalid UTF-8 in this string", at: open)
        }
        return (text, mark)
    }

    private mutating func parseEscape(into bytes: inout [UInt8]) throws(JSONParseError) {
        let start = cursor
        guard end - cursor >= 2 else { throw failure("unterminated string", at: start) }
        let kind = cursor[1]
        cursor += 2
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(kind)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try parseHexUnit(start)
            if unit & 0xFC00 == 0xD800, end - cursor >= 6, cursor[0] == UInt8(ascii: "\\"),
                cursor[1] == UInt8(ascii: "u")
            {
                cursor += 2
                let low = try parseHexUnit(start)
                guard low & 0xFC00 == 0xDC00 else { throw failure("half of a surrogate pair in an escape", at: start) }
                unit = 0x10000 + (unit & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let scalar = Unicode.Scalar(unit) else {
                throw failure("half of a surrogate pair in an escape", at: start)
            }
            bytes.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
        default: throw failure("unknown escape in a string", at: start)
        }
    }

    private mutating func parseHexUnit(_ start: UnsafePointer<UInt8>) throws(JSONParseError) -> UInt32 {
        guard end - cursor >= 4 else { throw failure("unterminated string", at: start) }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Hex.value(of: cursor.pointee) else {
                throw failure("an escape needs four hexadecimal digits", at: start)
            }
            unit = unit << 4 | UInt32(digit)
            cursor += 1
        }
        return unit
    }
}
