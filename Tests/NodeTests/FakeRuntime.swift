import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

@testable import Node

/// A runtime in memory: containers start at once and end when the test says so.
final class FakeRuntime: PodRuntime {
    struct State {
        var sandboxes: [String: JSON] = [:]
        var containers: [String: JSON] = [:]
        var images: Set<String> = ["busybox:1"]
        var next = 0
        var calls: [String] = []
        var configurations: [String: JSON] = [:]
        var handler: (@Sendable (JSON) -> Void)?
        /// Commands by their first word that cannot be started.
        var failingCommands: Set<String> = []
        var pulls: [(request: JSON, completion: Completion)] = []
        var execExitCode: Int64 = 0
        var mountsImages = true
        var hasUserNamespaces = false
        /// Of every container, bytes.
        var usedMemory: Int64 = 0
    }
    let state = Mutex(State())
    /// What its ids begin with.
    private let prefix: String

    init(_ prefix: String = "") { self.prefix = prefix }

    private func note(_ call: String) { state.withLock { $0.calls.append(call) } }
    var calls: [String] { state.withLock { $0.calls } }

    func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        [
            "name": "fake", "version": "1", "ready": true,
            "features": state.withLock {
                ["imageVolumes": .bool($0.mountsImages), "userNamespaces": .bool($0.hasUserNamespaces)]
            },
        ]
    }

    func runSandbox(_ request: JSON, handler: String, deadline: UInt64) throws -> JSON {
        note("handler \(handler)")
        return try runSandbox(request, deadline: deadline)
    }

    func runSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        note("runSandbox")
        let config = request["config"]
        return state.withLock { state in
            state.next += 1
            let sandbox: JSON = [
                "id": .string("\(prefix)s\(state.next)"), "podUID": config["podUID"], "name": config["name"],
                "namespace": config["namespace"], "attempt": config["attempt"], "state": "ready",
                "createdAt": "2026-01-01T00:00:00Z", "networkNamespace": "/run/netns/x",
            ]
            state.sandboxes["\(prefix)s\(state.next)"] = sandbox
            return ["sandbox": sandbox]
        }
    }

    func stopSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        note("stopSandbox")
        return [:]
    }

    func removeSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        note("removeSandbox")
        state.withLock { state in
            let id = request["id"].stringValue ?? ""
            state.sandboxes[id] = nil
            state.containers = state.containers.filter { $0.value["sandboxID"].stringValue != id }
        }
        return [:]
    }

    func listSandboxes(_ request: JSON, deadline: UInt64) throws -> JSON {
        state.withLock { ["sandboxes": .array(Array($0.sandboxes.values))] }
    }

    func createContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let config = request["config"]
        note("create \(config["name"].stringValue ?? "")")
        let (id, handler, container) = state.withLock { state in
            state.next += 1
            let id = "\(prefix)c\(state.next)"
            state.configurations[id] = config
            state.containers[id] = [
                "id": .string(id), "sandboxID": request["sandboxID"], "name": config["name"],
                "attempt": config["attempt"], "state": "created",
                "createdAt": .string(Timestamp.now().formatted(fraction: .nano)),
                "image": config["image"], "imageID": "sha256:1", "annotations": config["annotations"],
            ]
            return (id, state.handler, state.containers[id] ?? .null)
        }
        handler?([
            "type": "created", "containerID": container["id"], "sandboxID": container["sandboxID"],
            "container": container,
        ])
        return ["id": .string(id)]
    }

    func startContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let id = request["id"].stringValue ?? ""
        return try state.withLock { state in
            let name = state.containers[id]?["name"].stringValue ?? ""
            state.calls.append("start \(name)")
            let command = state.configurations[id]?["command"][0].stringValue ?? ""
            if state.failingCommands.contains(command) { throw PluginError.invalid("exec: \"\(command)\": not found") }
            state.containers[id]?["state"] = "running"
            state.containers[id]?["startedAt"] = .string(Timestamp.now().formatted(fraction: .nano))
            return ["container": state.containers[id] ?? .null]
        }
    }

    /// Lets a container end, as if by itself.
    func end(_ name: String, exitCode: Int64, reason: String = "") {
        let (handler, container) = state.withLock { state -> ((@Sendable (JSON) -> Void)?, JSON) in
            let running = state.containers.values.first {
                $0["name"].stringValue == name && $0["state"].stringValue == "running"
            }
            guard let id = running?["id"].stringValue else { return (nil, .null) }
            state.containers[id]?["state"] = "exited"
            state.containers[id]?["exitCode"] = .integer(exitCode)
            state.containers[id]?["reason"] = .string(reason)
            state.containers[id]?["finishedAt"] = .string(Timestamp.now().formatted(fraction: .nano))
            return (state.handler, state.containers[id] ?? .null)
        }
        handler?([
            "type": "exited", "containerID": container["id"], "sandboxID": container["sandboxID"],
            "container": container,
        ])
    }

    func stopContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let name = state.withLock { $0.containers[request["id"].stringValue ?? ""]?["name"].stringValue ?? "" }
        note("stop \(name)")
        end(name, exitCode: 143)
        return [:]
    }

    func removeContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        note("remove")
        state.withLock { _ = $0.containers.removeValue(forKey: request["id"].stringValue ?? "") }
        return [:]
    }

    func listContainers(_ request: JSON, deadline: UInt64) throws -> JSON {
        state.withLock { state in
            let all = state.containers.values.filter { request["id"].isNull || $0["id"] == request["id"] }
            return ["containers": .array(Array(all))]
        }
    }

    func execSync(_ request: JSON, deadline: UInt64) throws -> JSON {
        note("exec \(request["command"][0].stringValue ?? "")")
        return ["exitCode": .integer(state.withLock { $0.execExitCode }), "stdout": "", "stderr": ""]
    }

    /// Echoes its input to its output, writes "err" to its error, and ends with the code in the command.
    func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        let code = Int64(request["command"][1].stringValue ?? "0") ?? 0
        NodeThread(name: "exec").start {
            var buffer = [UInt8](repeating: 0, count: 4096)
            if standardError >= 0 { _ = write(standardError, "err", 3) }
            while standardInput >= 0 {
                let count = read(standardInput, &buffer, buffer.count)
                if count <= 0 { break }
                _ = write(standardOutput >= 0 ? standardOutput : standardInput, buffer, count)
            }
            for descriptor in [standardInput, standardOutput, standardError] where descriptor >= 0 { close(descriptor) }
            completion(.success(["exitCode": .integer(code)]))
        }
        return 7
    }

    func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws { note("resize \(width)x\(height)") }
    func execCancel(_ operation: UInt64) throws { note("cancel") }
    func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        try exec(
            request, standardInput: standardInput, standardOutput: standardOutput, standardError: standardError,
            completion: completion)
    }
    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 {
        state.withLock { $0.handler = handler }
        return 1
    }
    func watchCancel(_ watch: UInt64) throws { state.withLock { $0.handler = nil } }
    func imageStatus(_ request: JSON, deadline: UInt64) throws -> JSON {
        let name = request["image"].stringValue ?? ""
        if name.contains("//") { throw PluginError.invalid("\"\(name)\" is not an image reference") }
        return [
            "image": state.withLock { $0.images.contains(name) }
                ? ["id": "sha256:1", "repoTags": [.string(name)]] : .null
        ]
    }
    func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64 {
        note("pull \(request["image"].stringValue ?? "")")
        state.withLock { $0.pulls.append((request, completion)) }
        return 9
    }
    func listImages(_ request: JSON, deadline: UInt64) throws -> JSON { ["images": []] }
    func updateContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        note("update \(request["id"].stringValue ?? "") \(request["resources"].serializedString())")
        return [:]
    }
    func reopenLog(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
    func containerStats(_ request: JSON, deadline: UInt64) throws -> JSON {
        ["stats": [["memoryWorkingSetBytes": .integer(state.withLock { $0.usedMemory })]]]
    }
    func loadImage(_ request: JSON, archive: Int32, deadline: UInt64) throws -> JSON { [:] }
    func pullCancel(_ operation: UInt64) throws {}
    func removeImage(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
    func imageFilesystem(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
}

/// A network in memory.
final class FakeNetwork: NetworkProvider {
    let calls = Mutex<[String]>([])
    let services = Mutex<[JSON]>([])
    let failsServices = Mutex(false)
    func status(_ request: JSON, deadline: UInt64) throws -> JSON { ["ready": true, "nodeAddresses": ["10.244.0.1"]] }
    func attach(_ request: JSON, deadline: UInt64) throws -> JSON {
        calls.withLock { $0.append("attach") }
        return ["ips": [["address": "10.244.0.5/24", "gateway": "10.244.0.1"]]]
    }
    func check(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
    func detach(_ request: JSON, deadline: UInt64) throws -> JSON {
        calls.withLock { $0.append("detach") }
        return [:]
    }
    func collectGarbage(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
    func servicesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
        if failsServices.withLock({ $0 }) { throw PluginError.unavailable("the network fails") }
        services.withLock { $0.append(request) }
        return [:]
    }
    func policiesSet(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
}

/// An API that remembers what it was asked, and answers status patches with the patched pod.
final class FakeAPI: APIProvider {
    struct Request {
        var method: String
        var path: String
        var body: JSON
    }
    let requests = Mutex<[Request]>([])
    let pods = Mutex<[String: JSON]>([:])

    func request(method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?) throws -> (
        code: Int32, body: OwnedBuffer
    ) {
        let json = body.isEmpty ? JSON.null : try JSON(parsing: body)
        requests.withLock { $0.append(Request(method: method, path: path, body: json)) }
        var answer: JSON = [:]
        if path.hasSuffix("/token") {
            answer = ["status": ["token": "abc", "expirationTimestamp": "2100-01-01T00:00:00Z"]]
        } else if path.hasSuffix("/status"), let name = path.split(separator: "/").dropLast().last {
            answer = pods.withLock { pods in
                pods[String(name)]?["status"] = json["status"]
                return pods[String(name)] ?? [:]
            }
        }
        return (200, OwnedBuffer(taking: hostd_buffer(copying: answer)))
    }
    func requestAsync(
        method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?,
        completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    ) throws { completion(.failure(.notSupported("not used"))) }

    var statuses: [JSON] { requests.withLock { $0.filter { $0.path.hasSuffix("/status") }.map { $0.body["status"] } } }
}
