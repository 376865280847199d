import Containers
import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The plugin: hostd's own container runtime behind hostd.runtime/1.
public final class RuntimePlugin: Plugin {
    public static let description = PluginDescription(
        name: "runtime", version: "0.1.0", summary: "Images, pod sandboxes and containers on this node",
        provides: ["hostd.runtime/1"], handover: .exclusive,
        sharedOnly: "it makes containers, their mounts and control groups as root in hostd's own namespaces")

    public static let optionsSchema = """
        {"type":"object","additionalProperties":false,"properties":{\(RuntimeService.Options.imageProperties)}}
        """

    private let host: Host
    private let provider = SwitchableRuntime()
    private let options = Mutex<RuntimeService.Options?>(nil)
    private let table = ProvidedTable()

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        guard geteuid() == 0 else { throw PluginError.forbidden("containers need root: start hostd with sudo") }
        let options = RuntimeService.Options(configuration)
        self.options.withLock { $0 = options }
    }

    public func activate() throws {
        guard let options = options.withLock({ $0 }) else { throw PluginError.wrongState("runtime was not configured") }
        let host = host
        let service = try RuntimeService(
            options, layout: try CgroupLayout.ofThisMachine(),
            log: { isWarning, message, fields in
                if isWarning { host.log.warning(message, fields) } else { host.log.info(message, fields) }
            }, makeEngine: { services throws(PluginError) in try DirectEngine(services) })
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
