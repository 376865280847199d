/// Reads /proc/self/mountinfo (proc_pid_mountinfo(5)).
enum MountTable {
    /// Mount points at or below `path`, the deepest and latest first: the order in which to unmount them.
    static func mounts(below path: String, table: String) -> [String] {
        var result: [String] = []
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count > 4 else { continue }
            let point = unescape(fields[4])
            if point == path || point.hasPrefix(path + "/") { result.append(point) }
        }
        return result.reversed()
    }

    /// Octal escapes stand for blanks, tabs, line breaks and backslashes.
    private static func unescape(_ field: Substring) -> String {
        guard field.utf8.contains(UInt8(ascii: "\\")) else { return String(field) }
        var result: [UInt8] = []
        var bytes = Array(field.utf8)[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "\\"), bytes.count >= 3,
                let value = UInt8(String(decoding: bytes.prefix(3), as: UTF8.self), radix: 8)
            {
                result.append(value)
                bytes = bytes.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
