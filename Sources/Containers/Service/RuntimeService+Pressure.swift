import CRuntime
import Glibc
import PluginKit

extension RuntimeService {
    /// Reports when the out-of-memory killer strikes in a running container: v1 by an eventfd on memory.oom_control, v2 by
    /// inotify on memory.events (Linux, Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
    /// - Returns: the token to forget it by; nil where there is no memory controller.
    package func watchPressure(_ container: Container) throws(PluginError) -> UInt64? {
        guard let file = cgroups.oomFile(container.cgroup), cgroups.files.exists(file) else { return nil }
        let descriptor =
            cgroups.layout.controllers["memory"] == nil
            ? try inotify(file) : try eventDescriptor(file)
        let seen = SeenKills(kills(file))
        return try supervisor.watch(descriptor) { [weak self] in
            var drained = [UInt8](repeating: 0, count: 512)
            if read(descriptor.number, &drained, drained.count) <= 0 { return errno == EAGAIN }
            guard let self else { return false }
            // The file is gone with the cgroup, which also wakes the descriptor.
            guard cgroups.files.exists(file) else { return false }
            if seen.advance(to: kills(file)), container.running != nil { report("oom", container) }
            return true
        }
    }

    private func kills(_ file: String) -> UInt64 {
        let text = try? cgroups.files.read(file)
        return CgroupDriver.fields(text ?? "")["oom_kill"] ?? 0
    }

    private func inotify(_ file: String) throws(PluginError) -> Descriptor {
        let descriptor = try Descriptor(
            inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)), "make", "an inotify instance")
        if inotify_add_watch(descriptor.number, file, UInt32(IN_MODIFY)) < 0 {
            throw .system("watch", file, errno: errno)
        }
        return descriptor
    }

    private func eventDescriptor(_ file: String) throws(PluginError) -> Descriptor {
        let descriptor = try Descriptor(
            eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)), "make", "an event descriptor")
        let control = try Descriptor(opening: file, O_RDONLY)
        let directory = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)])
        try cgroups.files.write("\(directory)/cgroup.event_control", "\(descriptor.number) \(control.number)")
        return descriptor
    }

    /// How many kills have been reported.
    private final class SeenKills: @unchecked Sendable {
        // SAFETY: only the event thread reads and writes it after the initialiser.
        private var count: UInt64
        init(_ count: UInt64) { self.count = count }

        func advance(to now: UInt64) -> Bool {
            defer { count = max(count, now) }
            return now > count
        }
    }
}
