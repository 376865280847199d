import Glibc
import Objects
import PluginKit

/// How a container ended.
package struct ContainerExit: Sendable, Equatable {
    package var code: Int32
    package var signal: Int32 = 0
    /// The kernel's out-of-memory killer struck in its cgroup.
    package var isOutOfMemory = false
    /// Nanoseconds since 1970.
    package var finishedAt: Int64
    /// Set for ends that the container's own program did not decide.
    package var override: (reason: String, message: String)?

    package var reason: String { override?.reason ?? (isOutOfMemory ? "OOMKilled" : code == 0 ? "Completed" : "Error") }
    package var message: String { override?.message ?? "" }

    package static func == (left: ContainerExit, right: ContainerExit) -> Bool {
        left.code == right.code && left.signal == right.signal && left.isOutOfMemory == right.isOutOfMemory
            && left.finishedAt == right.finishedAt && left.reason == right.reason && left.message == right.message
    }

    package init(code: Int32, finishedAt: Int64) {
        self.code = code
        self.finishedAt = finishedAt
    }

    /// The file `exit` that a monitor writes: "name value" per line.
    package init?(parsing text: String) {
        let fields = StateFile.fields(text)
        guard let code = fields["code"], let finished = fields["finished"] else { return nil }
        self.init(code: Int32(clamping: code), finishedAt: finished)
        signal = Int32(clamping: fields["signal"] ?? 0)
        isOutOfMemory = fields["oom"] == 1
    }

    /// An end whose record is missing.
    package static func unknown(_ message: String) -> ContainerExit {
        var exit = ContainerExit(code: 255, finishedAt: nanosecondsNow())
        exit.override = ("Unknown", message)
        return exit
    }

    /// A start that failed; 128 as other runtimes say.
    package static func startFailure(_ message: String) -> ContainerExit {
        var exit = ContainerExit(code: 128, finishedAt: nanosecondsNow())
        exit.override = ("StartError", message)
        return exit
    }
}

/// A started container: the file `started` that a monitor writes.
package struct ContainerStart: Sendable, Equatable {
    package let process: ProcessIdentity
    package let monitor: ProcessIdentity
    /// Nanoseconds since 1970.
    package let at: Int64
    /// Nil where an OCI runtime started it: its engine knows.
    package let user: ContainerUser?

    package init?(parsing text: String) {
        let fields = StateFile.fields(text)
        guard let process = fields["process"], let start = fields["start"], let monitor = fields["monitor"],
            let monitorStart = fields["monitor-start"], let at = fields["at"]
        else { return nil }
        self.process = ProcessIdentity(process: pid_t(clamping: process), startTime: UInt64(clamping: start))
        self.monitor = ProcessIdentity(process: pid_t(clamping: monitor), startTime: UInt64(clamping: monitorStart))
        self.at = at
        user = ContainerUser(fields: fields)
    }
}

/// Files of lines "name value".
package enum StateFile {
    package static func fields(_ text: String) -> [String: Int64] {
        var fields: [String: Int64] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, let value = Int64(parts[1]) { fields[String(parts[0])] = value }
        }
        return fields
    }
}

/// The life of a container; cases hold what is alive in them.
package enum ContainerState: Sendable {
    case created
    case starting
    case running(Running)
    case exited(ContainerExit, startedAt: Int64?)

    package struct Running: Sendable {
        package let start: ContainerStart
        /// pidfd of the container's first process.
        package let process: Descriptor
    }

    package var name: String {
        switch self {
        case .created, .starting: "created"
        case .running: "running"
        case .exited: "exited"
        }
    }
}

package func nanosecondsNow() -> Int64 {
    let now = Timestamp.now()
    return now.seconds * 1_000_000_000 + Int64(now.nanoseconds)
}

/// RFC 3339 with nanoseconds; "" for 0.
package func formatNanoseconds(_ nanoseconds: Int64) -> String {
    if nanoseconds == 0 { return "" }
    return Timestamp(seconds: nanoseconds / 1_000_000_000, nanoseconds: Int32(nanoseconds % 1_000_000_000)).formatted(
        fraction: .nano)
}

package func parseNanoseconds(_ text: String) -> Int64 {
    guard let time = try? Timestamp(parsing: text) else { return 0 }
    return time.seconds * 1_000_000_000 + Int64(time.nanoseconds)
}
