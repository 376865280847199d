import Glibc
import Objects
import PluginAPI
import PluginKit

/// HTTP paths of pods and of the node behind the API front: exec, attach, log, forwarded ports, and the node's own.
final class PodEndpoints: APIExtensionProvider {
    let worker: PodWorker
    let runtime: any RuntimeProvider
    private let exits: ExitSignals
    let statistics: NodeStatistics
    /// Threads that carry streams, apart from those that stop containers.
    private let sessions: OperationPool
    private let live = LiveStreams()

    init(
        worker: PodWorker, runtime: any RuntimeProvider, exits: ExitSignals, statistics: NodeStatistics,
        sessions: OperationPool
    ) {
        self.worker = worker
        self.runtime = runtime
        self.exits = exits
        self.statistics = statistics
        self.sessions = sessions
    }

    /// Ends all streams.
    func stop() { live.stop() }

    static var channels: JSON {
        ["v5.channel.k8s.io", "v4.channel.k8s.io", .string(StreamChannel.firstVersion)]
    }

    static var routes: JSON {
        let pod = "/api/v1/namespaces/{namespace}/pods/{name}"
        let ofPods: [JSON] = [
            [
                "methods": ["GET", "POST"], "path": .string("\(pod)/exec"), "upgrade": "websocket",
                "subprotocols": channels,
            ],
            [
                "methods": ["GET", "POST"], "path": .string("\(pod)/attach"), "upgrade": "websocket",
                "subprotocols": channels,
            ],
            ["methods": ["GET", "POST"], "path": .string("\(pod)/portforward"), "upgrade": "ports"],
            ["methods": ["GET"], "path": .string("\(pod)/log"), "upgrade": "none"],
        ]
        return ["routes": .array(ofPods + nodeRoutes)]
    }

    func routes() throws -> JSON { Self.routes }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        let client = PacketStream(stream)
        let parameters = request["parameters"]
        let path = (request["path"].stringValue ?? "").split(separator: "?").first.map(String.init) ?? ""
        do {
            if path.hasPrefix("/api/v1/nodes/") {
                return try ofNode(request, path, client)
            }
            let name = parameters["name"].stringValue ?? ""
            guard let pod = worker.pod(namespace: parameters["namespace"].stringValue ?? "", name: name) else {
                throw EndpointError(code: 404, reason: "NotFound", message: "pod does not exist")
            }
            if path.hasSuffix("/log") { return try log(pod, request["query"], client) }
            if path.hasSuffix("/portforward") { return try forward(pod, request["connection"], client) }
            return try session(pod, request, client, isExec: path.hasSuffix("/exec"))
        } catch let error as EndpointError {
            return error.response
        } catch let error as PluginError where error.code == HOSTD_ERROR_NOT_SUPPORTED {
            return EndpointError(code: 501, reason: "NotImplemented", message: "\(error)").response
        }
    }

    // MARK: - Log

    func logFile(_ path: String, _ client: PacketStream) throws -> JSON {
        switch try NodeLogFiles(root: worker.paths.allLogs).find(path) {
        case .directory(let page):
            return [
                "status": 200, "headers": ["Content-Type": "text/html; charset=utf-8"], "stream": false,
                "body": .string(page),
            ]
        case .file(let path):
            let stream = Handover(client)
            sessions.run { [worker, live] in
                live.carry(stream.value) {
                    do {
                        try NodeLogFiles.send(path, to: stream.value)
                    } catch is StreamClosed {
                        return
                    } catch {
                        worker.services.log.warning("a log could not be read", ["error": .string("\(error)")])
                    }
                }
            }
            return ["status": 200, "headers": ["Content-Type": "text/plain; charset=utf-8"], "stream": true]
        }
    }

    func log(_ pod: Pod, _ query: JSON, _ client: PacketStream) throws -> JSON {
        let container = try chosen(pod, query)
        let options: LogOptions
        do {
            options = try LogOptions(query: query, now: Timestamp.now())
        } catch {
            throw EndpointError(code: 400, reason: "BadRequest", message: "\(error)")
        }
        let instance = try instance(pod, container, previous: options.previous)
        let exit = options.follow ? try exits.signal(for: instance.id, state: worker.runtimeState) : nil
        let path =
            instance.logPath.isEmpty
            ? worker.paths.logFile(pod, container: container.name, attempt: instance.attempt) : instance.logPath
        let sender = Handover((LogSender(path: path, options: options, stream: client, exit: exit), client))
        sessions.run { [worker, live] in
            live.carry(sender.value.1) {
                do {
                    try sender.value.0.run()
                } catch is StreamClosed {
                    return
                } catch {
                    worker.services.log.warning(
                        "a log could not be read", NodeLog.fields(pod, ["error": .string("\(error)")]))
                }
            }
        }
        return ["status": 200, "headers": ["Content-Type": "text/plain"], "stream": true]
    }

    private func instance(_ pod: Pod, _ container: PodContainer, previous: Bool) throws -> ObservedContainer {
        let all = worker.runtimeState.pod(pod.uid).containers.values
            .filter { $0.name == container.name && $0.state != .created }.sorted { $0.attempt > $1.attempt }
        if previous {
            let ended = all.first.map { $0.state == .exited && waits(pod, container) ? all[0...] : all[1...] } ?? []
            guard let found = ended.first else {
                throw EndpointError(
                    code: 400, reason: "BadRequest",
                    message: "previous terminated container \"\(container.name)\" in pod \"\(pod.name)\" not found")
            }
            return found
        }
        if let found = all.first { return found }
        let reason = waitingReason(pod, container) ?? "ContainerCreating"
        throw EndpointError(
            code: 400, reason: "BadRequest",
            message: "container \"\(container.name)\" in pod \"\(pod.name)\" is waiting to start: \(reason)")
    }

    private func waitingReason(_ pod: Pod, _ container: PodContainer) -> String? {
        let statuses = pod.status["containerStatuses"].arrayValue + pod.status["initContainerStatuses"].arrayValue
        let status = statuses.first { $0["name"].stringValue == container.name } ?? .null
        return status["state"]["waiting"]["reason"].stringValue
    }

    private func waits(_ pod: Pod, _ container: PodContainer) -> Bool { waitingReason(pod, container) != nil }

    private func chosen(_ pod: Pod, _ query: JSON) throws -> PodContainer {
        if let name = query["container"][0].stringValue, !name.isEmpty {
            guard let container = pod.container(named: name) else {
                throw EndpointError(
                    code: 400, reason: "BadRequest", message: "container \(name) is not valid for pod \(pod.name)")
            }
            return container
        }
        let annotation = pod.object["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].stringValue
        if let name = annotation, let container = pod.container(named: name) { return container }
        let regular = pod.regularContainers
        guard regular.count == 1, let only = regular.first else {
            let names = regular.map(\.name).joined(separator: " ")
            throw EndpointError(
                code: 400, reason: "BadRequest",
                message: "a container name must be specified for pod \(pod.name), choose one of: [\(names)]")
        }
        return only
    }

    // MARK: - Exec and attach

    func session(_ pod: Pod, _ request: JSON, _ client: PacketStream, isExec: Bool) throws -> JSON {
        let query = request["query"]
        let container = try chosen(pod, query)
        let running = worker.runtimeState.pod(pod.uid).containers.values
            .first { $0.name == container.name && $0.state == .running }
        guard let running else {
            throw EndpointError(
                code: 400, reason: "BadRequest",
                message: "container \"\(container.name)\" of pod \"\(pod.name)\" does not run")
        }
        func flag(_ name: String) -> Bool { query.isFlagSet(name) }
        let command = query["command"].arrayValue.compactMap(\.stringValue)
        if isExec, command.isEmpty {
            throw EndpointError(
                code: 400, reason: "BadRequest", message: "you must specify at least 1 command for exec")
        }
        let options = ExecSession.Options(
            containerID: running.id, command: isExec ? command : nil, stdin: flag("stdin"), stdout: flag("stdout"),
            stderr: flag("stderr"), tty: isExec ? flag("tty") : container.object["tty"].boolValue ?? false,
            isFirstVersion: (request["subprotocol"].stringValue ?? StreamChannel.firstVersion)
                == StreamChannel.firstVersion)
        guard options.stdin || options.stdout || options.stderr else {
            throw EndpointError(
                code: 400, reason: "BadRequest", message: "you must specify at least 1 of stdin, stdout, stderr")
        }
        let session = Handover((try ExecSession(options: options, runtime: runtime, client: client), client))
        do {
            try session.value.0.start()
        } catch {
            // The connection is upgraded by now: the failure goes where the client looks for the result.
            if let packet = ExecSession.statusPacket(.failure(PluginError(error)), options) {
                try client.sendPacket(packet)
            }
            return ["status": 101, "stream": true]
        }
        sessions.run { [live] in live.carry(session.value.1) { session.value.0.run() } }
        return ["status": 101, "stream": true]
    }
}

