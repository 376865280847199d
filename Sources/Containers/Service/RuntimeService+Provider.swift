import Glibc
import Objects
import PluginKit

extension RuntimeService: RuntimeProvider {
    package func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        var status: JSON = [
            "ready": true, "reason": "", "cgroup": .string(cgroups.layout.mode.rawValue),
            "cgroupParent": .string(cgroups.parent.text), "snapshotter": "overlayfs",
        ]
        for (name, value) in engine.status { status[name] = value }
        return status
    }

    package func runSandbox(_ request: JSON, deadline: UInt64) throws -> JSON { try runSandbox(request) }

    package func stopSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try stopSandbox(request)
        return [:]
    }

    package func removeSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try removeSandbox(request)
        return [:]
    }

    package func listSandboxes(_ request: JSON, deadline: UInt64) throws -> JSON { listSandboxes(request) }
    package func createContainer(_ request: JSON, deadline: UInt64) throws -> JSON { try createContainer(request) }
    package func startContainer(_ request: JSON, deadline: UInt64) throws -> JSON { try startContainer(request) }

    package func stopContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try stop(request, deadline: deadline)
        return [:]
    }

    package func removeContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try removeContainer(request)
        return [:]
    }

    package func listContainers(_ request: JSON, deadline: UInt64) throws -> JSON { listContainers(request) }

    package func updateContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try updateContainer(request)
        return [:]
    }

    package func reopenLog(_ request: JSON, deadline: UInt64) throws -> JSON {
        try reopenLog(request)
        return [:]
    }

    package func execSync(_ request: JSON, deadline: UInt64) throws -> JSON {
        try runAndCollect(request, deadline: deadline)
    }

    package func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        let streams = Self.take(standardInput, standardOutput, standardError)
        return try exec(
            request, request["tty"].boolValue == true ? [streams[0], nil, nil] : streams, completion: completion)
    }

    package func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws {
        try resize(operation, width: width, height: height)
    }

    package func execCancel(_ operation: UInt64) throws { cancel(operation) }

    package func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        try attach(request, Self.take(standardInput, standardOutput, standardError), completion: completion)
    }

    /// Descriptors given away with a call are closed with their last use, whatever happens.
    private static func take(_ numbers: Int32...) -> [Descriptor?] {
        numbers.map { $0 < 0 ? nil : Descriptor(taking: $0) }
    }

    package func containerStats(_ request: JSON, deadline: UInt64) throws -> JSON { try containerStats(request) }
    package func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 { events.subscribe(handler) }
    package func watchCancel(_ watch: UInt64) throws { events.cancel(watch) }

    // MARK: Images

    package func listImages(_ request: JSON, deadline: UInt64) throws -> JSON {
        ["images": .array(images.list().map(\.json))]
    }

    package func imageStatus(_ request: JSON, deadline: UInt64) throws -> JSON {
        ["image": try images.find(try Self.identifier(request, "image"))?.json ?? .null]
    }

    package func loadImage(_ request: JSON, archive: Int32, deadline: UInt64) throws -> JSON {
        guard archive >= 0 else { throw PluginError.invalid("no archive was handed over") }
        let loaded = try images.load(Descriptor(taking: archive), deadline: deadline)
        for image in loaded {
            log(false, "Image loaded.", ["image": .string(image.references.first?.description ?? image.id.description)])
        }
        return ["images": .array(loaded.map(\.json))]
    }

    package func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64 {
        let image = try Self.identifier(request, "image")
        _ = try ImageReference(parsing: image)
        completion(
            .failure(
                .notSupported(
                    "\(image) is not on this node, and this hostd does not pull from registries yet: save the image to an archive "
                        + "(docker save, podman save, skopeo copy) and put it here with `hostd image load FILE`")))
        return 0
    }

    package func pullCancel(_ operation: UInt64) throws {}

    package func removeImage(_ request: JSON, deadline: UInt64) throws -> JSON {
        try images.remove(try Self.identifier(request, "image"))
        return [:]
    }

    package func imageFilesystem(_ request: JSON, deadline: UInt64) throws -> JSON {
        var system = statvfs()
        if statvfs(options.imageDirectory, &system) != 0 {
            throw PluginError.system("measure the file system of", options.imageDirectory, errno: errno)
        }
        let unit = Int64(system.f_frsize)
        let used = images.list().reduce(Int64(0)) { $0 + $1.size }
        return [
            "path": .string(options.imageDirectory), "capacityBytes": .integer(Int64(system.f_blocks) * unit),
            "availableBytes": .integer(Int64(system.f_bavail) * unit), "usedBytes": .integer(used),
            "inodesUsed": .integer(Int64(system.f_files) - Int64(system.f_ffree)),
        ]
    }
}
