import PodNetworking
import Glibc
import PluginKit

/// Where control groups of the v2 hierarchy are on this machine.
enum ControlGroups {
    /// The mount point of the v2 hierarchy, pure or beside v1; nil without one.
    static func mountPoint() -> String? { Mounts.all().first { $0.type == "cgroup2" }?.path }

    /// The path of this process in the v2 hierarchy, "/" at its root.
    static func ownPath() -> String? {
        guard let file = fopen("/proc/self/cgroup", "re") else { return nil }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var size = 0
        defer { free(line) }
        while getline(&line, &size, file) > 0, let line {
            let text = String(cString: line)
            if text.hasPrefix("0::") { return String(text.dropFirst(3).prefix { $0 != "\n" }) }
        }
        return nil
    }

    /// The directories at which programs are attached; missing ones for pods are made.
    static func directories(for settings: NetworkSettings) throws -> [String] {
        guard let mount = mountPoint() else {
            throw NetworkError.missing("no cgroup v2 hierarchy is mounted: mount one, for instance on /sys/fs/cgroup")
        }
        let pods = settings.cgroup ?? "\(mount)/\(settings.cgroupParent)"
        try makeDirectories(pods)
        switch settings.hostRouting {
        case .auto, .off: return [pods]
        case .root: return [mount]
        case .cgroup:
            if !settings.hostCgroups.isEmpty { return [pods] + settings.hostCgroups }
            guard let own = ownPath(), own != "/" else {
                throw NetworkError.missing(
                    "hostRouting: cgroup needs hostCgroups, because hostd itself runs in the root control group; name the "
                        + "groups, or choose hostRouting: root")
            }
            return [pods, mount + own]
        }
    }

    private static func makeDirectories(_ path: String) throws {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/\(part)"
            if access(current, F_OK) == 0 { continue }
            guard mkdir(current, 0o755) == 0 || errno == EEXIST else {
                throw NetworkError.file(
                    path: current, reason: "the control group cannot be made: \(String(cString: strerror(errno)))")
            }
        }
    }
}
