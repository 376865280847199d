import Objects
import PluginKit
import Synchronization

/// A port of its own at which a node's paths are served as a kubelet's are (10250), beside `nodes/NAME/proxy` of the API. Nothing
/// is made for it before a client comes. A port that another program has is tried again every five seconds.
final class NodePort: Sendable {
    /// What a plugin that is a node says beside its routes: "nodePort": {"node", "address", "port"}.
    struct Place: Equatable, Sendable {
        var node: String
        var address: SocketAddress

        init(node: String, address: SocketAddress) {
            self.node = node
            self.address = address
        }

        /// Nil where no port is wanted.
        init?(_ json: JSON) {
            guard let node = json["node"].stringValue, !node.isEmpty,
                let port = json["port"].integerValue.flatMap(UInt16.init(exactly:)), port > 0
            else { return nil }
            self.init(
                node: node, address: SocketAddress(host: json["address"].stringValue ?? "0.0.0.0", port: port))
        }
    }

    static let retryDelay: UInt64 = 5_000_000_000

    let place: Place
    private let server: HTTPServer
    private let host: Host
    private let workers: WorkerPool
    private let front: NodeFront
    private let certificate: NodeCertificate

    private enum State {
        case closed
        /// The port is another program's; the timer tries again.
        case waiting(Timer?)
        case open(HTTPListener)
        case ended
    }
    private let state = Mutex(State.closed)

    init(_ place: Place, server: HTTPServer, pipeline: RequestPipeline, authority: CertificateAuthority) {
        self.place = place
        self.server = server
        host = pipeline.host
        workers = pipeline.workers
        front = NodeFront(pipeline: pipeline, node: place.node)
        let store = pipeline.store
        certificate = NodeCertificate(node: place.node, authority: authority) {
            try store.object("nodes//\(place.node)")?["status"]["addresses"] ?? .null
        }
    }

    /// Listens, now or as soon as the port is free.
    func open() {
        let fields: JSONObject = ["address": .string(place.address.description), "node": .string(place.node)]
        state.withLock { state in
            let isFirst: Bool
            switch state {
            case .closed: isFirst = true
            case .waiting: isFirst = false
            case .open, .ended: return
            }
            do throws(HTTPServerError) {
                let listener = try server.listen(on: place.address) { [weak self, server] descriptor in
                    guard let self else { return server.refuse(descriptor) }
                    accepted(descriptor)
                }
                state = .open(listener)
                host.log.info("serving the node's own paths", fields)
            } catch {
                state = .waiting(retry())
                guard isFirst else { return }
                var fields = fields
                fields["reason"] = .string(error.cause)
                host.log.error(
                    "the node's own paths are not served at its port, which is tried again; the option port of the plugin node "
                        + "chooses another one", fields)
            }
        }
    }

    private func retry() -> Timer? {
        do {
            return try host.timers().start(delay: Self.retryDelay) { [weak self] in self?.open() }
        } catch {
            host.log.error("a node's port is not tried again", ["reason": .string("\(error)")])
            return nil
        }
    }

    /// Where clients are heard; nil while they are not.
    var port: UInt16? { state.withLock { if case .open(let listener) = $0 { listener.port } else { nil } } }

    func close() {
        let old = state.withLock { state in
            defer { state = .ended }
            return state
        }
        switch old {
        case .open(let listener): server.close(listener)
        case .waiting(let timer): timer?.cancel()
        case .closed, .ended: break
        }
    }

    /// A client. Its connection waits for the certificate where that has to be made or looked at.
    private func accepted(_ descriptor: Int32) {
        if let context = certificate.current() {
            return server.serve(descriptor, context: context, handler: front)
        }
        let isTaken = workers.run { [self] in
            do {
                server.serve(descriptor, context: try certificate.make(), handler: front)
            } catch {
                server.refuse(descriptor)
                host.log.error("a node has no certificate for its port", ["reason": .string("\(error)")])
            }
        }
        if !isTaken { server.refuse(descriptor) }
    }
}
