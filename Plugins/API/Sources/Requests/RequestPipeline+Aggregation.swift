import Objects
import PluginKit

/// Requests that aggregated API servers answer: authenticated and authorized here, then carried on with the word of this
/// server for who asks.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/.
extension RequestPipeline {
    /// A request about a resource.
    func aggregate(
        _ request: APIRequest, _ path: RequestPath.ResourcePath, _ api: AggregatedAPI, _ respond: @escaping Responder
    ) throws(APIStatus) {
        // What the words of a refusal need to know.
        let resource = Resource(
            group: path.group, version: path.version, kind: "", plural: path.resource, singular: "",
            isNamespaced: !path.namespace.isEmpty, verbs: ["get"])
        let context = RequestContext(request: request, path: path, resource: resource)
        guard try isAuthorized(context, mayWait: false) else {
            return onAccessWorker(respond) { [self] () throws(APIStatus) in
                _ = try isAuthorized(context, mayWait: true)
                try carry(request, to: api, respond)
            }
        }
        try carry(request, to: api, respond)
    }

    /// The OpenAPI document of an aggregated API; false when the path is another's.
    func aggregateDocument(
        _ request: APIRequest, _ path: String, _ respond: @escaping Responder
    ) throws(APIStatus) -> Bool {
        let parts = path.split(separator: "/")
        guard request.method == .get, !request.isInternal, parts.count == 5,
            parts[..<3].elementsEqual(["openapi", "v3", "apis"]),
            let api = aggregated.find(group: String(parts[3]), version: String(parts[4]))
        else { return false }
        try carry(request, to: api, respond)
        return true
    }

    /// The OpenAPI documents of version 2 of aggregated APIs; those that cannot be read are left out. [blocking]
    func otherDocuments() -> [OpenAPIDocuments.Other] {
        aggregated.all.filter(\.knowledge.isAvailable).compactMap { api, _ in
            do {
                let document = try AggregatedServer(api: api, store: store, dialer: dialer).version2()
                aggregated.note(documentProblem: "", of: api)
                return document.map { ("/apis/\(api.apiVersion)", $0) }
            } catch {
                // Who asks for the document asks again and again: a problem is told once.
                if aggregated.note(documentProblem: "\(error)", of: api) {
                    host.log.warning(
                        "the OpenAPI document of version 2 of an APIService cannot be read",
                        ["name": .string(api.name), "reason": .string("\(error)")])
                }
                return nil
            }
        }
    }

    /// Carries an authorized request on.
    func carry(
        _ request: APIRequest, to api: AggregatedAPI, _ respond: @escaping Responder
    ) throws(APIStatus) {
        let knowledge = aggregated.knowledge(of: api)
        guard knowledge.isAvailable else {
            throw .unavailable("the API \(api.apiVersion) is not available: \(knowledge.reason)")
        }
        onDiallingWorker(respond) { [self] () throws(APIStatus) in
            guard let details = request.upgrade, !request.isInternal else {
                return respond(try answer(request, from: api))
            }
            let address: UpstreamAddress
            let security: UpstreamSecurity
            do {
                address = try api.address(store)
                security = try api.security()
            } catch let failure as AggregationFailure {
                throw .unavailable("the API \(api.apiVersion) is not available: \(failure.message)")
            } catch {
                throw .internalError("\(error)")
            }
            let forwarded = ProxyRequest(
                method: ExtensionRoutes.name(request.method), target: request.target, host: api.service.serverName,
                headers: ProxyRequest.forwarded(details.headers, peer: details.peer, path: request.rawPath)
                    + FrontProxy.headers(for: request.user), upgrade: details.protocol, body: request.body)
            let host = details.headers.first { $0.name == "host" }?.value ?? ""
            respond(
                try relay(
                    forwarded, ProxyResponse(prefix: "", authority: address.authority, requestHost: host), request,
                    to: address, security))
        }
    }

    /// The whole answer to a request from within the process. [blocking]
    private func answer(_ request: APIRequest, from api: AggregatedAPI) throws(APIStatus) -> HTTPResponse {
        let server = AggregatedServer(api: api, store: store, dialer: dialer)
        do {
            let answer = try server.call(
                ExtensionRoutes.name(request.method), request.target, body: request.body,
                contentType: request.patchType ?? "application/json")
            return HTTPResponse(
                status: answer.head.status, contentType: answer.head.values("content-type").first ?? "",
                body: .bytes(answer.body))
        } catch let failure as AggregationFailure {
            throw .unavailable("the API \(api.apiVersion) is not available: \(failure.message)")
        } catch let error as UpstreamError {
            throw .unreachable(error)
        } catch {
            throw .internalError("\(error)")
        }
    }
}
