import PluginKit

/// Reads tar archives one member at a time: POSIX ustar, pax extended headers, GNU long names. What is read for headers
/// is bounded; content is the caller's to bound.
final class TarReader {
    static let nameLimit = 4096
    static let extendedHeaderLimit = 1 << 20

    private let source: any ByteSource
    private let archive: String
    private var remainingContent: Int64 = 0
    private var padding: Int64 = 0
    private var globalRecords: [String: [UInt8]] = [:]

    /// - Parameter archive: what to call it in messages.
    init(_ source: any ByteSource, archive: String) {
        self.source = source
        self.archive = archive
    }

    /// The next member, after skipping what is left of the present one's content; nil at the end.
    func next() throws(PluginError) -> TarEntry? {
        var records: [String: [UInt8]] = [:]
        var longName: [UInt8]?
        var longLink: [UInt8]?
        while true {
            try skip(remainingContent + padding)
            remainingContent = 0
            padding = 0
            // An archive may end without the two blocks of zeros, but only between members.
            guard let block = try readBlock(mayEnd: records.isEmpty && longName == nil && longLink == nil),
                let header = try TarHeader(block, archive: archive)
            else { return nil }
            let size = try header.contentSize(archive)
            guard size >= 0, size < Int64.max - 1024 else { throw damaged("a member has a negative or absurd size") }
            switch header.type {
            case UInt8(ascii: "x"): records = try readRecords(size, into: records)
            case UInt8(ascii: "g"): globalRecords = try readRecords(size, into: globalRecords)
            case UInt8(ascii: "L"): longName = try readName(size)
            case UInt8(ascii: "K"): longLink = try readName(size)
            default:
                let merged = globalRecords.merging(records) { _, own in own }
                return try entry(header, size: size, records: merged, longName: longName, longLink: longLink)
            }
        }
    }

