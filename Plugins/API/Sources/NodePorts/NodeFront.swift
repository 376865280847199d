import Objects
import PluginKit

/// Answers at a node's own port: the paths that the API serves below `nodes/NAME/proxy`, without that prefix, to whom a client
/// certificate or a token names and who may see them. Refusals are plain text, as a kubelet's are.
final class NodeFront: HTTPHandler {
    private let pipeline: RequestPipeline
    private let node: String
    private let authenticator: Authenticator

    init(pipeline: RequestPipeline, node: String) {
        self.pipeline = pipeline
        self.node = node
        // Nobody is anonymous here.
        authenticator = Authenticator(
            tokens: pipeline.bearerTokens, authorizer: pipeline.authorizer,
            anonymous: Replaceable(AnonymousAccess(paths: [])))
    }

    func handle(_ exchange: HTTPExchange) {
        let workers = pipeline.workers
        let respond: Responder = { HTTPFront.send(Self.inWords($0), exchange, workers) }
        let peer = exchange.peerAddress ?? ""
        if serve(exchange, peer, mayWait: false, respond) { return }
        pipeline.onAccessWorker(respond) { [self] () throws(APIStatus) in
            _ = serve(exchange, peer, mayWait: true, respond)
        }
    }

    /// Answers, unless others have to be asked and that may not be waited for: then the result is false.
    private func serve(
        _ exchange: HTTPExchange, _ peer: String, mayWait: Bool, _ respond: @escaping Responder
    ) -> Bool {
        do throws(APIStatus) {
            guard let user = try authenticator.user(of: exchange, mayWait: mayWait) else { return false }
            let request = try request(exchange, user, peer)
            guard case .resource(let path) = request.path else { throw .unknownPath }
            guard try isAllowed(user, exchange.head.method, path.rest, mayWait: mayWait) else { return false }
            if try !pipeline.extensions.serve(request, pipeline, respond) { throw .unknownPath }
        } catch {
            respond(.failure(error))
        }
        return true
    }

    /// Whether the user may; false when others have to be asked and may not.
    /// - Throws: the refusal.
    private func isAllowed(
        _ user: UserInfo, _ method: String, _ path: String, mayWait: Bool
    ) throws(APIStatus) -> Bool {
        let verb = NodeAccess.verb(method)
        let subresources = NodeAccess.subresources(path)
        for subresource in subresources {
            let wanted = NodeAccess.attributes(verb, subresource, node: node)
            switch pipeline.authorizer.decide(user, wanted, mayWait: mayWait) {
            case .allowed: return true
            case .mustWait where !mayWait: return false
            case .mustWait, .denied, .noOpinion: continue
            }
        }
        let list = subresources.joined(separator: " ")
        throw APIStatus(
            code: 403, reason: "Forbidden",
            message: "Forbidden (user=\(user.name), verb=\(verb), resource=nodes, subresource(s)=[\(list)])\n")
    }

    private func request(
        _ exchange: HTTPExchange, _ user: UserInfo, _ peer: String
    ) throws(APIStatus) -> APIRequest {
        let head = exchange.head
        let target = head.target
        guard target.utf8.first == UInt8(ascii: "/") else { throw .badRequest("the target of a request is a path") }
        let contentType = head.header("content-type")
        var request = try APIRequest(
            method: .init(head.method, contentType: contentType), target: "/api/v1/nodes/\(node)/proxy\(target)",
            accept: head.header("accept"), contentType: contentType, body: exchange.body, user: user, isInternal: false)
        request.loop = exchange.loop
        request.exchange = exchange
        request.upgrade = HTTPFront.upgrade(exchange, peer: peer)
        return request
    }

    /// A Status as the words that it says.
    static func inWords(_ response: HTTPResponse) -> HTTPResponse {
        guard response.status >= 400, response.contentType.hasPrefix("application/json"),
            case .bytes(let body) = response.body, let status = try? JSON(parsing: body), status.kind == "Status"
        else { return response }
        var text = HTTPResponse.text(response.status, status["message"].stringValue ?? "")
        text.headers = response.headers
        switch response.status {
        case 404 where status["reason"].stringValue == "NotFound" && status["message"].stringValue == unknown:
            text.body = .bytes(Array("404: Page Not Found".utf8))
        case 405:
            text.body = .bytes(Array("Method Not Allowed".utf8))
            text.headers.append(("Allow", "GET"))
        default: break
        }
        return text
    }

    private static let unknown = APIStatus.unknownPath.message

    func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }
}
