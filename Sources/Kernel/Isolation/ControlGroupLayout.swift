/// Which control group hierarchies this machine has, and where: cgroups(7). v1, v2, or resource controllers in v1 beside a v2
/// mount.
struct ControlGroupLayout: Sendable, Equatable {
    /// Mount point of the v2 hierarchy.
    var unified: String?
    /// Mount points of the v1 controllers that are used here.
    var controllers: [String: String] = [:]

    private static let known: Set<String> = ["memory", "cpu", "pids"]

    /// Resources are limited in v2.
    var isUnified: Bool { unified != nil && controllers["memory"] == nil && controllers["cpu"] == nil }

    /// Reads the text of /proc/self/mountinfo; the first mount of each hierarchy counts. proc(5).
    init(mountInformation text: String) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let separator = fields.firstIndex(of: "-"), separator > 4, fields.count > separator + 3 else {
                continue
            }
            let mountPoint = Self.unescape(fields[4])
            switch fields[separator + 1] {
            case "cgroup2": unified = unified ?? mountPoint
            case "cgroup":
                for option in fields[separator + 3].split(separator: ",").map(String.init)
                where Self.known.contains(option) && controllers[option] == nil {
                    controllers[option] = mountPoint
                }
            default: continue
            }
        }
    }

    /// Mount points in which a group has to be made, each once.
    var roots: [String] {
        var roots: [String] = []
        for mount in ["memory", "cpu", "pids"].compactMap({ controllers[$0] }) + [unified].compactMap({ $0 })
        where !roots.contains(mount) {
            roots.append(mount)
        }
        return roots
    }

    /// Blanks and backslashes are written as octal numbers there.
    private static func unescape(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