    /// Part of the present member's content; 0 at its end.
    func readContent(into buffer: UnsafeMutableRawBufferPointer) throws(PluginError) -> Int {
        if remainingContent == 0 { return 0 }
        let wanted = Int(min(Int64(buffer.count), remainingContent))
        let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[0..<wanted]))
        if count == 0 { throw truncated() }
        remainingContent -= Int64(count)
        return count
    }

    private func entry(
        _ header: TarHeader, size headerSize: Int64, records: [String: [UInt8]], longName: [UInt8]?, longLink: [UInt8]?
    ) throws(PluginError) -> TarEntry {
        let path = records["path"] ?? longName ?? header.path
        let link = records["linkpath"] ?? longLink ?? header.link
        guard path.count <= Self.nameLimit, link.count <= Self.nameLimit, !path.contains(0), !link.contains(0) else {
            throw damaged("a member's name is longer than \(Self.nameLimit) bytes or holds a zero byte")
        }
        var entry = TarEntry(kind: try kind(header.type, path: path), path: path, link: link)
        if records.keys.contains(where: { $0.hasPrefix("GNU.sparse.") }) {
            throw damaged("\(entry.displayPath) is stored sparse; write the archive again without --sparse")
        }
        entry.mode = UInt32(truncatingIfNeeded: try header.mode(archive)) & 0o7777
        entry.user = try identifier(records["uid"], try header.user(archive))
        entry.group = try identifier(records["gid"], try header.group(archive))
        entry.size = try decimal(records["size"]) ?? headerSize
        try readTime(records["mtime"], header, into: &entry)
        if entry.kind == .characterDevice || entry.kind == .blockDevice {
            entry.major = try identifier(nil, try header.major(archive))
            entry.minor = try identifier(nil, try header.minor(archive))
        }
        for (key, value) in records.sorted(by: { $0.key < $1.key }) where key.hasPrefix("SCHILY.xattr.") {
            entry.attributes.append(.init(name: String(key.dropFirst(13)), value: value))
        }
        // Some writers give links and directories a size although no content follows.
        remainingContent = entry.kind == .file ? entry.size : headerSize
        if entry.kind == .hardLink || entry.kind == .symbolicLink || entry.kind == .directory { remainingContent = 0 }
        if entry.kind != .file { entry.size = 0 }
        padding = (512 - remainingContent % 512) % 512
        return entry
    }

    private func kind(_ type: UInt8, path: [UInt8]) throws(PluginError) -> TarEntry.Kind {
        switch type {
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): path.last == 0x2f ? .directory : .file
        case UInt8(ascii: "1"): .hardLink
        case UInt8(ascii: "2"): .symbolicLink
        case UInt8(ascii: "3"): .characterDevice
        case UInt8(ascii: "4"): .blockDevice
        case UInt8(ascii: "5"): .directory
        case UInt8(ascii: "6"): .pipe
        default: throw damaged("\(String(decoding: path.prefix(256), as: UTF8.self)) has the unknown type \(type)")
        }
    }

    private func readTime(_ record: [UInt8]?, _ header: TarHeader, into entry: inout TarEntry) throws(PluginError) {
        guard let record else {
            entry.modified = try header.modified(archive)
            return
        }
        let parts = String(decoding: record, as: UTF8.self).split(separator: ".", maxSplits: 1)
        guard let first = parts.first, let seconds = Int64(first) else { throw damaged("a time cannot be read") }
        entry.modified = seconds
        if parts.count == 2 {
            let digits = String(parts[1].prefix(9))
            guard let fraction = Int32(digits), fraction >= 0 else { throw damaged("a time cannot be read") }
            var nanoseconds = fraction
            for _ in digits.utf8.count..<9 { nanoseconds *= 10 }
            entry.modifiedNanoseconds = nanoseconds
        }
    }

    private func identifier(_ record: [UInt8]?, _ header: Int64) throws(PluginError) -> UInt32 {
        let value = try decimal(record) ?? header
        guard let number = UInt32(exactly: value), number != UInt32.max else { throw damaged("an id is out of range") }
        return number
    }

    private func decimal(_ record: [UInt8]?) throws(PluginError) -> Int64? {
        guard let record else { return nil }
        guard let value = Int64(String(decoding: record, as: UTF8.self)), value >= 0, value < Int64.max - 1024 else {
            throw damaged("an extended header holds a number that cannot be read")
        }
        return value
    }

    /// "LENGTH KEY=VALUE\n", the length counting all of it, itself included.
    private func readRecords(_ size: Int64, into records: [String: [UInt8]]) throws(PluginError) -> [String: [UInt8]] {
        let bytes = try readHeaderContent(size, limit: Self.extendedHeaderLimit)
        var records = records
        var at = 0
        while at < bytes.count, bytes[at] != 0 {
            guard let blank = bytes[at...].firstIndex(of: 0x20),
                let length = Int(String(decoding: bytes[at..<blank], as: UTF8.self)),
                length > blank - at + 1, length <= bytes.count - at, bytes[at + length - 1] == 0x0a,
                let equals = bytes[blank..<at + length].firstIndex(of: 0x3d)
            else { throw damaged("an extended header is malformed") }
            let key = String(decoding: bytes[(blank + 1)..<equals], as: UTF8.self)
            let value = Array(bytes[(equals + 1)..<(at + length - 1)])
            if value.isEmpty { records[key] = nil } else { records[key] = value }
            at += length
        }
        return records
    }

    private func readName(_ size: Int64) throws(PluginError) -> [UInt8] {
        Array(try readHeaderContent(size, limit: Self.nameLimit + 1).prefix { $0 != 0 })
    }

    private func readHeaderContent(_ size: Int64, limit: Int) throws(PluginError) -> [UInt8] {
        guard size <= Int64(limit) else { throw damaged("a header is larger than \(limit) bytes") }
        let bytes = try readExactly(Int(size))
        try skip((512 - size % 512) % 512)
        return bytes
    }

    private func readBlock(mayEnd: Bool) throws(PluginError) -> [UInt8]? {
        let block = try readUpTo(TarHeader.size)
        if block.isEmpty, mayEnd { return nil }
        if block.count < TarHeader.size { throw truncated() }
        return block
    }

    private func readExactly(_ count: Int) throws(PluginError) -> [UInt8] {
        let bytes = try readUpTo(count)
        if bytes.count < count { throw truncated() }
        return bytes
    }

    private func readUpTo(_ count: Int) throws(PluginError) -> [UInt8] {
        if count == 0 { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            var failure: PluginError?
            let got = bytes.withUnsafeMutableBytes { buffer in
                do throws(PluginError) {
                    return try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
                } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
            if got == 0 { break }
            filled += got
        }
        return Array(bytes[0..<filled])
    }

    private func skip(_ count: Int64) throws(PluginError) {
        var left = count
        if left == 0 { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(min(left, 65_536)), alignment: 16)
        defer { buffer.deallocate() }
        while left > 0 {
            let part = Int(min(left, Int64(buffer.count)))
            let got = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[0..<part]))
            if got == 0 { throw truncated() }
            left -= Int64(got)
        }
    }

    private func damaged(_ reason: String) -> PluginError { .invalid("\(archive) is damaged: \(reason)") }
    private func truncated() -> PluginError { .invalid("\(archive) is truncated: it ends in the middle of a member") }
}
