@testable import Containers
@testable import Runtime

/// Writes tar archives for tests, well-formed and not.
struct TarWriter {
    private(set) var bytes: [UInt8] = []

    mutating func add(
        _ path: String, type: Character = "0", content: [UInt8] = [], mode: UInt32 = 0o644, link: String = "",
        user: UInt32 = 0, group: UInt32 = 0, modified: Int64 = 1, major: UInt32 = 0, minor: UInt32 = 0,
        size: Int64? = nil,
        prefix: String = ""
    ) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ offset: Int, _ limit: Int) {
            for (index, byte) in text.utf8.prefix(limit).enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int64, _ offset: Int, _ digits: Int) {
            let text = String(value, radix: 8)
            put(String(repeating: "0", count: max(0, digits - text.count)) + text, offset, digits)
        }
        put(path, 0, 100)
        octal(Int64(mode), 100, 7)
        octal(Int64(user), 108, 7)
        octal(Int64(group), 116, 7)
        octal(size ?? Int64(content.count), 124, 11)
        octal(modified, 136, 11)
        header[156] = type.asciiValue ?? 0x30
        put(link, 157, 100)
        put("ustar\u{0}00", 257, 8)
        octal(Int64(major), 329, 7)
        octal(Int64(minor), 337, 7)
        put(prefix, 345, 155)
        for index in 148..<156 { header[index] = 0x20 }
        let sum = header.reduce(Int64(0)) { $0 + Int64($1) }
        octal(sum, 148, 6)
        header[154] = 0
        bytes += header + content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func addExtended(_ records: [(key: String, value: String)], type: Character = "x") {
        var content: [UInt8] = []
        for record in records {
            let body = " \(record.key)=\(record.value)\n"
            var length = body.utf8.count + 1
            while String(length).utf8.count + body.utf8.count != length { length += 1 }
            content += "\(length)\(body)".utf8
        }
        add("header", type: type, content: content)
    }

    mutating func finish() { bytes += [UInt8](repeating: 0, count: 1024) }
    mutating func append(_ raw: [UInt8]) { bytes += raw }

    static func directory(_ entries: (inout TarWriter) -> Void) -> [UInt8] {
        var writer = TarWriter()
        entries(&writer)
        writer.finish()
        return writer.bytes
    }
}
