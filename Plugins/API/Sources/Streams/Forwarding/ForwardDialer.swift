import CEpoll
import Glibc
import Objects
import PluginKit

/// Opens connections to the ports of a pod through the extension that serves its path: one packet socket for each.
final class ForwardDialer: Sendable {
    private let route: ExtensionRoutes.Route
    private let description: JSON
    private let workers: WorkerPool

    init(route: ExtensionRoutes.Route, description: JSON, workers: WorkerPool) {
        self.route = route
        self.description = description
        self.workers = workers
    }

    /// Whether the pod is there and can be connected to: the extension's refusal otherwise, as an answer to the client.
    /// Blocks.
    func check() throws(APIStatus) -> HTTPResponse? {
        let (head, descriptor) = try route.open(description, body: [])
        close(descriptor)
        let response = try route.plainResponse(head)
        return response.status < 300 ? nil : response
    }

    /// Connects on a worker; `completion` gets the socket, which is then its own, or words for the client. On any thread.
    func dial(port: UInt16, _ completion: @escaping @Sendable (Result<Int32, APIStatus>) -> Void) {
        let isTaken = workers.run { [self] in completion(Result { () throws(APIStatus) in try connect(port: port) }) }
        if !isTaken {
            completion(.failure(.tooManyRequests("too many requests wait already", retryAfterSeconds: 1)))
        }
    }

    /// Connects; the socket is the caller's. Blocks.
    /// - Parameter address: One of the pod's own; nil for its loopback.
    func connect(port: UInt16, address: String? = nil) throws(APIStatus) -> Int32 {
        var request = description
        request["connection"] = ["port": .integer(Int64(port))]
        if let address { request["connection"]["address"] = .string(address) }
        let (head, descriptor) = try route.open(request, body: [])
        if head["stream"].boolValue == true, head["status"].integerValue ?? 200 < 300 { return descriptor }
        close(descriptor)
        guard case .bytes(let body) = try route.plainResponse(head).body else { throw .internalError("no answer") }
        // A Status says it in its message; any other text is for people as it is.
        let message = (try? JSON(parsing: body))?["message"].stringValue
        throw APIStatus(
            code: 502, reason: "BadGateway", message: message ?? String(decoding: body, as: UTF8.self))
    }
}
