import Glibc

extension JSON {
    /// The compact text: no spaces, members in their order, only what must be escaped escaped.
    public func serialized() -> [UInt8] {
        var writer = JSONWriter(capacity: 512)
        defer { writer.release() }
        writer.write(self)
        return Array(writer.bytes)
    }

    /// As `serialized`, with one more member at the end of the member `parent`, which must be an object: `key`, whose value
    /// is JSON text already. Nothing is added when the text is empty or there is no such object.
    public func serialized(adding text: [UInt8], as key: String, to parent: String) -> [UInt8] {
        guard !text.isEmpty, case .object(let object) = self else { return serialized() }
        var writer = JSONWriter(capacity: max(2048, 1024 + text.count))
        defer { writer.release() }
        text.withUnsafeBufferPointer { writer.write(object, adding: $0, as: key, to: parent) }
        return Array(writer.bytes)
    }

    public func serializedString() -> String {
        var writer = JSONWriter(capacity: 512)
        defer { writer.release() }
        writer.write(self)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Appends the compact text to a buffer.
    public func write(into buffer: inout [UInt8]) {
        var writer = JSONWriter(capacity: 512)
        defer { writer.release() }
        writer.write(self)
        buffer.append(contentsOf: writer.bytes)
    }

    /// The text with every object's members sorted by key and, when asked for, indented by two spaces a level.
    public func canonicalText(indented: Bool = false) -> String {
        var writer = JSONWriter(capacity: 512)
        defer { writer.release() }
        writer.sortsKeys = true
        writer.isIndented = indented
        writer.write(self)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

extension JSON: CustomStringConvertible {
    /// The compact text.
    public var description: String { serializedString() }
}

/// A growing byte buffer outside of Swift's array, so that the inner loop pays for no bounds or uniqueness check.
struct JSONWriter {
    private var base: UnsafeMutablePointer<UInt8>
    private var count = 0
    private var capacity: Int
    private var depth = 0
    var sortsKeys = false
    var isIndented = false

    init(capacity: Int) {
        self.capacity = capacity
        base = .allocate(capacity: capacity)
    }

    func release() { base.deallocate() }

    var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: base, count: count) }

    mutating func write(_ value: JSON) {
        switch value {
        case .null: append("null")
        case .bool(true): append("true")
        case .bool(false): append("false")
        case .integer(let integer): write(integer)
        case .number(let number): write(number)
        case .string(let string): write(string)
        case .array(let elements): write(elements)
        case .object(let object): write(object)
        }
    }

    private mutating func write(_ elements: [JSON]) {
        append(UInt8(ascii: "["))
        depth += 1
        for index in elements.indices {
            if index > 0 { append(UInt8(ascii: ",")) }
            breakLine()
            write(elements[index])
        }
        depth -= 1
        if !elements.isEmpty { breakLine() }
        append(UInt8(ascii: "]"))
    }

    private mutating func write(_ object: JSONObject) {
        append(UInt8(ascii: "{"))
        depth += 1
        let members = sortsKeys ? object.sortedByKey().members : object.members
        members.withUnsafeBufferPointer { members in
            for index in 0..<members.count {
                if index > 0 { append(UInt8(ascii: ",")) }
                breakLine()
                write(members[index].key)
                append(UInt8(ascii: ":"))
                if isIndented { append(UInt8(ascii: " ")) }
                write(members[index].value)
            }
        }
        depth -= 1
        if !object.isEmpty { breakLine() }
        append(UInt8(ascii: "}"))
    }

    /// The compact text, with `key` and its text as the last member of the object `parent`.
    mutating func write(
        _ object: JSONObject, adding text: UnsafeBufferPointer<UInt8>, as key: String, to parent: String
    ) {
        append(UInt8(ascii: "{"))
        for (position, member) in object.members.enumerated() {
            if position > 0 { append(UInt8(ascii: ",")) }
            write(member.key)
            append(UInt8(ascii: ":"))
            write(member.value)
            guard member.key.hasSameBytes(as: parent), case .object(let inside) = member.value else { continue }
            count -= 1  // The brace that ends it.
            if !inside.isEmpty { append(UInt8(ascii: ",")) }
            write(key)
            append(UInt8(ascii: ":"))
            append(text)
            append(UInt8(ascii: "}"))
        }
        append(UInt8(ascii: "}"))
    }

    @inline(__always)
    private mutating func breakLine() {
        guard isIndented else { return }
        append(UInt8(ascii: "\n"))
        for _ in 0..<depth * 2 { append(UInt8(ascii: " ")) }
    }

    private mutating func write(_ integer: Int64) {
        reserve(20)
        if integer < 0 { append(UInt8(ascii: "-")) }
        var magnitude = integer.magnitude
        let start = count
        repeat {
            base[count] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: magnitude % 10)
            magnitude /= 10
            count += 1
        } while magnitude != 0
        var low = start
        var high = count - 1
        while low < high {
            swap(&base[low], &base[high])
            low += 1
            high -= 1
        }
    }

    /// The shortest text that reads back the same; a whole number goes without a fraction, as Go writes it.
    private mutating func write(_ number: Double) {
        guard number.isFinite else { return append("null") }
        if let integer = Int64(exactly: number), integer.magnitude < 1 << 53 { return write(integer) }
        var text = number.description
        text.withUTF8 { append($0) }
    }

    private mutating func write(_ string: String) {
        var string = string
        string.withUTF8 { bytes in
            reserve(bytes.count + 2)
            base[count] = UInt8(ascii: "\"")
            count += 1
            guard let source = bytes.baseAddress else { return }
            var start = 0
            var position = 0
            while true {
                position = Self.skipPlain(source, from: position, to: bytes.count)
                append(UnsafeBufferPointer(start: source + start, count: position - start))
                guard position < bytes.count else { break }
                escape(source[position])
                position += 1
                start = position
            }
        }
        append(UInt8(ascii: "\""))
    }

    @inline(__always)
    private static func skipPlain(_ source: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        var position = start
        while end - position >= 8 {
            let word = UInt64(littleEndian: UnsafeRawPointer(source + position).loadUnaligned(as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            let control = (word &- ones &* 0x20) & ~word
            let found = (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | control) & highs
            if found != 0 { return position + found.trailingZeroBitCount / 8 }
            position += 8
        }
        while position < end {
            let byte = source[position]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return position }
            position += 1
        }
        return position
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0A: append("\\n")
        case 0x0D: append("\\r")
        case 0x09: append("\\t")
        default:
            append("\\u00")
            append(Hex.digit(byte >> 4))
            append(Hex.digit(byte & 15))
        }
    }

    @inline(__always)
    private mutating func append(_ byte: UInt8) {
        if count == capacity { grow(1) }
        base[count] = byte
        count += 1
    }

    @inline(__always)
    private mutating func append(_ text: StaticString) {
        append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always)
    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        reserve(bytes.count)
        memcpy(base + count, source, bytes.count)
        count += bytes.count
    }

    @inline(__always)
    private mutating func reserve(_ additional: Int) {
        if capacity - count < additional { grow(additional) }
    }

    private mutating func grow(_ additional: Int) {
        capacity = Swift.max(capacity * 2, count + additional)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        larger.update(from: base, count: count)
        base.deallocate()
        base = larger
    }
}
