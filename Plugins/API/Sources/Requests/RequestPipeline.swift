import Objects
import PluginAPI
import PluginKit

/// How a request is answered: once, from any thread.
typealias Responder = @Sendable (HTTPResponse) -> Void

/// The way of every request, from HTTPS and from within the process alike: find the resource, authorize, run the verb.
final class RequestPipeline: Sendable {
    let store: StoreClient
    let resources: ResourceTable
    let rules: any ObjectRules
    let authorizer: Authorizer
    let admission: Admission
    let namespaces: NamespaceCache
    let discovery: Discovery
    let extensions: ExtensionRoutes
    let tokens: TokenAuthority
    let bearerTokens: BearerTokens
    let workers: WorkerPool
    let health: Health
    let openAPI: OpenAPIDocuments
    let host: Host
    /// Nil where no audit log is kept.
    let audit: AuditLog?
    /// Nil where all requests run at once.
    let fairness: Fairness?
    let eventLines = EventLines()
    /// What all watches together may keep for their clients.
    let watchBudget: StreamBudget
    let customResources: CustomResources
    let dialer: UpstreamDialer
    /// Connections to other servers that wait for their next request.
    let upstreams: UpstreamPool
    /// What other servers answer for.
    let aggregated: AggregatedAPIs
    let unchangedApplies = UnchangedApplies()
    let usage: UsageMeter
    let requestMetrics: RequestMetrics
    private let deprecated: DeprecatedRequests
    /// Runs what never waits, such as another attempt of a write that met a conflict; apart from `workers`, whose threads
    /// may all be waiting for such attempts.
    let retries = WorkerPool(limit: 2)
    /// How often a write that names no revision is tried again on what others have written meanwhile: of many writers of one
    /// object, each round has one that wins.
    static let mostAttempts = 1000
    /// Runs requests that webhooks may be asked about, so that those that wait for one which hangs keep no others waiting.
    let asking = WorkerPool(limit: RequestPipeline.mostAsking)
    /// As many as that may wait; Kubernetes lets about as many requests run at once.
    static let mostAsking = 400
    /// Asks others who somebody is and what they may, so that requests that wait for such servers keep no others waiting.
    let access = WorkerPool(limit: 16)
    /// Connects to other servers for clients: one that does not answer keeps nobody else waiting.
    let dialling = WorkerPool(limit: 32)

    struct Parts {
        var store: StoreClient
        var resources: ResourceTable
        var rules: any ObjectRules
        var authorizer: Authorizer
        var admission: Admission
        var discovery: Discovery
        var extensions: ExtensionRoutes
        var bearerTokens: BearerTokens
        var workers: WorkerPool
        var health: Health
        var openAPI: OpenAPIDocuments
        var aggregated: AggregatedAPIs
        var host: Host
        var audit: AuditLog?
        var fairness: Fairness?
        /// Bytes that all watches together may keep for their clients.
        var watchBytes: Int
    }

    init(_ parts: Parts) {
        store = parts.store
        resources = parts.resources
        rules = parts.rules
        authorizer = parts.authorizer
        admission = parts.admission
        namespaces = NamespaceCache(store: parts.store)
        discovery = parts.discovery
        extensions = parts.extensions
        tokens = parts.bearerTokens.authority
        bearerTokens = parts.bearerTokens
        workers = parts.workers
        health = parts.health
        openAPI = parts.openAPI
        host = parts.host
        audit = parts.audit
        fairness = parts.fairness
        watchBudget = WatchMetrics.budget(limit: parts.watchBytes, parts.host)
        aggregated = parts.aggregated
        usage = UsageMeter(parts.extensions)
        deprecated = DeprecatedRequests(parts.host)
        requestMetrics = RequestMetrics(parts.host)
        dialer = UpstreamDialer(extensions: parts.extensions, workers: parts.workers)
        upstreams = UpstreamPool { [host = parts.host] delay, work in
            do throws(PluginError) {
                let timer = try host.timers().start(delay: delay, work)
                return { timer.cancel() }
            } catch {
                host.log.warning("connections to other servers are not kept", ["reason": .string("\(error)")])
                return nil
            }
        }
        customResources = CustomResources(
            registry: parts.resources.custom, table: parts.resources, store: parts.store, log: parts.host.log)
    }

