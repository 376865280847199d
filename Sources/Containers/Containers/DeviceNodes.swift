import CRuntime
import Glibc
import PluginKit

/// A device node to make in a container.
package struct DeviceNode: Sendable, Equatable {
    package var path: String
    /// With the type bits.
    package var mode: UInt32
    package var major: UInt32
    package var minor: UInt32
    package var user: UInt32 = 0
    package var group: UInt32 = 0

    package var kind: DeviceRule.Kind { mode & S_IFMT == S_IFBLK ? .block : .character }

    package func rule(_ access: String) -> DeviceRule { DeviceRule(kind, major, minor, access) }

    /// The nodes that every program may expect.
    package static let standard: [DeviceNode] = [
        ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
    ].map { DeviceNode(path: "/dev/\($0.0)", mode: S_IFCHR | 0o666, major: $0.1, minor: $0.2) }

    package static let standardLinks: [(content: String, path: String)] = [
        ("pts/ptmx", "/dev/ptmx"), ("/proc/self/fd", "/dev/fd"), ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"), ("/proc/self/fd/2", "/dev/stderr"),
    ]

    /// The device at a path of the host, or all devices below a directory of it.
    package static func ofHost(_ device: ContainerConfiguration.Device) throws(PluginError) -> [DeviceNode] {
        var status = stat()
        guard stat(device.hostPath, &status) == 0 else {
            throw .system("look at the device", device.hostPath, errno: errno)
        }
        switch status.st_mode & S_IFMT {
        case S_IFCHR, S_IFBLK: return [node(status, at: device.containerPath)]
        case S_IFDIR: return try below(device.hostPath, as: device.containerPath)
        default: throw .invalid("\(device.hostPath) is not a device")
        }
    }

    /// Everything in the host's /dev, for privileged containers, but for what a container has of its own.
    package static func all() throws(PluginError) -> [DeviceNode] {
        let own = Set(standard.map(\.path) + standardLinks.map(\.path) + ["/dev/console", "/dev/ptmx"])
        return try below("/dev", as: "/dev").filter { !own.contains($0.path) }
    }

    private static func below(_ directory: String, as inside: String) throws(PluginError) -> [DeviceNode] {
        var nodes: [DeviceNode] = []
        for name in try FileTree.names(in: directory) {
            if directory == "/dev", ["pts", "shm", "mqueue", "fd", ".lxc", ".udev", "hugepages"].contains(name) {
                continue
            }
            var status = stat()
            guard lstat("\(directory)/\(name)", &status) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: nodes += try below("\(directory)/\(name)", as: "\(inside)/\(name)")
            case S_IFCHR, S_IFBLK: nodes.append(node(status, at: "\(inside)/\(name)"))
            default: continue
            }
        }
        return nodes
    }

    private static func node(_ status: stat, at path: String) -> DeviceNode {
        DeviceNode(
            path: path, mode: status.st_mode, major: runtime_device_major(UInt64(status.st_rdev)),
            minor: runtime_device_minor(UInt64(status.st_rdev)), user: status.st_uid, group: status.st_gid)
    }
}
