import Glibc

/// The mounts that this process sees.
enum Mounts {
    struct Entry: Equatable {
        let path: String
        let type: String
    }

    /// All mounts in mount order, from /proc/thread-self/mounts; empty where that cannot be read.
    static func all() -> [Entry] {
        guard let file = fopen("/proc/thread-self/mounts", "re") else { return [] }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var size = 0
        defer { free(line) }
        var entries: [Entry] = []
        while getline(&line, &size, file) > 0, let line {
            if let entry = parse(String(cString: line)) { entries.append(entry) }
        }
        return entries
    }

    /// One line of the table: device, path, type, … with octal escapes for blanks in the path.
    static func parse(_ line: String) -> Entry? {
        let fields = line.split(separator: " ")
        guard fields.count >= 3 else { return nil }
        var path: [UInt8] = []
        var rest = Array(fields[1].utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                path.append(code)
                rest = rest.dropFirst(3)
            } else {
                path.append(byte)
            }
        }
        return Entry(path: String(decoding: path, as: UTF8.self), type: String(fields[2]))
    }

    /// Whether the last thing mounted on a path is of this type.
    static func isMounted(_ type: String, at path: String) -> Bool { all().last { $0.path == path }?.type == type }
}
