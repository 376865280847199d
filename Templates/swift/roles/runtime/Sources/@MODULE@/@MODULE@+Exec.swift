import Glibc
import Objects
import PluginKit

// MARK: Exec, images, watches

extension @MODULE@ {
    func execSync(_ request: JSON, deadline: UInt64) throws -> JSON {
        var launch = try monitor.locked { try execLaunch(request) }
        let seconds = UInt64(min(max(request["timeoutSeconds"].integerValue ?? 0, 0), 86_400))
        let (output, error) = (try Processes.makePipe(), try Processes.makePipe())
        defer { for file in [output.reading, error.reading] { close(file) } }
        launch.streams = [-1, output.writing, error.writing]
        let result = Result { try launch.start() }
        for file in [output.writing, error.writing] { close(file) }
        let process = try result.get()
        var taken: [[UInt8]] = [[], []]
        var reader = StreamReader([output.reading, error.reading])
        let isInTime = reader.read(deadline: seconds == 0 ? 0 : monotonicNanoseconds() + seconds * 1_000_000_000) {
            if taken[$0].count < Self.execOutputLimit { taken[$0] += $1 }
        }
        if !isInTime { Processes.kill(process, SIGKILL) }
        let code = Processes.reap(process)
        guard isInTime else { throw PluginError.deadlineExceeded("\(launch.arguments[0]) did not end in time") }
        return [
            "exitCode": .integer(code), "stdout": .string(Base64.encode(taken[0])),
            "stderr": .string(Base64.encode(taken[1])),
        ]
    }

    /// What an exec runs: the command in the environment of its container, which runs. Under the lock.
    private func execLaunch(_ request: JSON) throws -> Launch {
        let container = try running(request).container
        return Launch(request["command"].arrayValue, environment: container.config["environment"])
    }

    func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        let streams = [standardInput, standardOutput, standardError]
        // They are ours from the moment of the call; the process has copies.
        defer { for stream in streams where stream >= 0 { close(stream) } }
        guard request["tty"].boolValue != true else { throw PluginError.notSupported("@NAME@ has no terminals") }
        return try monitor.locked {
            try checkActive()
            var launch = try execLaunch(request)
            launch.streams = streams
            let process = try launch.start()
            let handle = nextHandle()
            operations[handle] = process
            do {
                try follow { [self] in
                    Processes.awaitEnd(process)
                    let code = monitor.locked { () -> Int64 in
                        operations[handle] = nil  // From here on nobody kills it.
                        return Processes.reap(process)
                    }
                    completion(.success(["exitCode": .integer(code)]))
                }
            } catch {
                operations[handle] = nil
                Processes.kill(process, SIGKILL)
                _ = Processes.reap(process)
                throw error
            }
            return handle
        }
    }

    func execCancel(_ operation: UInt64) {
        monitor.locked { if let process = operations[operation] { Processes.kill(process, SIGKILL) } }
    }

    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 {
        try monitor.locked {
            try checkActive()
            let handle = nextHandle()
            watchers[handle] = handler
            return handle
        }
    }

    func watchCancel(_ watch: UInt64) { monitor.locked { watchers[watch] = nil } }

    private func image(_ reference: String) -> JSON {
        [
            "id": .string(reference), "repoTags": [.string(reference)], "repoDigests": [], "size": 0, "pinned": false,
        ]
    }

    func listImages(_ request: JSON, deadline: UInt64) -> JSON {
        ["images": .array(monitor.locked { images.sorted() }.map { image($0) })]
    }

    func imageStatus(_ request: JSON, deadline: UInt64) -> JSON {
        let reference = request["image"].stringValue ?? ""
        return ["image": monitor.locked { images.contains(reference) } ? image(reference) : .null]
    }

    /// There is nothing to fetch: the name is the image. So it completes at once.
    func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64 {
        let reference = try needed(request, "image")
        guard reference.utf8.count <= 512 else { throw PluginError.invalid("the image's name has more than 512 bytes") }
        let handle = try monitor.locked {
            try checkActive()
            images.insert(reference)
            return nextHandle()
        }
        completion(.success(["image": image(reference)]))
        return handle
    }

    /// All pulls have completed.
    func pullCancel(_ operation: UInt64) {}

    func removeImage(_ request: JSON, deadline: UInt64) throws -> JSON {
        let reference = request["image"].stringValue ?? ""
        try monitor.locked {
            if let user = containers.values.first(where: { $0.config["image"].stringValue == reference }) {
                throw PluginError.conflict("container \(user.id) uses the image \(reference)")
            }
            images.remove(reference)
        }
        return [:]
    }
}

/// What plain processes cannot do.
extension @MODULE@ {
    private func unsupported(_ what: String) -> PluginError { .notSupported("@NAME@ has no \(what)") }

    func updateContainer(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported("limits") }
    func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws { throw unsupported("terminals") }
    func containerStats(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported("statistics") }
    func imageFilesystem(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported("images on disk") }

    func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        for stream in [standardInput, standardOutput, standardError] where stream >= 0 { close(stream) }
        throw unsupported("streams to attach to")
    }

    func loadImage(_ request: JSON, archive: Int32, deadline: UInt64) throws -> JSON {
        if archive >= 0 { close(archive) }
        throw unsupported("archives of images")
    }
}
