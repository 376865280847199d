import Objects
import PluginKit

/// Paths that are no resources: discovery, version, health, metrics, OpenAPI.
extension RequestPipeline {
    private static let open: Set = ["/healthz", "/livez", "/readyz", "/version", "/version/"]

    func handleOther(_ request: APIRequest, _ path: String, _ respond: @escaping Responder) throws(APIStatus) {
        if !request.isInternal, !Self.open.contains(path), !request.user.isMaster {
            let wanted = Authorizer.Attributes(verb: Self.verb(request.method), path: path)
            guard try isAllowed(request, wanted, nil, mayWait: false) else {
                return onAccessWorker(respond) { [self] () throws(APIStatus) in
                    _ = try isAllowed(request, wanted, nil, mayWait: true)
                    try answerOther(request, path, respond)
                }
            }
        }
        try answerOther(request, path, respond)
    }

    private func answerOther(
        _ request: APIRequest, _ path: String, _ respond: @escaping Responder
    ) throws(APIStatus) {
        if let api = aggregated.find(request.path) { return try carry(request, to: api, respond) }
        if try aggregateDocument(request, path, respond) { return }
        if try extensions.serve(request, self, respond) { return }
        guard request.method == .get else {
            throw path.hasPrefix("/api") ? .unknownPath : .methodNotAllowed
        }
        if path == "/metrics" {
            // Objects are counted in the store, which may be another machine's.
            return onWorker(respond) { [self] () throws(APIStatus) in respond(try metrics()) }
        }
        guard path.hasPrefix("/openapi/") else { return respond(try document(request, path)) }
        onWorker(respond) { [self] () throws(APIStatus) in
            guard
                let response = openAPI.response(
                    path, request.query, request.accept, ifNoneMatch: request.ifNoneMatch, others: otherDocuments)
            else { throw .unknownPath }
            respond(response)
        }
    }

    private static func verb(_ method: APIRequest.Method) -> String {
        switch method {
        case .get: "get"
        case .post: "post"
        case .put: "put"
        case .patch: "patch"
        case .delete: "delete"
        case .other("HEAD"): "get"
        case .other(let name): name.lowercased()
        }
    }

    private func document(_ request: APIRequest, _ path: String) throws(APIStatus) -> HTTPResponse {
        switch path {
        case "/version", "/version/": return .json(200, ServerVersion.json)
        case "/openid/v1/jwks", "/openid/v1/jwks/":
            return HTTPResponse(
                status: 200, contentType: "application/jwk-set+json", body: .bytes(tokens.keySet.serialized()))
        case "/.well-known/openid-configuration", "/.well-known/openid-configuration/":
            return .json(200, tokens.configuration)
        case "/": return .json(200, ["paths": .array(Self.paths(discovery).map { .string($0) })])
        default: break
        }
        if let response = health.response(path, request.query) { return response }
        if path.hasPrefix(FlowDump.path), let table = fairness?.table,
            let text = FlowDump.text(path, request.query, table)
        {
            return .text(200, text)
        }
        let form = try ResponseForm.choose(request.accept, protobuf: true)
        if let response = discovery.response(path, form, ifNoneMatch: request.ifNoneMatch) { return response }
        throw .unknownPath
    }

    private static func paths(_ discovery: Discovery) -> [String] {
        var paths = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis"]
        for group in discovery.groups {
            paths.append("/apis/\(group.name)")
            paths += group.versions.map { "/apis/\(group.name)/\($0)" }
        }
        return paths + [
            "/healthz", "/livez", "/livez/ping", "/livez/store", "/metrics", "/openapi/v2", "/openapi/v3",
            "/openid/v1/jwks", "/readyz", "/version",
        ]
    }
}

/// What /version tells: the Kubernetes API that is spoken, and the host.
enum ServerVersion {
    static let json: JSON = [
        "major": "1", "minor": "36", "gitVersion": "v1.36.0+hostd", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "swift", "platform": .string(platform),
    ]

    #if arch(arm64)
        private static let platform = "linux/arm64"
    #else
        private static let platform = "linux/amd64"
    #endif
}
