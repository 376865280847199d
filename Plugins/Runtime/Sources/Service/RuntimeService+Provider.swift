import Glibc
import Objects
import PluginKit

extension RuntimeService: RuntimeProvider {
    func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        [
            "name": "hostd", "version": .string(RuntimePlugin.description.version), "ready": true, "reason": "",
            "cgroup": .string(cgroups.layout.mode.rawValue), "cgroupParent": .string(cgroups.parent.text),
            "snapshotter": "overlayfs",
            "features": [
                "deviceFilter": .bool(standardDevices.withLock { $0 != nil }), "recursiveReadOnlyMounts": true,
            ],
        ]
    }

    func runSandbox(_ request: JSON, deadline: UInt64) throws -> JSON { try runSandbox(request) }

    func stopSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try stopSandbox(request)
        return [:]
    }

    func removeSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try removeSandbox(request)
        return [:]
    }

    func listSandboxes(_ request: JSON, deadline: UInt64) throws -> JSON { listSandboxes(request) }
    func createContainer(_ request: JSON, deadline: UInt64) throws -> JSON { try createContainer(request) }
    func startContainer(_ request: JSON, deadline: UInt64) throws -> JSON { try startContainer(request) }

    func stopContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try stop(request, deadline: deadline)
        return [:]
    }

    func removeContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try removeContainer(request)
        return [:]
    }

    func listContainers(_ request: JSON, deadline: UInt64) throws -> JSON { listContainers(request) }

    func updateContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try updateContainer(request)
        return [:]
    }

    func reopenLog(_ request: JSON, deadline: UInt64) throws -> JSON {
        try reopenLog(request)
        return [:]
    }

    func execSync(_ request: JSON, deadline: UInt64) throws -> JSON { try runAndCollect(request, deadline: deadline) }

    func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        let streams = Self.take(standardInput, standardOutput, standardError)
        return try exec(
            request, request["tty"].boolValue == true ? [streams[0], nil, nil] : streams, completion: completion)
    }

    func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws {
        try resize(operation, width: width, height: height)
    }

    func execCancel(_ operation: UInt64) throws { cancel(operation) }

    func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        try attach(request, Self.take(standardInput, standardOutput, standardError), completion: completion)
    }

    /// Descriptors given away with a call are closed with their last use, whatever happens.
    private static func take(_ numbers: Int32...) -> [Descriptor?] {
        numbers.map { $0 < 0 ? nil : Descriptor(taking: $0) }
    }

    func containerStats(_ request: JSON, deadline: UInt64) throws -> JSON { try containerStats(request) }
    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 { events.subscribe(handler) }
    func watchCancel(_ watch: UInt64) throws { events.cancel(watch) }

    // MARK: Images

    func listImages(_ request: JSON, deadline: UInt64) throws -> JSON { ["images": .array(images.list().map(\.json))] }

    func imageStatus(_ request: JSON, deadline: UInt64) throws -> JSON {
        ["image": try images.find(try Self.identifier(request, "image"))?.json ?? .null]
    }

    func loadImage(_ request: JSON, archive: Int32, deadline: UInt64) throws -> JSON {
        guard archive >= 0 else { throw PluginError.invalid("no archive was handed over") }
        let loaded = try images.load(Descriptor(taking: archive))
        for image in loaded {
            log(false, "Image loaded.", ["image": .string(image.references.first?.description ?? image.id.description)])
        }
        return ["images": .array(loaded.map(\.json))]
    }

    func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64 {
        let image = try Self.identifier(request, "image")
        _ = try ImageReference(parsing: image)
        completion(
            .failure(
                .notSupported(
                    "\(image) is not on this node, and this hostd does not pull from registries yet: save the image to an archive "
                        + "(docker save, podman save, skopeo copy) and put it here with `hostd image load FILE`")))
        return 0
    }

    func pullCancel(_ operation: UInt64) throws {}

    func removeImage(_ request: JSON, deadline: UInt64) throws -> JSON {
        try images.remove(try Self.identifier(request, "image"))
        return [:]
    }

    func imageFilesystem(_ request: JSON, deadline: UInt64) throws -> JSON {
        var system = statvfs()
        if statvfs(options.directory, &system) != 0 {
            throw PluginError.system("measure the file system of", options.directory, errno: errno)
        }
        let unit = Int64(system.f_frsize)
        let used = images.list().reduce(Int64(0)) { $0 + $1.size }
        return [
            "path": .string(options.directory), "capacityBytes": .integer(Int64(system.f_blocks) * unit),
            "availableBytes": .integer(Int64(system.f_bavail) * unit), "usedBytes": .integer(used),
            "inodesUsed": .integer(Int64(system.f_files) - Int64(system.f_ffree)),
        ]
    }
}
