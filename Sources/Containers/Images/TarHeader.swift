import PluginKit

/// The 512-byte header block of POSIX ustar and of GNU tar, with base-256 numbers. See pax(1) of POSIX.1-2017.
struct TarHeader {
    static let size = 512
    let block: [UInt8]

    /// Nil for a block of zeros, which ends an archive.
    init?(_ block: [UInt8], archive: String) throws(PluginError) {
        if block.allSatisfy({ $0 == 0 }) { return nil }
        self.block = block
        // A checksum that is no number is a wrong one.
        let expected = (try? Self.number(block[148..<156], archive)) ?? -1
        var unsigned: Int64 = 0
        var signed: Int64 = 0
        for (index, byte) in block.enumerated() {
            let counted = (148..<156).contains(index) ? 0x20 : byte
            unsigned += Int64(counted)
            signed += Int64(Int8(bitPattern: counted))
        }
        guard expected == unsigned || expected == signed else {
            throw .invalid("\(archive) is not a tar archive, or is damaged: a header has a wrong checksum")
        }
    }

    var type: UInt8 { block[156] }

    /// Name with ustar's prefix. GNU tar uses the prefix' place for other things.
    var path: [UInt8] {
        let name = Self.text(block[0..<100])
        guard block[257..<263].elementsEqual([0x75, 0x73, 0x74, 0x61, 0x72, 0]) else { return name }
        let prefix = Self.text(block[345..<500])
        return prefix.isEmpty ? name : prefix + [0x2f] + name
    }

    var link: [UInt8] { Self.text(block[157..<257]) }

    func mode(_ archive: String) throws(PluginError) -> Int64 { try Self.number(block[100..<108], archive) }
    func user(_ archive: String) throws(PluginError) -> Int64 { try Self.number(block[108..<116], archive) }
    func group(_ archive: String) throws(PluginError) -> Int64 { try Self.number(block[116..<124], archive) }
    func contentSize(_ archive: String) throws(PluginError) -> Int64 { try Self.number(block[124..<136], archive) }
    func modified(_ archive: String) throws(PluginError) -> Int64 { try Self.number(block[136..<148], archive) }
    func major(_ archive: String) throws(PluginError) -> Int64 { try Self.number(block[329..<337], archive) }
    func minor(_ archive: String) throws(PluginError) -> Int64 { try Self.number(block[337..<345], archive) }

    private static func text(_ field: ArraySlice<UInt8>) -> [UInt8] { Array(field.prefix { $0 != 0 }) }

    /// Octal digits padded with blanks and zeros, or, with the top bit set, a big-endian two's complement number.
    static func number(_ field: ArraySlice<UInt8>, _ archive: String) throws(PluginError) -> Int64 {
        let damaged = PluginError.invalid("\(archive) is damaged: a tar header holds a number that cannot be read")
        guard let first = field.first else { throw damaged }
        if first & 0x80 != 0 {
            // Bit 6 is the sign; the number is the remaining bits.
            var value: Int64 = first & 0x40 != 0 ? -1 : 0
            for (index, byte) in field.enumerated() {
                let bits = index == 0 ? Int64(first & 0x3f) | (first & 0x40 != 0 ? ~0x3f : 0) : Int64(byte)
                if index > 0, value > Int64.max >> 8 || value < Int64.min >> 8 { throw damaged }
                value = index == 0 ? bits : value << 8 | bits
            }
            return value
        }
        var value: Int64 = 0
        var isInside = false
        var isOver = false
        for byte in field {
            switch byte {
            case 0x30...0x37:
                if isOver || value > Int64.max >> 3 { throw damaged }
                value = value << 3 | Int64(byte - 0x30)
                isInside = true
            case 0, 0x20:
                if isInside { isOver = true }
                if byte == 0, isOver { return value }
            default: throw damaged
            }
        }
        return value
    }
}