    /// Lets what runs off the event loops finish. [blocking]
    func stop() {
        customResources.stop()
        workers.stop()
        asking.stop()
        retries.stop()
        access.stop()
        dialling.stop()
        upstreams.close()
    }

    /// Answers a request. Does not block but for work that `workers` take over.
    func handle(_ request: APIRequest, respond: @escaping Responder) {
        do throws(APIStatus) {
            try dispatch(request, respond)
        } catch {
            respond(.failure(error))
        }
    }

    private func dispatch(_ request: APIRequest, _ respond: @escaping Responder) throws(APIStatus) {
        // Only between the look at its head and now can it have ceased to be another server's.
        guard request.upgrade?.carriesBody != true || isProxied(request.path) else {
            throw .unavailable("the API that serves this path has just changed; try again")
        }
        try checkTimeout(request)
        switch request.path {
        case .resource(let path):
            if let api = aggregated.find(request.path) {
                return try aggregate(request, path, api, respond)
            }
            try handle(request, path, respond)
        case .other(let path): try handleOther(request, path, respond)
        }
    }

    /// The time that clients say they wait is theirs to watch; one that cannot be read is refused, as in Kubernetes.
    private func checkTimeout(_ request: APIRequest) throws(APIStatus) {
        guard let text = request.query["timeout"], !text.isEmpty, (try? GoDuration(parsing: text)) == nil,
            !RequestInfo(request).isLongRunning
        else { return }
        throw .badRequest("invalid timeout specified in the request URL - time: invalid duration \"\(text)\"")
    }

    private func handle(
        _ request: APIRequest, _ path: RequestPath.ResourcePath, _ respond: @escaping Responder
    ) throws(APIStatus) {
        // The server itself also reaches objects in versions that are not served any more.
        let found = resources.find(
            group: path.group, version: path.version, resource: path.resource,
            includesUnserved: request.isInternal)
        guard let resource = found else {
            guard path.resource.isEmpty || !resources.hasGroupVersion(path.group, path.version) else {
                throw .unknownPath
            }
            return try handleOther(request, request.rawPath, respond)
        }
        let context = RequestContext(request: request, path: path, resource: resource)
        request.exchange?.labels = RequestLabels(context)
        guard try isAuthorized(context, mayWait: false) else {
            return onAccessWorker(respond) { [self] () throws(APIStatus) in
                _ = try isAuthorized(context, mayWait: true)
                try proceed(context, respond)
            }
        }
        try proceed(context, respond)
    }

    /// Runs an authorized request here, or where it may wait.
    private func proceed(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard mustAsk(aboutConnection: context) else { return try go(on: context, respond) }
        onAskingWorker(respond) { [self] () throws(APIStatus) in
            let (admitted, warnings) = try admitConnection(context)
            let answer: Responder = { respond($0.warning(warnings)) }
            try go(on: admitted, warnings.isEmpty ? respond : answer)
        }
    }

    private func go(on context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        if isProxied(context.request.path) { return try proxy(context, respond) }
        // Admission asks webhooks, and the authorizers what a user may.
        guard context.request.method != .get, admission.mayWait(context.resource) || authorizer.mayWait else {
            return try start(context, respond)
        }
        onAskingWorker(respond) { [self] () throws(APIStatus) in try start(context, respond) }
    }

