import CRuntime
import Glibc
import PluginKit

/// A process that a reused number cannot be mistaken for: the number and the time it was started.
package struct ProcessIdentity: Sendable, Equatable {
    package let process: pid_t
    /// Clock ticks since boot, field 22 of /proc/PID/stat.
    package let startTime: UInt64

    /// The identity of the process that has this number now, nil when there is none (or only its remains).
    package static func current(_ process: pid_t) throws(PluginError) -> ProcessIdentity? {
        guard let text = try readSmallFile("/proc/\(process)/stat") else { return nil }
        return parse(stat: text, process: process)
    }

    /// The command's name, in parentheses, may hold anything: fields are counted from the last parenthesis.
    package static func parse(stat text: String, process: pid_t) -> ProcessIdentity? {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let start = UInt64(fields[19]) else { return nil }
        if fields[0] == "Z" || fields[0] == "X" { return nil }
        return ProcessIdentity(process: process, startTime: start)
    }

    /// A descriptor of this very process, nil when it has ended.
    package func open() throws(PluginError) -> Descriptor? {
        let descriptor = runtime_pidfd_open(process)
        if descriptor < 0 {
            if errno == ESRCH || errno == EINVAL { return nil }
            throw .system("open", "process \(process)", errno: errno)
        }
        let taken = Descriptor(taking: descriptor)
        // Read after the descriptor is held: if the number had been reused before, the time differs.
        return try Self.current(process) == self ? taken : nil
    }
}
