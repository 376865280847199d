import PluginAPI

extension IndexSelector {
    /// Parses the text of a label selector: "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2". Names may begin with
    /// a dot. The grammar is that of hostd/roles/store.h.
    init(parsing bytes: UnsafeRawBufferPointer) throws(StoreError) {
        guard bytes.count <= 64 << 10 else {
            throw .invalid("a selector of \(bytes.count) bytes is too long; at most 65,536")
        }
        var parser = SelectorParser(bytes: bytes)
        requirements = try parser.parse()
    }

    init(_ text: String) throws(StoreError) {
        let bytes = Array(text.utf8)
        var result: Result<IndexSelector, StoreError>?
        bytes.withUnsafeBytes { bytes in
            result = Result { () throws(StoreError) in try IndexSelector(parsing: bytes) }
        }
        // SAFETY: the closure above always ran.
        self = try result!.get()
    }
}

private struct SelectorParser {
    let bytes: UnsafeRawBufferPointer
    var offset = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var byte: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private func failure(_ expected: String) -> StoreError {
        .invalid("selector \"\(bytes.text)\": at byte \(offset) \(expected) is expected")
    }

    private mutating func skipSpace() {
        while let byte, byte == 0x20 || byte == 0x09 { offset += 1 }
    }

    mutating func parse() throws(StoreError) -> [IndexSelector.Requirement] {
        var all: [IndexSelector.Requirement] = []
        skipSpace()
        while byte != nil {
            all.append(try requirement())
            skipSpace()
            if byte == nil { break }
            guard byte == UInt8(ascii: ",") else { throw failure("a comma") }
            offset += 1
            skipSpace()
            if byte == nil { throw failure("a requirement after the comma") }
        }
        return all
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x00...0x20, 0x7F, UInt8(ascii: ","), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "="),
            UInt8(ascii: "!"), UInt8(ascii: "<"), UInt8(ascii: ">"):
            return false
        default: return true
        }
    }

    private mutating func word() -> [UInt8] {
        let start = offset
        while let byte, Self.isWordByte(byte) { offset += 1 }
        return Array(bytes[start..<offset])
    }

    private mutating func requirement() throws(StoreError) -> IndexSelector.Requirement {
        if byte == UInt8(ascii: "!") {
            offset += 1
            skipSpace()
            return .init(name: try name(), test: .absent)
        }
        let name = try name()
        skipSpace()
        switch byte {
        case nil, UInt8(ascii: ","): return .init(name: name, test: .exists)
        case UInt8(ascii: "="):
            offset += 1
            if byte == UInt8(ascii: "=") { offset += 1 }
            return .init(name: name, test: .among([value()]))
        case UInt8(ascii: "!"):
            offset += 1
            guard byte == UInt8(ascii: "=") else { throw failure("\"!=\"") }
            offset += 1
            return .init(name: name, test: .notAmong([value()]))
        case UInt8(ascii: ">"), UInt8(ascii: "<"): return .init(name: name, test: try comparison())
        default: return .init(name: name, test: try membership())
        }
    }

    private mutating func name() throws(StoreError) -> [UInt8] {
        let name = word()
        if name.isEmpty { throw failure("a name") }
        return name
    }

    private mutating func value() -> [UInt8] {
        skipSpace()
        return word()
    }

    private mutating func comparison() throws(StoreError) -> IndexSelector.Test {
        let isAbove = byte == UInt8(ascii: ">")
        offset += 1
        guard let bound = Int64(String(decoding: value(), as: UTF8.self)) else { throw failure("a whole number") }
        return isAbove ? .above(bound) : .below(bound)
    }

    private mutating func membership() throws(StoreError) -> IndexSelector.Test {
        let verb = String(decoding: word(), as: UTF8.self)
        guard verb == "in" || verb == "notin" else { throw failure("=, ==, !=, <, >, in or notin") }
        skipSpace()
        guard byte == UInt8(ascii: "(") else { throw failure("(") }
        offset += 1
        var values: [[UInt8]] = []
        while true {
            values.append(value())
            skipSpace()
            if byte == UInt8(ascii: ",") {
                offset += 1
            } else if byte == UInt8(ascii: ")") {
                offset += 1
                return verb == "in" ? .among(values) : .notAmong(values)
            } else {
                throw failure(") or a comma")
            }
        }
    }
}
