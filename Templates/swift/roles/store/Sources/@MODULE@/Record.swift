import PluginAPI
import PluginKit

/// One version of a key, as the log and the state have it. Layouts are those of hostd/roles/store.h: numbers are
/// little-endian, records lie on multiples of 8.
struct Record: Sendable {
    /// Kinds that only the log knows: a lease, with its time to live in `version` (0 = over); the revision alone.
    static let logLease: UInt32 = 100
    static let logRevision: UInt32 = 101
    private static let headSize = 64

    var kind: UInt32
    var revision: UInt64 = 0
    var createRevision: UInt64 = 0
    var version: UInt64 = 0
    var lease: UInt64 = 0
    var key: [UInt8] = []
    var index: [UInt8] = []
    var value: [UInt8] = []

    var isPut: Bool { kind == UInt32(HOSTD_STORE_RECORD_PUT) }

    func encode(flags: UInt32 = 0, into out: inout [UInt8]) {
        let size = (Self.headSize + key.count + index.count + value.count + 7) / 8 * 8
        let end = out.count + size
        out.append(UInt32(Self.headSize))
        out.append(UInt32(size))
        for number in [revision, createRevision, version, lease] { out.append(number) }
        for number in [kind, flags, UInt32(key.count), UInt32(index.count), UInt32(value.count), 0] {
            out.append(number)
        }
        out += key
        out += index
        out += value
        out += repeatElement(0, count: end - out.count)
    }

    init(kind: UInt32) { self.kind = kind }

    /// The record at the front of `bytes`, which is taken away; nil when it is not whole.
    init?(taking bytes: inout ArraySlice<UInt8>) {
        guard bytes.count >= Self.headSize else { return nil }
        let number = { (place: Int, bytes: ArraySlice<UInt8>) -> UInt64 in bytes.number(at: place, size: 4) }
        let (head, size) = (Int(number(0, bytes)), Int(number(4, bytes)))
        let sizes = [48, 52, 56].map { Int(number($0, bytes)) }
        guard head >= Self.headSize, size <= bytes.count, head + sizes.reduce(0, +) <= size else { return nil }
        kind = UInt32(number(40, bytes))
        revision = bytes.number(at: 8, size: 8)
        createRevision = bytes.number(at: 16, size: 8)
        version = bytes.number(at: 24, size: 8)
        lease = bytes.number(at: 32, size: 8)
        (key, index, value) = bytes.parts(after: head, sizes)
        bytes = bytes.dropFirst(size)
    }
}

/// One step of a transaction.
struct Operation {
    var kind: Int32
    var key: [UInt8]
    var index: [UInt8] = []
    var value: [UInt8] = []
    var lease: UInt64 = 0
    var expected: UInt64 = 0

    var name: String { String(decoding: key, as: UTF8.self) }

    init(_ kind: Int32, key: [UInt8]) {
        self.kind = kind
        self.key = key
    }

    /// All steps of a transaction's bytes.
    static func all(in bytes: [UInt8]) throws -> [Operation] {
        var all: [Operation] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let isWhole = rest.count >= 48
            let size = isWhole ? Int(rest.number(at: 4, size: 4)) : 0
            let head = isWhole ? Int(rest.number(at: 0, size: 4)) : 0
            let sizes = isWhole ? [32, 36, 40].map { Int(rest.number(at: $0, size: 4)) } : []
            guard head >= 48, size <= rest.count, size % 8 == 0, head + sizes.reduce(0, +) <= size else {
                throw PluginError.invalid("step \(all.count) of the transaction is malformed")
            }
            let parts = rest.parts(after: head, sizes)
            var step = Operation(Int32(truncatingIfNeeded: rest.number(at: 8, size: 4)), key: parts.0)
            (step.index, step.value) = (parts.1, parts.2)
            step.expected = rest.number(at: 16, size: 8)
            step.lease = rest.number(at: 24, size: 8)
            all.append(step)
            rest = rest.dropFirst(size)
        }
        return all
    }

    /// Refuses what could never be stored.
    func check() throws {
        try StoreText.checkKey(key)
        guard index.isEmpty || index.last == 0, index.count(where: { $0 == 0 }) % 2 == 0 else {
            throw PluginError.invalid("an index is a list of \"name\\0value\\0\"")
        }
        guard (HOSTD_STORE_CREATE...HOSTD_STORE_CHECK).contains(kind) else {
            throw PluginError.invalid("\(kind) is no kind of step")
        }
    }
}

enum StoreText {
    static func checkKey(_ key: [UInt8]) throws {
        guard slashes(key) == 2, key.last != slash else {
            throw PluginError.invalid("a key is RESOURCE/NAMESPACE/NAME, at most 1,024 bytes of text")
        }
    }

    static func checkPrefix(_ prefix: [UInt8]) throws {
        guard prefix.isEmpty || (prefix.last == slash && (slashes(prefix) ?? 0) <= 2 && slashes(prefix) != nil) else {
            throw PluginError.invalid("a prefix is empty, RESOURCE/ or RESOURCE/NAMESPACE/")
        }
    }

    private static let slash = UInt8(ascii: "/")

    /// How many slashes a path has; nil for what is none: too long, not UTF-8, with control characters, or without a resource.
    private static func slashes(_ path: [UInt8]) -> Int? {
        guard path.count <= 1024, path.first != slash, path.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }),
            String(validating: path, as: UTF8.self) != nil
        else { return nil }
        return path.count { $0 == slash }
    }
}

extension [UInt8] {
    mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}

extension ArraySlice<UInt8> {
    /// A little-endian number of 4 or 8 bytes.
    func number(at place: Int, size: Int) -> UInt64 {
        (0..<size).reduce(0) { $0 | UInt64(self[startIndex + place + $1]) << (8 * UInt64($1)) }
    }

    fileprivate func parts(after head: Int, _ sizes: [Int]) -> ([UInt8], [UInt8], [UInt8]) {
        let first = startIndex + head
        let (second, third) = (first + sizes[0], first + sizes[0] + sizes[1])
        return (Array(self[first..<second]), Array(self[second..<third]), Array(self[third..<third + sizes[2]]))
    }
}
