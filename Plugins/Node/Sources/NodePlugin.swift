import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The node: runs the pods that are bound to it, and tells the API how they are. What a kubelet and the watching half of
/// a kube-proxy do.
public final class NodePlugin: Plugin {
    public static let description = PluginDescription(
        name: "node", version: "0.1.0", summary: "Runs the pods of this host and feeds the routing of services",
        provides: [HOSTD_API_EXTENSION_1], requires: [HOSTD_API_1, HOSTD_STORE_1, HOSTD_RUNTIME_1, HOSTD_NETWORK_1],
        optional: [HOSTD_VOLUME_1, HOSTD_DEVICE_1], handover: .exclusive,
        sharedOnly: "it writes pods' volumes and reads their logs in the data directory, which is hostd's own")
    public static let optionsSchema = """
        {"type": "object", "additionalProperties": false, "properties": {
          "port": {"type": "integer", "description": "TCP port at which the node's own paths (/metrics, /pods, /stats/summary and others) are served over HTTPS, as a kubelet's are; 0: none.", "default": 10250, "minimum": 0, "maximum": 65535},
          "address": {"type": "string", "description": "The address of that port; 0.0.0.0: all addresses of the host.", "default": "0.0.0.0", "minLength": 2},
          "workers": {"type": "integer", "description": "Pods that are worked on at once.", "default": 16, "minimum": 1, "maximum": 256},
          "routingHealthPort": {"type": "integer", "description": "TCP port, at all addresses, at which /healthz and /livez say whether services are routed on this node; 0: none.", "default": 10256, "minimum": 0, "maximum": 65535},
          "routingStatusPort": {"type": "integer", "description": "TCP port, at the loopback address, at which /proxyMode says by what services are routed; 0: none.", "default": 10249, "minimum": 0, "maximum": 65535},
          "allowedUnsafeSysctls": {"type": "array", "items": {"type": "string", "minLength": 1}, "default": [], "description": "Kernel parameters of their namespaces that pods may set beside the safe ones: dotted names, or prefixes that end with *, such as kernel.msg* and net.core.somaxconn."}
        }}
        """

    private enum State {
        case created
        case configured(PluginConfiguration)
        case active(PluginConfiguration, Node)
    }

    private let host: Host
    private let state = Mutex(State.created)
    /// Answers exec, attach and log requests with whatever node is active.
    private let endpoints = EndpointSwitch()
    private let table = Mutex<UInt>(0)

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        state.withLock { $0 = .configured(configuration) }
        endpoints.serve(at: NodePort(configuration))
    }

    public func activate() throws {
        guard case .configured(let configuration) = state.withLock({ $0 }) else {
            throw PluginError.wrongState("node: activate without configure")
        }
        let node = try Node(host, configuration)
        do {
            try node.start()
        } catch {
            node.stop(endsWorkloads: false)
            throw error
        }
        endpoints.set(node.endpoints)
        state.withLock { $0 = .active(configuration, node) }
    }

    public func deactivate() throws {
        guard case .active(let configuration, let node) = state.withLock({ $0 }) else { return }
        endpoints.set(nil)
        var endsWorkloads = false
        do {
            endsWorkloads = try host.environment().stopsWorkloads()
        } catch {
            host.log.warning("the host does not say whether containers are to be ended; they go on: \(error)")
        }
        node.stop(endsWorkloads: endsWorkloads)
        state.withLock { $0 = .configured(configuration) }
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard id == HOSTD_API_EXTENSION_1 else { return nil }
        return table.withLock { address in
            if address == 0 { address = UInt(bitPattern: RoleTable.apiExtension(endpoints)) }
            return UnsafePointer(bitPattern: address)
        }
    }
}

/// The provider behind the plugin's one table: the active node's endpoints, or a refusal while there is none.
private final class EndpointSwitch: APIExtensionProvider {
    private let active = Mutex<PodEndpoints?>(nil)

    private let port = Mutex<NodePort?>(nil)

    func serve(at port: NodePort) { self.port.withLock { $0 = port } }
    func set(_ endpoints: PodEndpoints?) { active.withLock { $0 = endpoints } }

    func routes() throws -> JSON {
        var routes = PodEndpoints.routes
        if let port = port.withLock({ $0 }), port.port != 0 { routes["nodePort"] = port.json }
        return routes
    }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        guard let endpoints = active.withLock({ $0 }) else {
            _ = PacketStream(stream)  // Closes it.
            throw PluginError.unavailable("the node is not active")
        }
        return try endpoints.serve(request, body: body, stream: stream, deadline: deadline)
    }
}
