import Objects
import PluginAPI

/// Role hostd.runtime/1 in Swift; the messages are described in hostd/roles/runtime.h. Slots may be called from any
/// thread, several at once. File descriptors given to `exec` and `attach` are the provider's to close, also when it throws.
public protocol RuntimeProvider: AnyObject, Sendable {
    /// {} → {name, version, ready, reason, cgroup: "v1"|"v2"|"hybrid", cgroupParent, snapshotter, features: {…}}
    func status(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {config: SandboxConfig} → {sandbox: Sandbox}. Namespaces and cgroup exist; no address yet. [<=10ms]
    func runSandbox(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id} → {}. Kills what still runs in it. [blocking]
    func stopSandbox(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id} → {}. Removes its containers too. [blocking]
    func removeSandbox(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id?, podUID?} → {sandboxes: [Sandbox]}
    func listSandboxes(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {sandboxID, config: ContainerConfig, sandboxConfig?: SandboxConfig} → {id}. NOT_FOUND names a missing image. [blocking]
    func createContainer(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id} → {container: Container}. A command that cannot be executed is an error that names it. [<=50ms]
    func startContainer(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id, timeoutSeconds} → {}: stop signal, wait, SIGKILL. [blocking]
    func stopContainer(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id} → {}. Kills it when it runs. [blocking]
    func removeContainer(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id?, sandboxID?} → {containers: [Container]}
    func listContainers(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id, resources: Resources} → {}
    func updateContainer(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id} → {}. After the caller has renamed the log file.
    func reopenLog(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id, command: […], timeoutSeconds?} → {exitCode, stdout (base64), stderr (base64)}; output is bounded at 16 MiB. [blocking]
    func execSync(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {id, command: […], tty?, user?}. Standard input, output and error are given away, -1 where absent; with `tty`
    /// standard_output is ignored and standard_input is the caller's end of a stream that carries the terminal both ways.
    /// Completes with {exitCode} when the process has ended. `operation` is for resize and cancel.
    func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64
    /// Sets the size of the terminal of an exec or attach operation.
    func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws
    /// Ends the process of an exec (SIGKILL), or detaches an attach. Idempotent; the completion still follows once.
    func execCancel(_ operation: UInt64) throws
    /// {id, tty?}. As exec, to the container's own first process; completes when it exits or the streams close.
    func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64
    /// {id?, sandboxID?} → {stats: [{id, timestamp, cpuUsageNanoseconds, memoryUsageBytes, memoryWorkingSetBytes, memoryRSSBytes, pids, writableLayerBytes}]}
    func containerStats(_ request: JSON, deadline: UInt64) throws -> JSON
    /// Reports {type: "created"|"started"|"exited"|"removed"|"oom", containerID, sandboxID, container: Container}.
    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64
    /// When it returns, the sink will not run again. Idempotent.
    func watchCancel(_ watch: UInt64) throws
    /// {} → {images: [Image]}
    func listImages(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {image} → {image: Image or null}
    func imageStatus(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {} and an open OCI archive or docker-archive (tar, also gzip or zstd) → {images: [Image]}. All or nothing. [blocking]
    func loadImage(_ request: JSON, archive: Int32, deadline: UInt64) throws -> JSON
    /// {image, authentication?: {username, password, serverAddress, identityToken}, platform?} completes with {image: Image}.
    func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64
    /// Cancels a pull. Idempotent; the completion still follows once.
    func pullCancel(_ operation: UInt64) throws
    /// {image} → {}. CONFLICT while a container uses it. Idempotent. [blocking]
    func removeImage(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {} → {path, capacityBytes, availableBytes, usedBytes, inodesUsed}
    func imageFilesystem(_ request: JSON, deadline: UInt64) throws -> JSON
}

extension RoleTable {
    /// The C table of a provider of hostd.runtime/1. It keeps the provider alive until `release`:
    /// make it once per plugin instance.
    public static func runtime(_ implementation: any RuntimeProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_runtime_1.self, id: HOSTD_RUNTIME_1, slots: HOSTD_RUNTIME_1_SLOTS,
            box: ProviderBox<any RuntimeProvider>(implementation))
        table.pointee.status = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.status(request, deadline: deadline)
            }
        }
        table.pointee.run_sandbox = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.runSandbox(request, deadline: deadline)
            }
        }
        table.pointee.stop_sandbox = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.stopSandbox(request, deadline: deadline)
            }
        }
        table.pointee.remove_sandbox = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.removeSandbox(request, deadline: deadline)
            }
        }
        table.pointee.list_sandboxes = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.listSandboxes(request, deadline: deadline)
            }
        }
        table.pointee.create_container = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.createContainer(request, deadline: deadline)
            }
        }
        table.pointee.start_container = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.startContainer(request, deadline: deadline)
            }
        }
        table.pointee.stop_container = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.stopContainer(request, deadline: deadline)
            }
        }
        table.pointee.remove_container = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.removeContainer(request, deadline: deadline)
            }
        }
        table.pointee.list_containers = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.listContainers(request, deadline: deadline)
            }
        }
        table.pointee.update_container = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.updateContainer(request, deadline: deadline)
            }
        }
        table.pointee.reopen_log = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.reopenLog(request, deadline: deadline)
            }
        }
        table.pointee.exec_sync = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.execSync(request, deadline: deadline)
            }
        }
        table.pointee.exec = { this, data, size, input, output, errorOutput, completion, context, operation, error in
            answering(error) {
                let request = try parseRequest(borrowedBytes(data, size), closing: input, output, errorOutput)
                let target = CompletionTarget(completion: completion, context: context)
                operation.pointee = try provider(of: this, as: (any RuntimeProvider).self).exec(
                    request, standardInput: input, standardOutput: output, standardError: errorOutput,
                    completion: { target.complete($0) })
            }
        }
        table.pointee.exec_resize = { this, operation, width, height, error in
            answering(error) {
                try provider(of: this, as: (any RuntimeProvider).self)
                    .execResize(operation, width: width, height: height)
            }
        }
        table.pointee.exec_cancel = { this, operation, error in
            answering(error) { try provider(of: this, as: (any RuntimeProvider).self).execCancel(operation) }
        }
        table.pointee.attach = { this, data, size, input, output, errorOutput, completion, context, operation, error in
            answering(error) {
                let request = try parseRequest(borrowedBytes(data, size), closing: input, output, errorOutput)
                let target = CompletionTarget(completion: completion, context: context)
                operation.pointee = try provider(of: this, as: (any RuntimeProvider).self).attach(
                    request, standardInput: input, standardOutput: output, standardError: errorOutput,
                    completion: { target.complete($0) })
            }
        }
        table.pointee.container_stats = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.containerStats(request, deadline: deadline)
            }
        }
        table.pointee.watch = { this, sink, context, handle, error in
            answering(error) {
                let target = SinkTarget(sink: sink, context: context)
                handle.pointee = try provider(of: this, as: (any RuntimeProvider).self).watch { target.send($0) }
            }
        }
        table.pointee.watch_cancel = { this, handle, error in
            answering(error) { try provider(of: this, as: (any RuntimeProvider).self).watchCancel(handle) }
        }
        table.pointee.list_images = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.listImages(request, deadline: deadline)
            }
        }
        table.pointee.image_status = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.imageStatus(request, deadline: deadline)
            }
        }
        table.pointee.load_image = { this, deadline, data, size, archive, response, error in
            answering(error) {
                let request = try parseRequest(borrowedBytes(data, size), closing: archive)
                let answer = try provider(of: this, as: (any RuntimeProvider).self)
                    .loadImage(request, archive: archive, deadline: deadline)
                response.pointee = hostd_buffer(copying: answer)
            }
        }
        table.pointee.pull_image = { this, data, size, completion, context, operation, error in
            answering(error) {
                let request = try parseRequest(borrowedBytes(data, size))
                let target = CompletionTarget(completion: completion, context: context)
                operation.pointee = try provider(of: this, as: (any RuntimeProvider).self)
                    .pullImage(request) { target.complete($0) }
            }
        }
        table.pointee.pull_cancel = { this, operation, error in
            answering(error) { try provider(of: this, as: (any RuntimeProvider).self).pullCancel(operation) }
        }
        table.pointee.remove_image = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.removeImage(request, deadline: deadline)
            }
        }
        table.pointee.image_filesystem = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any RuntimeProvider, request) in
                try it.imageFilesystem(request, deadline: deadline)
            }
        }
        return finish(table)
    }
}

