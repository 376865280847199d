import Containers
import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The plugin: containers made by an OCI runtime, runc or another, behind hostd.runtime/1.
public final class RuntimeOCIPlugin: Plugin {
    public static let description = PluginDescription(
        name: "runtime-oci", version: "0.1.0", summary: "Containers on this node, made by an OCI runtime such as runc",
        provides: ["hostd.runtime/1"], handover: .exclusive,
        // The OCI runtime is a program that is run to create and once more to start.
        costs: [
            HOSTD_RUNTIME_1: "status:10ms;run_sandbox:500ms;list_sandboxes:10ms;start_container:500ms;"
                + "list_containers:10ms;exec_resize:1ms"
        ],
        sharedOnly: "it makes containers, their mounts and control groups as root in hostd's own namespaces")

    public static let optionsSchema = """
        {"type":"object","additionalProperties":false,"properties":{
        "runtime":{"type":"string","minLength":1,"default":"runc",
        "description":"The OCI runtime: a name to look for in $PATH, or an absolute path."},
        \(RuntimeService.Options.imageProperties)}}
        """

    private struct Configuration {
        var options: RuntimeService.Options
        var runtime: String
    }

    private let host: Host
    private let provider = SwitchableRuntime()
    private let configuration = Mutex<Configuration?>(nil)
    private let table = ProvidedTable()

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        guard geteuid() == 0 else { throw PluginError.forbidden("containers need root: start hostd with sudo") }
        var options = RuntimeService.Options(configuration)
        options.podPrefix = "oci-pod"
        let runtime = configuration.options["runtime"].stringValue ?? "runc"
        self.configuration.withLock { $0 = Configuration(options: options, runtime: runtime) }
    }

    public func activate() throws {
        guard let configuration = configuration.withLock({ $0 }) else {
            throw PluginError.wrongState("runtime-oci was not configured")
        }
        let host = host
        let options = configuration.options
        let runtime = try OCIRuntime(
            program: try OCIRuntime.find(configuration.runtime, path: getenv("PATH").map { String(cString: $0) } ?? ""),
            stateDirectory: "\(options.directory)/state")
        let service = try RuntimeService(
            options, layout: try CgroupLayout.ofThisMachine(),
            log: { isWarning, message, fields in
                if isWarning { host.log.warning(message, fields) } else { host.log.info(message, fields) }
            }, makeEngine: { services throws(PluginError) in try OCIEngine(services, runtime) })
        provider.current.withLock { $0 = service }
    }

    public func deactivate() throws {
        let service = provider.current.withLock { current in
            defer { current = nil }
            return current
        }
        service?.close()
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_RUNTIME_1 ? table.once { RoleTable.runtime(provider) } : nil
    }
}
