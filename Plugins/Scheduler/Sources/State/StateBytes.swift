/// Writes the fields of hostd.scheduler.state/1: little-endian, unaligned.
struct StateWriter {
    private(set) var bytes: [UInt8] = []

    /// Begins with the format's line and a revision.
    init(revision: UInt64) {
        raw("hostd.scheduler.state/1\n")
        number(revision)
    }

    mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }
    private mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func number<Integer: FixedWidthInteger>(_ value: Integer) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func text(_ value: String) {
        var value = value
        value.withUTF8 { utf8 in
            number(UInt32(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    mutating func list<Elements: Collection>(
        _ elements: Elements, _ write: (inout StateWriter, Elements.Element) -> Void
    ) {
        number(UInt32(elements.count))
        for element in elements { write(&self, element) }
    }

    /// A record, whose size is filled in behind it.
    mutating func record(_ kind: UInt8, _ fields: (inout StateWriter) -> Void) {
        let start = bytes.count
        number(UInt32(0))
        byte(kind)
        fields(&self)
        let size = UInt32(bytes.count - start - 4)
        withUnsafeBytes(of: size.littleEndian) { bytes.replaceSubrange(start..<start + 4, with: $0) }
    }
}

/// Reads the fields of hostd.scheduler.state/1. Every read is checked against the end.
struct StateReader {
    enum Failure: Error, CustomStringConvertible {
        case ended
        case value(String, UInt8)
        case selector(String)

        var description: String {
            switch self {
            case .ended: "the state ends in the middle of a field"
            case .selector(let complaint): "the state has a label selector that means nothing: \(complaint)"
            case .value(let field, let value): "the state has an unknown \(field), \(value)"
            }
        }
    }

    private var rest: UnsafeRawBufferPointer

    /// `bytes` must outlive the reader.
    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    private mutating func take(_ count: Int) throws(Failure) -> UnsafeRawBufferPointer {
        guard count <= rest.count else { throw .ended }
        let taken = UnsafeRawBufferPointer(rebasing: rest[rest.startIndex..<rest.startIndex + count])
        rest = UnsafeRawBufferPointer(rebasing: rest[(rest.startIndex + count)...])
        return taken
    }

    mutating func byte() throws(Failure) -> UInt8 { try take(1)[0] }

    mutating func number<Integer: FixedWidthInteger>(_ type: Integer.Type = Integer.self) throws(Failure) -> Integer {
        Integer(littleEndian: try take(MemoryLayout<Integer>.size).loadUnaligned(as: Integer.self))
    }

    mutating func text() throws(Failure) -> String {
        String(decoding: try take(Int(try number(UInt32.self))), as: UTF8.self)
    }

    /// How many elements follow. Each takes a byte at least: a count beyond that is a lie and must not reserve memory.
    mutating func count() throws(Failure) -> Int {
        let count = Int(try number(UInt32.self))
        guard count <= rest.count else { throw .ended }
        return count
    }

    mutating func list<Element>(
        _ read: (inout StateReader) throws(Failure) -> Element
    ) throws(Failure) -> [Element] {
        let count = try count()
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try read(&self)) }
        return elements
    }

    /// The next record's kind and fields.
    mutating func record() throws(Failure) -> (kind: UInt8, fields: StateReader) {
        var fields = StateReader(try take(Int(try number(UInt32.self))))
        return (try fields.byte(), fields)
    }
}