/// The consumer's side of RuntimeProvider: each call goes through the host to whoever provides the role at that moment.
public final class RuntimeClient: RuntimeProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_runtime_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    public init(_ table: UnsafePointer<hostd_runtime_1>) { self.table = table }

    public convenience init(_ host: Host) throws(PluginError) {
        self.init(try host.table(HOSTD_RUNTIME_1, as: hostd_runtime_1.self))
    }

    /// One named provider of the role, where several plugins provide it.
    public convenience init(_ host: Host, plugin: String) throws(PluginError) {
        self.init(try host.roles().provider(of: HOSTD_RUNTIME_1, plugin: plugin, as: hostd_runtime_1.self))
    }

    public func status(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.status, this, request, deadline)
    }
    public func runSandbox(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.run_sandbox, this, request, deadline)
    }
    public func stopSandbox(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.stop_sandbox, this, request, deadline)
    }
    public func removeSandbox(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.remove_sandbox, this, request, deadline)
    }
    public func listSandboxes(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.list_sandboxes, this, request, deadline)
    }
    public func createContainer(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.create_container, this, request, deadline)
    }
    public func startContainer(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.start_container, this, request, deadline)
    }
    public func stopContainer(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.stop_container, this, request, deadline)
    }
    public func removeContainer(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.remove_container, this, request, deadline)
    }
    public func listContainers(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.list_containers, this, request, deadline)
    }
    public func updateContainer(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.update_container, this, request, deadline)
    }
    public func reopenLog(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.reopen_log, this, request, deadline)
    }
    public func execSync(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.exec_sync, this, request, deadline)
    }
    public func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        var operation: UInt64 = 0
        try CompletionBox.call(completion) { callback, context, error in
            lend(request.serialized()) {
                table.pointee.exec(
                    this, $0, $1, standardInput, standardOutput, standardError, callback, context, &operation, error)
            }
        }
        return operation
    }
    public func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws {
        try checked { table.pointee.exec_resize(this, operation, width, height, $0) }
    }
    public func execCancel(_ operation: UInt64) throws {
        try checked { table.pointee.exec_cancel(this, operation, $0) }
    }
    public func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        var operation: UInt64 = 0
        try CompletionBox.call(completion) { callback, context, error in
            lend(request.serialized()) {
                table.pointee.attach(
                    this, $0, $1, standardInput, standardOutput, standardError, callback, context, &operation, error)
            }
        }
        return operation
    }
    public func containerStats(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.container_stats, this, request, deadline)
    }
    /// As `subscribe`, by handle: the handler stays registered until `watchCancel`.
    public func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 {
        let box = Unmanaged.passRetained(
            SinkBox { message in
                if case .data(let bytes) = message, let json = try? JSON(parsing: bytes) { handler(json) }
            })
        var handle: UInt64 = 0
        try checked { table.pointee.watch(this, SinkBox.sink, box.toOpaque(), &handle, $0) }
        return handle
    }
    public func watchCancel(_ watch: UInt64) throws {
        try checked { table.pointee.watch_cancel(this, watch, $0) }
    }
    public func listImages(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.list_images, this, request, deadline)
    }
    public func imageStatus(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.image_status, this, request, deadline)
    }
    public func loadImage(_ request: JSON, archive: Int32, deadline: UInt64 = 0) throws -> JSON {
        let buffer = try checkedBuffer { out, error in
            lend(request.serialized()) { table.pointee.load_image(this, deadline, $0, $1, archive, out, error) }
        }
        return try buffer.json()
    }
    public func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64 {
        var operation: UInt64 = 0
        try CompletionBox.call(completion) { callback, context, error in
            lend(request.serialized()) { table.pointee.pull_image(this, $0, $1, callback, context, &operation, error) }
        }
        return operation
    }
    public func pullCancel(_ operation: UInt64) throws {
        try checked { table.pointee.pull_cancel(this, operation, $0) }
    }
    public func removeImage(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.remove_image, this, request, deadline)
    }
    public func imageFilesystem(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.image_filesystem, this, request, deadline)
    }
}
