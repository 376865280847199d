/// What one value says of itself, and from which all its bytes follow: so a value that is read back can be checked as a
/// whole, whoever wrote it.
struct ValueName: Hashable {
    var round: Int
    var writer: Int
    var number: Int
    var part: Int
    /// Bytes of the value, the name included.
    var size: Int

    var text: String { "\(round).\(writer).\(number).\(part).\(size)" }

    init(round: Int, writer: Int, number: Int, part: Int, size: Int) {
        self.round = round
        self.writer = writer
        self.number = number
        self.part = part
        self.size = max(size, 64)
    }

    init?(_ text: some StringProtocol) {
        let numbers = text.split(separator: ".").compactMap { Int($0) }
        guard numbers.count == 5 else { return nil }
        self.init(round: numbers[0], writer: numbers[1], number: numbers[2], part: numbers[3], size: numbers[4])
    }

    /// The value: its name, a line end, and bytes that look random.
    var bytes: [UInt8] {
        var bytes = Array(text.utf8) + [10]
        var random = SeededGenerator(seed)
        bytes.reserveCapacity(size + 8)
        while bytes.count < size { withUnsafeBytes(of: random.next()) { bytes += $0 } }
        return Array(bytes.prefix(size))
    }

    /// The name of a value all of whose bytes are right; nil for any other.
    init?(verifying bytes: UnsafeRawBufferPointer) {
        guard let end = bytes.prefix(64).firstIndex(of: 10),
            let name = ValueName(String(decoding: bytes[..<end], as: UTF8.self)), name.bytes.elementsEqual(bytes)
        else { return nil }
        self = name
    }

    private var seed: UInt64 {
        var mixed: UInt64 = 0
        for field in [round, writer, number, part] {
            var random = SeededGenerator(mixed ^ UInt64(field))
            mixed = random.next()
        }
        return mixed
    }

    /// Which watches with a selector see it.
    var isEven: Bool { seed.isMultiple(of: 2) }
    var index: [UInt8] { Array("parity\0\(isEven ? "even" : "odd")\0".utf8) }
}

/// One key's part in a write: its new value, or its end.
struct Change: Hashable {
    var key: String
    /// nil: deleted.
    var value: ValueName?

    var text: String { value.map { "+\(key)=\($0.text)" } ?? "-\(key)" }

    init(_ key: String, _ value: ValueName?) {
        self.key = key
        self.value = value
    }

    init?(_ text: some StringProtocol) {
        let rest = text.dropFirst()
        if text.first == "-" {
            self.init(String(rest), nil)
        } else if text.first == "+", let equals = rest.lastIndex(of: "="),
            let value = ValueName(rest[rest.index(after: equals)...])
        {
            self.init(String(rest[..<equals]), value)
        } else {
            return nil
        }
    }
}
