import Glibc
import Objects
import PluginKit
import Synchronization

/// One container: what it was made from, for good, and where it is in its life.
package final class Container: Sendable {
    package let id: String
    package let sandboxID: String
    package let configuration: ContainerConfiguration
    /// The configuration as it came, as the record keeps it.
    package let configurationJSON: JSON
    package let image: Digest
    package let directory: String
    /// Absolute; empty for none.
    package let logPath: String
    package let cgroup: CgroupPath
    /// Nanoseconds since 1970.
    package let createdAt: Int64
    package let state = Mutex<ContainerState>(.created)
    /// Limits may be changed while it runs.
    package let resources: Mutex<Resources>
    /// Whose process namespace it joins: the first process of `configuration.targetContainerID`, found when it starts.
    package let target = Mutex<ProcessIdentity?>(nil)
    /// Known once it has been started.
    package let user = Mutex<ContainerUser?>(nil)
    /// Held by start and remove, so that they do not overlap.
    package let changing = Mutex<Void>(())
    /// Opens when it has exited.
    package let ended = Latch()

    package init(
        id: String, sandboxID: String, configurationJSON: JSON, configuration: ContainerConfiguration, image: Digest,
        directory: String, logPath: String, cgroup: CgroupPath, createdAt: Int64
    ) {
        self.id = id
        self.sandboxID = sandboxID
        self.configuration = configuration
        self.configurationJSON = configurationJSON
        self.image = image
        self.directory = directory
        self.logPath = logPath
        self.cgroup = cgroup
        self.createdAt = createdAt
        resources = Mutex(configuration.resources)
    }

    /// The record on disk: everything but the state, which the monitor's files tell.
    package var record: JSON {
        [
            "version": 1, "id": .string(id), "sandboxID": .string(sandboxID), "image": .string(image.description),
            "logPath": .string(logPath), "cgroup": JSON(cgroup.components),
            "createdAt": .string(formatNanoseconds(createdAt)), "config": configurationJSON,
        ]
    }

    package convenience init(record: JSON, directory: String) throws(PluginError) {
        guard record["version"].integerValue == 1, let id = record["id"].stringValue,
            let sandbox = record["sandboxID"].stringValue
        else { throw .invalid("\(directory)/record.json is not a container's record of this version") }
        self.init(
            id: id, sandboxID: sandbox, configurationJSON: record["config"],
            configuration: try ContainerConfiguration(record["config"]),
            image: try Digest(parsing: record["image"].stringValue ?? ""), directory: directory,
            logPath: record["logPath"].stringValue ?? "",
            cgroup: CgroupPath(components: record["cgroup"].arrayValue.compactMap(\.stringValue)),
            createdAt: parseNanoseconds(record["createdAt"].stringValue ?? ""))
    }

    /// The role's Container message.
    package var json: JSON {
        var json: JSON = [
            "id": .string(id), "sandboxID": .string(sandboxID), "name": .string(configuration.name),
            "attempt": .integer(configuration.attempt), "createdAt": .string(formatNanoseconds(createdAt)),
            "startedAt": "", "finishedAt": "", "exitCode": 0, "reason": "", "message": "", "processID": 0,
            "image": .string(configuration.image), "imageID": .string(image.description),
            "labels": configuration.labels.exists ? configuration.labels : [:],
            "annotations": configuration.annotations.exists ? configuration.annotations : [:],
            "logPath": .string(logPath),
            "mounts": configurationJSON["mounts"].exists ? configurationJSON["mounts"] : [],
        ]
        if let user = user.withLock({ $0 }) { json["user"] = user.json }
        state.withLock { state in
            json["state"] = .string(state.name)
            switch state {
            case .created, .starting: break
            case .running(let running):
                json["startedAt"] = .string(formatNanoseconds(running.start.at))
                json["processID"] = JSON(running.start.process.process)
            case .exited(let exit, let startedAt):
                json["startedAt"] = .string(formatNanoseconds(startedAt ?? 0))
                json["finishedAt"] = .string(formatNanoseconds(exit.finishedAt))
                json["exitCode"] = JSON(exit.code)
                json["reason"] = .string(exit.reason)
                json["message"] = .string(exit.message)
            }
        }
        return json
    }

    package var running: ContainerState.Running? {
        state.withLock { if case .running(let running) = $0 { running } else { nil } }
    }

    /// The process to join or signal.
    /// - Throws: WRONG_STATE naming the state.
    package func requireRunning() throws(PluginError) -> ContainerState.Running {
        guard let running else {
            throw .wrongState(
                "container \(configuration.name) (\(id)) is not running, it is \(state.withLock { $0.name })")
        }
        return running
    }

    /// The socket on which the monitor takes commands. The path may be longer than a socket address allows; the directory's
    /// descriptor is not.
    package func connectToMonitor() throws(PluginError) -> Descriptor {
        let directory = try Descriptor(opening: self.directory, O_RDONLY | O_DIRECTORY)
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let connection = try Descriptor(socket(AF_UNIX, type, 0), "make", "a socket")
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = "/proc/self/fd/\(directory.number)/control"
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(connection.number, $0, size) }
        }
        if result != 0 {
            if errno == ENOENT || errno == ECONNREFUSED {
                throw .wrongState("container \(configuration.name) (\(id)) is not running")
            }
            throw .system("reach", "the monitor of container \(configuration.name)", errno: errno)
        }
        var timeout = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(connection.number, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        return connection
    }
}
