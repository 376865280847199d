import Objects
import PluginKit

/// The paths of a node that are about its pods, with the parameters and the refusals of a kubelet: containerLogs, run, exec,
/// attach and portForward.
extension PodEndpoints {
    static var nodeRoutes: [JSON] {
        let node = "/api/v1/nodes/{node}/proxy"
        var routes: [JSON] = []
        for uid in ["", "/{uid}"] {
            let container = "{namespace}/{name}\(uid)/{container}"
            for action in ["exec", "attach"] {
                routes.append([
                    "methods": ["GET", "POST"], "path": .string("\(node)/\(action)/\(container)"),
                    "upgrade": "websocket", "subprotocols": channels,
                ])
            }
            routes.append([
                "methods": ["GET", "POST"], "path": .string("\(node)/portForward/{namespace}/{name}\(uid)"),
                "upgrade": "ports",
            ])
            routes.append(["methods": ["POST"], "path": .string("\(node)/run/\(container)"), "upgrade": "none"])
        }
        routes.append(["methods": ["GET"], "path": .string("\(node)/{rest...}"), "upgrade": "none"])
        return routes
    }

    /// Answers at a path of the node.
    func ofNode(_ request: JSON, _ path: String, _ client: PacketStream) throws -> JSON {
        let parameters = request["parameters"]
        guard let rest = parameters["rest"].stringValue else { return try ofPod(request, path, client) }
        let parts = rest.split(separator: "/").map(String.init)
        switch parts.first {
        case "logs": return try logFile(String(rest.dropFirst(4)), client)
        case "containerLogs" where parts.count == 4:
            return try containerLog(parts[1], parts[2], parts[3], request["query"], client)
        default: return try statistics.serve(rest, request["query"])
        }
    }

    private func ofPod(_ request: JSON, _ path: String, _ client: PacketStream) throws -> JSON {
        let parameters = request["parameters"]
        let namespace = parameters["namespace"].stringValue ?? ""
        guard let pod = worker.pod(namespace: namespace, name: parameters["name"].stringValue ?? "") else {
            throw EndpointError(code: 404, reason: "NotFound", message: "pod does not exist")
        }
        if let uid = parameters["uid"].stringValue, uid != pod.uid {
            throw EndpointError(code: 404, reason: "NotFound", message: "pod not found")
        }
        let name = parameters["container"].stringValue ?? ""
        switch path.split(separator: "/").dropFirst(5).first {
        case "portForward": return try forward(pod, request["connection"], client)
        case "run": return try run(pod, name, request["query"]["cmd"][0].stringValue ?? "")
        case let action:
            guard pod.container(named: name) != nil else {
                throw EndpointError(
                    code: 404, reason: "NotFound", message: "container not found (\"\(name)\")")
            }
            var request = request
            request["query"] = Self.streams(request["query"], container: name)
            return try session(pod, request, client, isExec: action == "exec")
        }
    }

    /// A kubelet's names of the streams, as those of the API.
    static func streams(_ query: JSON, container: String) -> JSON {
        var result: JSON = ["container": [.string(container)], "command": query["command"]]
        for (own, name) in [("input", "stdin"), ("output", "stdout"), ("error", "stderr"), ("tty", "tty")]
        where query[own].exists {
            result[name] = query[own]
        }
        return result
    }

    private func containerLog(
        _ namespace: String, _ name: String, _ container: String, _ query: JSON, _ client: PacketStream
    ) throws -> JSON {
        guard let pod = worker.pod(namespace: namespace, name: name) else {
            throw EndpointError(code: 404, reason: "NotFound", message: "pod \"\(name)\" does not exist")
        }
        guard pod.container(named: container) != nil else {
            throw EndpointError(
                code: 404, reason: "NotFound", message: "container \"\(container)\" not found in pod \"\(name)\"")
        }
        var query = query
        query["container"] = [.string(container)]
        // The parameter's former name.
        if let tail = query["tail"][0].stringValue, !tail.isEmpty {
            query["tailLines"] = tail == "all" ? [] : [.string(tail)]
        }
        return try log(pod, query, client)
    }

    /// Runs a command to its end, and answers with what it has written.
    private func run(_ pod: Pod, _ container: String, _ command: String) throws -> JSON {
        let found = worker.runtimeState.pod(pod.uid).containers.values
            .first { $0.name == container && $0.state == .running }
        guard let found else {
            throw EndpointError(
                code: 500, reason: "InternalError", message: "container not found (\"\(container)\")")
        }
        let words = command.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        let answer: JSON
        do {
            answer = try runtime.execSync(
                ["id": .string(found.id), "command": JSON(words)], deadline: WallClock.deadline(seconds: 120))
        } catch let error as PluginError {
            throw EndpointError(code: 500, reason: "InternalError", message: error.message)
        }
        let code = answer["exitCode"].integerValue ?? 0
        let (output, errors) = (Self.output(answer["stdout"]), Self.output(answer["stderr"]))
        guard code == 0 else {
            throw EndpointError(
                code: 500, reason: "InternalError",
                message: "command '\(command)' exited with \(code): \(String(decoding: errors, as: UTF8.self))")
        }
        return [
            "status": 200, "headers": ["Content-Type": "application/json"], "stream": false,
            "bodyBase64": .string(Base64.encode(output + errors)),
        ]
    }

    private static func output(_ text: JSON) -> [UInt8] { text.stringValue.flatMap { Base64.decode($0) } ?? [] }
}
