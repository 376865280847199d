import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// All that runs while the plugin is active.
final class APIService: Sendable {
    let pipeline: RequestPipeline
    private let host: Host
    private let settings: APISettings
    private let server: HTTPServer
    private let nodePorts: NodePorts
    private let credentials: PKIDirectory.Contents
    private let informers: [Informer]
    private let nodes: NodeGraph
    private let authentication: LiveAuthentication
    /// Nil where no file says who decides.
    private let authorization: LiveAuthorization?
    /// Nil without priority and fairness.
    private let flows: FlowObjectsKeeper?
    private let typeChecks: PolicyTypeChecks
    private let aggregation: Aggregation
    private let roleAggregation: RoleAggregation
    private let bootstrapTokens: BootstrapTokenKeeper
    private let accountTokens: AccountTokenKeeper
    /// Nil where others sign certificates.
    private let certificates: CertificateKeeper?

    private struct State {
        var port: UInt16 = 0
        var bridge: String?
        var roles: Subscription?
        var network: Subscription?
    }
    private let state = Mutex(State())

    init(host: Host, settings: APISettings) throws {
        self.host = host
        self.settings = settings
        let store = try host.store()
        credentials = try PKIDirectory(path: settings.dataDirectory + "/pki").prepare(names: settings.certificateNames)
        if !credentials.made.isEmpty {
            host.log.info("made certificates", ["names": .string(credentials.made.joined(separator: ", "))])
        }
        let resources = ResourceTable.ofSchema()
        let graph = NodeGraph(host: host)
        nodes = graph
        let step: @Sendable (AuthorizationSettings.Step) -> Authorizer.Step = { step in
            switch step {
            case .node: .other(NodeAuthorizer(graph: graph, log: host.log))
            case .roles: .roles
            case .webhook(let parts):
                .other(AccessWebhook(parts, client: WebhookClient(store: store), log: host.log))
            case .uniform(let isAllowing): .other(UniformAuthorizer(isAllowing: isAllowing))
            }
        }
        let authorizer = Authorizer(settings.authorization.steps.map(step))
        authorization = try settings.authorization.file.map { file in
            try LiveAuthorization(file, authorizer, host: host, step: step)
        }
        var staticTokens: [String: UserInfo] = [:]
        if !settings.adminToken.isEmpty {
            staticTokens[settings.adminToken] = UserInfo(name: "kubernetes-admin", groups: ["system:masters"])
        }
        certificates =
            settings.signsCertificates ? CertificateKeeper(host: host, authority: credentials.signer) : nil
        bootstrapTokens = BootstrapTokenKeeper(host: host)
        accountTokens = AccountTokenKeeper(host: host, authority: credentials.authority)
        let rules = SchemaRules()
        let aggregated = AggregatedAPIs()
        aggregation = Aggregation(host: host, store: store, apis: aggregated, credential: credentials.frontProxy)
        let admission = Admission(
            host: host, store: store,
            services: ServiceAllocator(
                store: store, ranges: ServiceRanges(host: host, configured: settings.serviceRange)),
            authorizer: authorizer, resources: resources, rules: rules)
        let tokens = try TokenAuthority(
            key: credentials.tokenKey, issuer: "https://kubernetes.default.svc.\(settings.clusterDomain)", store: store,
            staticTokens: staticTokens)
        authentication = try LiveAuthentication(
            settings.authentication, store: store, audience: tokens.issuer, host: host)
        let fairness = try settings.totalSeats.map { seats in
            try Fairness(
                totalSeats: seats, estimates: ListEstimates(store: store, resources: resources, log: host.log),
                host: host)
        }
        let documents = OpenAPIDocuments(resources: resources, aggregated: aggregated, store: store)
        pipeline = RequestPipeline(
            .init(
                store: store, resources: resources, rules: rules, authorizer: authorizer, admission: admission,
                discovery: Discovery(
                    resources: resources, aggregated: aggregated, address: settings.listen.description),
                extensions: ExtensionRoutes(),
                bearerTokens: BearerTokens(authority: tokens, others: authentication.authenticators),
                workers: WorkerPool(limit: 32), health: Health(store: store, log: host.log),
                openAPI: documents,
                aggregated: aggregated, host: host, audit: try settings.audit.map { try AuditLog($0, host) },
                fairness: fairness, watchBytes: settings.watchBytes))
        flows = fairness.map { FlowObjectsKeeper($0, log: host.log) }
        typeChecks = PolicyTypeChecks(PolicyTypeCheck(resources: resources, documents: documents), log: host.log)
        let aggregatedRoles = RoleAggregation(host: host)
        roleAggregation = aggregatedRoles
        let access = try [
            "clusterroles.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io",
            "clusterrolebindings.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
        ].map { resource in
            try Informer(host, resource: resource, transform: Self.withoutMetadata) { event in
                let (object, present): (JSON, JSON?)
                switch event {
                case .added(let new), .updated(_, let new): (object, present) = (new, new)
                case .deleted(let old): (object, present) = (old, nil)
                case .synchronized: return
                }
                authorizer.update(resource: resource, key: Self.key(resource, object), object: present)
                if resource.hasPrefix("clusterroles.") { aggregatedRoles.update(object.name, present) }
            }
        }
        informers =
            try access + admission.informers(host) + (flows?.informers(host, pipeline) ?? [])
            + [typeChecks.informer(host, pipeline)]
        let context = try TLSContext(
            certificate: credentials.server.certificate, key: credentials.server.key,
            clientAuthority: credentials.authority, proxyAuthority: credentials.frontProxyAuthority)
        server = try HTTPServer(
            threads: settings.threads, context: context,
            handler: HTTPFront(pipeline: pipeline, anonymous: authentication.anonymous))
        nodePorts = NodePorts(server: server, pipeline: pipeline, authority: credentials.signer)
    }