extension PodEndpoints {
    // MARK: - Forwarded ports

    /// Without a connection, whether the pod can be connected to; with one, connects to its port.
    func forward(_ pod: Pod, _ connection: JSON, _ client: PacketStream) throws -> JSON {
        let ready = worker.runtimeState.pod(pod.uid).sandboxes.values.filter(\.isReady).max { $0.attempt < $1.attempt }
        guard let sandbox = ready else {
            throw EndpointError(
                code: 400, reason: "BadRequest",
                message: "unable to forward port because pod is not running. Current status=\(pod.phase)")
        }
        guard connection.exists else { return ["status": 200, "stream": false] }
        guard let port = connection["port"].integerValue.flatMap(UInt16.init(exactly:)), port > 0 else {
            throw EndpointError(code: 400, reason: "BadRequest", message: "the port must be 1 to 65535")
        }
        let descriptor: Int32
        do {
            descriptor = try PodDialer.connect(
                to: connection["address"].stringValue, port: port, networkNamespace: sandbox.networkNamespace)
        } catch {
            throw EndpointError(code: 502, reason: "BadGateway", message: "\(error)")
        }
        let session = Handover((ForwardSession(client: client, pod: descriptor), client))
        sessions.run { [live] in live.carry(session.value.1) { session.value.0.run() } }
        return ["status": 200, "stream": true]
    }
}

/// Hands an object over to another thread, which is then the only one that uses it.
private struct Handover<Value>: @unchecked Sendable {
    // SAFETY: the giver keeps no use of the value after the hand-over.
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// A refusal, as HTTP status and Kubernetes Status.
struct EndpointError: Error {
    var code: Int
    var reason: String
    var message: String

    var response: JSON {
        let status: JSON = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
            "reason": .string(reason), "code": .integer(Int64(code)),
        ]
        return [
            "status": .integer(Int64(code)), "headers": ["Content-Type": "application/json"], "stream": false,
            "body": .string(status.serializedString()),
        ]
    }
}