    /// Prepares what the verb of an authorized request needs.
    private func start(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        let resource = context.resource
        if let custom = resource.custom { try custom.prepare(store) }
        if resource.isDefinition, context.request.method != .get {
            return customResources.oneAtATime(respond) { [self] (respond) throws(APIStatus) in
                try run(context, respond)
            }
        }
        guard let custom = resource.custom else {
            guard let warning = resource.deprecation, !context.request.isInternal else {
                return try run(context, respond)
            }
            deprecated.record(context)
            return try run(context) { respond($0.warning([warning])) }
        }
        var answer = respond
        if let warning = custom.deprecationWarning {
            deprecated.record(context)
            answer = { respond($0.warning([warning])) }
        }
        if context.request.method != .get {
            let (entry, before) = (DefinitionWrites.Entry(custom, store, retries), answer)
            answer = { response in withExtendedLifetime(entry) { before(response) } }
        }
        let mustIndex = needsIndex(context, custom)
        // A webhook may have to be asked, or the objects to be indexed.
        guard mustIndex || custom.conversion != nil else { return try run(context, answer) }
        let finish = answer
        run(on: custom.conversion == nil ? workers : asking, finish) { [self] () throws(APIStatus) in
            if mustIndex { try index(resource, custom) }
            try run(context, finish)
        }
    }

    /// Runs the verb of an authorized request; a method that is not served there is told which are.
    private func run(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        do throws(APIStatus) {
            try runVerb(context, respond)
        } catch {
            var error = error
            if error.code == 405 { error.allowedMethods = context.servedMethods }
            throw error
        }
    }

    private func runVerb(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        let resource = context.resource
        if !context.path.subresource.isEmpty { return try handleSubresource(context, respond) }
        guard resource.isNamespaced || context.path.namespace.isEmpty else { throw .unknownPath }
        if resource.isVirtual { return try handleReview(context, respond) }
        if resource.isMeasured { return try measured(context, respond) }
        if resource.qualified == ComponentStatuses.resource { return try componentStatuses(context, respond) }
        switch (context.request.method, context.path.name.isEmpty) {
        case (.get, let isCollection):
            let asksWatch = context.query.flag("watch")
            if asksWatch || context.path.isWatch { return try watch(context, respond) }
            if isCollection { try list(context, respond) } else { try get(context, respond) }
        case (.post, true) where !context.spansNamespaces: try create(context, respond)
        case (.put, false): try update(context, respond)
        case (.patch(let type), false): try patch(context, type: type, respond)
        case (.delete, false): try delete(context, respond)
        case (.delete, true) where !context.spansNamespaces: try deleteCollection(context, respond)
        default: throw .methodNotAllowed
        }
    }

    /// Whether a request may be; false when others have to be asked and may not.
    /// - Throws: the refusal.
    func isAuthorized(_ context: RequestContext, mayWait: Bool) throws(APIStatus) -> Bool {
        if context.request.isInternal || (context.request.user.isMaster && context.request.audit == nil) { return true }
        return try isAllowed(context.request, context.attributes, context.resource, mayWait: mayWait)
    }

    func isAllowed(
        _ request: APIRequest, _ wanted: Authorizer.Attributes, _ resource: Resource?, mayWait: Bool
    ) throws(APIStatus) -> Bool {
        switch authorizer.decide(request.user, wanted, mayWait: mayWait) {
        case .allowed(let reason):
            request.audit?.decided("allow", reason)
            return true
        case .mustWait where !mayWait: return false
        case .mustWait: throw authorizer.refusal(request.user, wanted, resource)
        case .denied(let reason), .noOpinion(let reason):
            request.audit?.decided("forbid", reason)
            throw authorizer.refusal(request.user, wanted, resource, reason: reason)
        }
    }

    /// Runs blocking work off the event loops.
    func onWorker(_ respond: @escaping Responder, _ work: @escaping @Sendable () throws(APIStatus) -> Void) {
        run(on: workers, respond, work)
    }

    /// The same where webhooks may be asked.
    private func onAskingWorker(
        _ respond: @escaping Responder, _ work: @escaping @Sendable () throws(APIStatus) -> Void
    ) {
        run(on: asking, respond, work)
    }

    /// The same where others are asked who somebody is or what they may.
    func onAccessWorker(_ respond: @escaping Responder, _ work: @escaping @Sendable () throws(APIStatus) -> Void) {
        run(on: access, respond, work)
    }

