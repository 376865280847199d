import Objects
import PluginKit
import Synchronization

/// The ports of all nodes that plugins are.
final class NodePorts: Sendable {
    private let server: HTTPServer
    private let pipeline: RequestPipeline
    private let authority: CertificateAuthority
    private let ports = Mutex<[String: NodePort]>([:])

    init(server: HTTPServer, pipeline: RequestPipeline, authority: CertificateAuthority) {
        self.server = server
        self.pipeline = pipeline
        self.authority = authority
    }

    /// Takes in what a plugin says of its port, in place of what it said before.
    func update(plugin: String, _ routes: JSON) {
        let place = NodePort.Place(routes["nodePort"])
        let (old, new) = ports.withLock { ports -> (NodePort?, NodePort?) in
            let old = ports[plugin]
            guard old?.place != place else { return (nil, nil) }
            let new = place.map { NodePort($0, server: server, pipeline: pipeline, authority: authority) }
            ports[plugin] = new
            return (old, new)
        }
        old?.close()
        new?.open()
    }

    func remove(plugin: String) { ports.withLock { $0.removeValue(forKey: plugin) }?.close() }

    func stop() {
        let all = ports.withLock { ports in
            defer { ports = [:] }
            return ports.values
        }
        for port in all { port.close() }
    }
}
