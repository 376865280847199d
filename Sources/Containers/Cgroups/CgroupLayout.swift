import PluginKit

/// Which cgroup hierarchies this machine has, and where. cgroups(7).
package struct CgroupLayout: Sendable, Equatable {
    package enum Mode: String, Sendable { case v1, v2, hybrid }

    /// Mount point of the v2 hierarchy.
    package var unified: String?
    /// v1 controllers that are used here, with the mount point of each.
    package var controllers: [String: String] = [:]
    /// Mount points of the other v1 hierarchies: not used here, but an OCI runtime makes groups in all of them.
    package var others: [String] = []

    /// v2 is the whole thing only when no resource controller sits in v1.
    package var mode: Mode {
        unified == nil ? .v1 : controllers["memory"] == nil && controllers["cpu"] == nil ? .v2 : .hybrid
    }

    package static let known: Set<String> = [
        "memory", "cpu", "cpuacct", "pids", "cpuset", "devices", "freezer", "hugetlb",
    ]

    /// Reads the text of /proc/self/mountinfo: the first mount of each hierarchy counts.
    package init(mountInformation text: String) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let separator = fields.firstIndex(of: "-"), fields.count > separator + 3, fields.count > 4 else {
                continue
            }
            let mountPoint = Self.unescape(fields[4])
            switch fields[separator + 1] {
            case "cgroup2": unified = unified ?? mountPoint
            case "cgroup":
                let options = fields[separator + 3].split(separator: ",").map(String.init)
                for option in options where Self.known.contains(option) {
                    if controllers[option] == nil { controllers[option] = mountPoint }
                }
                if !options.contains(where: Self.known.contains) { others.append(mountPoint) }
            default: continue
            }
        }
    }

    package init(unified: String?, controllers: [String: String]) {
        self.unified = unified
        self.controllers = controllers
    }

    package static func ofThisMachine() throws(PluginError) -> CgroupLayout {
        guard let text = try readSmallFile("/proc/self/mountinfo") else {
            throw .unavailable("/proc/self/mountinfo cannot be read: is /proc mounted?")
        }
        let layout = CgroupLayout(mountInformation: text)
        guard layout.unified != nil || layout.controllers["memory"] != nil else {
            throw .unavailable("no cgroup file system is mounted: mount -t cgroup2 none /sys/fs/cgroup")
        }
        return layout
    }

    /// mountinfo writes blanks and backslashes as octal: proc(5).
    private static func unescape(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == 0x5c, digits.count == 3, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