    /// The same where other servers are connected to.
    func onDiallingWorker(_ respond: @escaping Responder, _ work: @escaping @Sendable () throws(APIStatus) -> Void) {
        run(on: dialling, respond, work)
    }

    /// Tries again off the store's threads. `work` must not wait, but for webhooks of the resource.
    func onRetry(
        _ resource: Resource, _ respond: @escaping Responder, _ work: @escaping @Sendable () throws(APIStatus) -> Void
    ) {
        let waits = resource.custom?.conversion != nil || admission.mayWait(resource) || authorizer.mayWait
        run(on: waits ? asking : retries, respond, work)
    }

    private func run(
        on pool: WorkerPool, _ respond: @escaping Responder, _ work: @escaping @Sendable () throws(APIStatus) -> Void
    ) {
        let isTaken = pool.run(dropped: { respond(.failure(.unavailable("the server is stopping"))) }) {
            do throws(APIStatus) {
                try work()
            } catch {
                respond(.failure(error))
            }
        }
        if !isTaken {
            respond(
                .failure(
                    .tooManyRequests("too many requests wait already, please try again later", retryAfterSeconds: 1)))
        }
    }
}

extension HTTPResponse {
    static func failure(_ status: APIStatus) -> HTTPResponse {
        var response = HTTPResponse(status: status.code, body: .bytes(status.json.serialized() + [0x0A]))
        if status.code == 401 { response.headers.append(("WWW-Authenticate", "Bearer")) }
        if !status.allowedMethods.isEmpty {
            response.headers.append(("Allow", status.allowedMethods.joined(separator: ", ")))
        }
        if status.retryAfterSeconds > 0 { response.headers.append(("Retry-After", String(status.retryAfterSeconds))) }
        return response.warning(status.warnings)
    }

    static func json(_ status: Int, _ json: JSON) -> HTTPResponse {
        HTTPResponse(status: status, body: .bytes(json.serialized() + [0x0A]))
    }

    static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(status: status, contentType: "text/plain; charset=utf-8", body: .bytes(Array(text.utf8)))
    }
}

extension APIStatus {
    /// The same of a write, whose key is right: what the store does not take is too large for it.
    init(write error: PluginError, _ resource: Resource, _ name: String) {
        self =
            error.code == HOSTD_ERROR_INVALID_ARGUMENT
            ? APIStatus(code: 500, reason: "", message: "etcdserver: request is too large")
            : APIStatus(error, resource, name)
    }

    /// A failure of the store as the client sees it.
    init(_ error: PluginError, _ resource: Resource, _ name: String) {
        switch error.code {
        case HOSTD_ERROR_NOT_FOUND: self = .notFound(resource, name)
        case HOSTD_ERROR_ALREADY_EXISTS: self = .alreadyExists(resource, name)
        case HOSTD_ERROR_CONFLICT: self = .conflict(resource, name)
        case HOSTD_ERROR_FORBIDDEN: self = .forbidden(resource, name, error.message)
        case HOSTD_ERROR_COMPACTED:
            self = .expired("The resourceVersion for the provided list is too old.")
        case HOSTD_ERROR_INVALID_ARGUMENT: self = .badRequest(error.message)
        case HOSTD_ERROR_UNAVAILABLE, HOSTD_ERROR_WRONG_STATE, HOSTD_ERROR_CANCELLED: self = .unavailable(error.message)
        case HOSTD_ERROR_RESOURCE_EXHAUSTED: self = .tooManyRequests(error.message, retryAfterSeconds: 1)
        case HOSTD_ERROR_DEADLINE_EXCEEDED: self = .timeout(error.message)
        case HOSTD_ERROR_NO_SPACE:
            self = APIStatus(
                code: 507, reason: "InsufficientStorage", message: "the store's disk is full: \(error.message)")
        default: self = .internalError(error.message)
        }
    }
}