    private static func key(_ resource: String, _ object: JSON) -> String {
        "\(resource)/\(object.namespace)/\(object.name)"
    }

    /// What authorization does not look at is not kept.
    private static func withoutMetadata(_ object: JSON) -> JSON {
        var object = object
        var metadata: JSON = ["name": object.metadata["name"], "namespace": .string(object.namespace)]
        // What a role's rules are gathered by.
        for key in ["labels", "resourceVersion"] where object.metadata[key].exists {
            metadata[key] = object.metadata[key]
        }
        object["metadata"] = metadata
        return object
    }

    /// Prepares what every cluster has, then listens and tells so.
    func start() throws {
        try pipeline.audit?.start()
        try Bootstrap(pipeline: pipeline, credentials: credentials).run()
        for informer in informers { try informer.start() }
        flows?.filled(pipeline)
        try pipeline.admission.start()
        try pipeline.customResources.start(pipeline)
        try aggregation.start(pipeline)
        try certificates?.start(pipeline)
        try roleAggregation.start(pipeline)
        try bootstrapTokens.start(pipeline)
        try accountTokens.start(pipeline)
        try authentication.start()
        try authorization?.start()
        let port: UInt16
        do {
            port = try server.listen(on: settings.listen)
        } catch {
            throw PluginError(code: HOSTD_ERROR_UNAVAILABLE, message: error.description)
        }
        state.withLock { $0.port = port }
        let url = "https://\(settings.clientAddress(port: port))"
        let kubeconfig = settings.dataDirectory + "/admin.kubeconfig"
        try AtomicFile.write(
            Kubeconfig.text(
                server: url, authority: credentials.authority, user: "kubernetes-admin", credential: credentials.admin),
            to: kubeconfig, isDurable: false)
        try watchRoles()
        try watchNetwork(port: port)
        pipeline.health.isReady = true
        try host.events().publish(
            HOSTD_TOPIC_ENDPOINT, ["url": .string(url), "kubeconfig": .string(kubeconfig)], retain: true)
        host.log.info("serving the Kubernetes API", ["url": .string(url)])
    }

    private func watchRoles() throws {
        let roles = try host.roles()
        let subscription = try roles.watch { [host, pipeline, nodePorts] change in
            guard change.role == HOSTD_API_EXTENSION_1 else { return }
            guard change.isActive else {
                pipeline.extensions.remove(plugin: change.plugin)
                nodePorts.remove(plugin: change.plugin)
                return
            }
            // Asking a provider for its routes may take a while; the roles' stream does not wait for it.
            let isTaken = pipeline.workers.run {
                do {
                    let client = try APIExtensionClient(host, plugin: change.plugin)
                    let routes = try client.routes()
                    pipeline.extensions.add(plugin: change.plugin, routes, provider: client)
                    nodePorts.update(plugin: change.plugin, routes)
                } catch {
                    host.log.error(
                        "cannot serve the paths of a plugin",
                        ["plugin": .string(change.plugin), "reason": .string("\(error)")])
                }
            }
            if !isTaken { host.log.error("cannot serve the paths of a plugin", ["plugin": .string(change.plugin)]) }
        }
        state.withLock { $0.roles = subscription }
    }

    /// Pods reach the API through the bridge's address.
    private func watchNetwork(port: UInt16) throws {
        let subscription = try host.events().subscribe(HOSTD_TOPIC_NETWORK) { [weak self] message in
            guard let self, let address = message["addresses"][0].stringValue else { return }
            self.listenOnBridge(address, port: port)
        }
        state.withLock { $0.network = subscription }
    }

    private func listenOnBridge(_ address: String, port: UInt16) {
        let isNew = state.withLock { state in
            guard state.bridge != address else { return false }
            state.bridge = address
            return true
        }
        let listensThere = [address, "0.0.0.0", "::"].contains(settings.listen.host)
        guard isNew, !listensThere else { return }
        do {
            try server.listen(on: SocketAddress(host: address, port: port))
            host.log.info("serving the Kubernetes API to pods", ["address": .string("\(address):\(port)")])
        } catch {
            state.withLock { $0.bridge = nil }
            host.log.error("pods cannot reach the Kubernetes API", ["reason": .string(error.description)])
        }
    }

    /// Ends everything. Idempotent. [blocking]
    func stop() {
        pipeline.health.isReady = false
        let (roles, network) = state.withLock { ($0.roles, $0.network) }
        authentication.stop()
        authorization?.stop()
        roles?.cancel()
        network?.cancel()
        for informer in informers { informer.stop() }
        flows?.stop()
        typeChecks.stop()
        pipeline.fairness?.stop()
        pipeline.admission.stop()
        nodes.stop()
        aggregation.stop()
        certificates?.stop()
        roleAggregation.stop()
        bootstrapTokens.stop()
        accountTokens.stop()
        nodePorts.stop()
        server.stop()
        pipeline.stop()
        // The last: what the others still did is written.
        pipeline.audit?.stop()
    }
}
