import Objects
import PluginKit
import Synchronization

/// Follows the APIService objects: keeps those of this server's own group versions, and looks whether the servers of the
/// others answer, when something about them changes and from time to time.
final class Aggregation: Sendable {
    /// Between two checks of a server that answers whatever it is asked.
    private static let period: UInt64 = 30_000_000_000
    /// Before the next check of one that does not: at first, and at most.
    private static let retry: ClosedRange<UInt64> = 250_000_000...15_000_000_000

    private let host: Host
    private let store: StoreClient
    private let apis: AggregatedAPIs
    private let credential: Credential

    /// What is done about one server.
    private struct Watch {
        var subscriptions: [Subscription] = []
        var timer: Timer?
        var delay = Aggregation.retry.lowerBound
        var isBusy = false
        /// Something has changed while a check was under way.
        var isStale = false
    }

    private struct State {
        weak var pipeline: RequestPipeline?
        var informer: Informer?
        var isStopped = false
        var watches: [String: Watch] = [:]
        var isSynchronizing = false
        var mustSynchronize = false
    }
    private let state = Mutex(State())

    init(host: Host, store: StoreClient, apis: AggregatedAPIs, credential: Credential) {
        self.host = host
        self.store = store
        self.apis = apis
        self.credential = credential
    }

    // MARK: - Life

    /// Knows all objects when it returns; the server's own are made a moment later.
    func start(_ pipeline: RequestPipeline) throws(PluginError) {
        let informer = try Informer(
            host, resource: AggregatedAPIs.resource,
            handler: { [weak self] event in
                switch event {
                case .added(let object), .updated(_, let object): self?.take(object)
                case .deleted(let object): self?.gone(object)
                case .synchronized: break
                }
            })
        state.withLock { state in
            state.pipeline = pipeline
            state.informer = informer
        }
        try informer.start()
        pipeline.resources.custom.observe { [weak self] in self?.synchronize() }
        synchronize()
    }

    func stop() {
        let (informer, watches) = state.withLock { state in
            state.isStopped = true
            defer { state.watches = [:] }
            return (state.informer, state.watches)
        }
        informer?.stop()
        for watch in watches.values { Self.end(watch) }
    }

    private static func end(_ watch: Watch) {
        watch.timer?.cancel()
        for subscription in watch.subscriptions { subscription.cancel() }
    }

    /// Runs off the store's threads; false when it does not: after `stop`, or when too much waits already.
    @discardableResult
    private func onWorker(_ work: @escaping @Sendable (RequestPipeline) -> Void) -> Bool {
        guard let pipeline = state.withLock({ $0.isStopped ? nil : $0.pipeline }) else { return false }
        if pipeline.dialling.run({ work(pipeline) }) { return true }
        host.log.error("too much waits already: a change of an APIService is followed up later")
        return false
    }

    // MARK: - Objects

    private func take(_ object: JSON) {
        guard let api = AggregatedAPI(object, credential: credential) else {
            if apis.update(object.name, nil) { forget(object.name) }
            if let conditions = APIServiceStatus.local(object["status"]["conditions"], now: .now()) {
                onWorker { [self] in write(conditions, to: object.name, $0) }
            }
            if object.labels[LocalAPIServices.label].exists { synchronize() }
            return
        }
        if object.labels[LocalAPIServices.label].exists { synchronize() }
        guard apis.update(object.name, api) else { return }
        forget(object.name)
        follow(api)
    }

    private func gone(_ object: JSON) {
        if apis.update(object.name, nil) { forget(object.name) }
        synchronize()
    }

    /// Makes the stored objects of this server's own group versions what they should be, once more if it runs already.
    private func synchronize() {
        let isFirst = state.withLock { state in
            state.mustSynchronize = true
            defer { state.isSynchronizing = true }
            return !state.isSynchronizing
        }
        guard isFirst else { return }
        let isTaken = onWorker { [self] pipeline in
            while takeTurn() { carryOut(pipeline) }
        }
        // The next change of an object or definition brings it up again.
        if !isTaken { state.withLock { $0.isSynchronizing = false } }
    }

    private func takeTurn() -> Bool {
        state.withLock { state in
            state.isSynchronizing = state.mustSynchronize && !state.isStopped
            defer { state.mustSynchronize = false }
            return state.isSynchronizing
        }
    }

    private func carryOut(_ pipeline: RequestPipeline) {
        guard let informer = state.withLock({ $0.informer }) else { return }
        let steps = LocalAPIServices.plan(
            wanted: LocalAPIServices.wanted(pipeline.resources.all), present: informer.list())
        // All are on their way together, so that they share one write to disk.
        let pending = steps.map { step in
            switch step {
            case .create(let object): send(.post, "", object, pipeline)
            case .restore(let object):
                send(
                    .patch("application/merge-patch+json"), object.name,
                    [
                        "metadata": ["labels": object.metadata["labels"]],
                        "spec": .object(Self.replacement(object["spec"])),
                    ], pipeline)
            case .delete(let name): send(.delete, name, .null, pipeline)
            }
        }
        for (step, box) in zip(steps, pending) {
            guard let answer = box.wait(), answer.status >= 300, answer.status != 404, answer.status != 409 else {
                continue
            }
            host.log.error(
                "an APIService cannot be kept",
                ["step": .string("\(step)"), "status": .integer(Int64(answer.status))])
        }
    }

    /// A merge patch of a specification that leaves nothing of another one.
    private static func replacement(_ spec: JSON) -> JSONObject {
        var patch: JSONObject = ["service": .null, "caBundle": .null, "insecureSkipTLSVerify": .null]
        for (key, value) in spec.objectValue ?? [:] { patch[key] = value }
        return patch
    }

    private static let path = "/apis/apiregistration.k8s.io/v1/apiservices"

    private func send(
        _ method: APIRequest.Method, _ name: String, _ body: JSON, _ pipeline: RequestPipeline
    ) -> ResponseBox {
        let box = ResponseBox()
        do throws(APIStatus) {
            let request = try APIRequest(
                method: method, target: name.isEmpty ? Self.path : "\(Self.path)/\(name)",
                body: body.isNull ? [] : body.serialized(), user: .host, isInternal: true)
            pipeline.handle(request) { box.complete($0) }
        } catch {
            box.complete(.failure(error))
        }
        return box
    }

    private func write(_ conditions: JSON, to name: String, _ pipeline: RequestPipeline) {
        let box = send(
            .patch("application/merge-patch+json"), "\(name)/status", ["status": ["conditions": conditions]], pipeline)
        guard let answer = box.wait(), answer.status >= 300, answer.status != 404 else { return }
        host.log.warning(
            "the status of an APIService cannot be written",
            ["name": .string(name), "status": .integer(Int64(answer.status))])
    }

    // MARK: - Servers

    private func forget(_ name: String) {
        if let watch = state.withLock({ $0.watches.removeValue(forKey: name) }) { Self.end(watch) }
    }

    /// Checks a server now, and when its service or endpoints change.
    private func follow(_ api: AggregatedAPI) {
        let service = api.service
        let places = [
            ("services/\(service.namespace)/", ""),
            ("endpointslices.discovery.k8s.io/\(service.namespace)/", "kubernetes.io/service-name=\(service.name)"),
        ]
        var watch = Watch()
        do throws(PluginError) {
            for (prefix, selector) in places {
                watch.subscriptions.append(
                    try store.watch(prefix: prefix, selector: selector) { [weak self] message in
                        if case .progress = message { return }
                        self?.changed(api, message)
                    })
            }
        } catch {
            // It is checked from time to time all the same.
            host.log.warning(
                "the service of an APIService is not followed",
                ["name": .string(api.name), "reason": .string("\(error)")])
        }
        let isHeld = state.withLock { state in
            guard !state.isStopped else { return false }
            state.watches[api.name] = watch
            return true
        }
        guard isHeld else { return Self.end(watch) }
        check(api)
    }

    private func changed(_ api: AggregatedAPI, _ message: StoreWatchMessage) {
        switch message {
        case .events(let events):
            // All services of the namespace are told of.
            let concerns = events.contains { event in
                let parts = StoreRecord.split(key: event.record.key)
                return parts.resource != "services" || parts.name == api.service.name
            }
            guard concerns else { return }
            state.withLock { $0.watches[api.name]?.delay = Self.retry.lowerBound }
            check(api)
        case .resync, .ended:
            onWorker { [self] _ in
                guard apis.find(group: api.group, version: api.version) === api else { return }
                forget(api.name)
                follow(api)
            }
        case .progress: break
        }
    }

    private func check(_ api: AggregatedAPI) {
        let isFirst = state.withLock { state in
            guard var watch = state.watches[api.name] else { return false }
            defer { state.watches[api.name] = watch }
            watch.isStale = watch.isBusy
            defer { watch.isBusy = true }
            return !watch.isBusy
        }
        guard isFirst else { return }
        let isTaken = onWorker { [self] pipeline in
            examine(api, pipeline)
            finished(api)
        }
        if !isTaken { finished(api) }
    }

    private func examine(_ api: AggregatedAPI, _ pipeline: RequestPipeline) {
        var failure: AggregationFailure?
        var knowledge: AggregatedAPIs.Knowledge
        do throws(AggregationFailure) {
            knowledge = try AggregatedServer(api: api, store: store, dialer: pipeline.dialer).check()
        } catch {
            failure = error
            // What it served is listed as stale, not as gone.
            knowledge = apis.knowledge(of: api)
            knowledge.isAvailable = false
            knowledge.reason = "\(error.reason): \(error.message)"
        }
        if !knowledge.openAPIProblem.isEmpty,
            knowledge.openAPIProblem != apis.knowledge(of: api).openAPIProblem
        {
            host.log.warning(
                "the OpenAPI documents of an APIService cannot be read",
                ["name": .string(api.name), "reason": .string(knowledge.openAPIProblem)])
        }
        apis.learn(knowledge, of: api)
        guard let object = state.withLock({ $0.informer })?.get(namespace: "", name: api.name),
            let conditions = APIServiceStatus.checked(object["status"]["conditions"], failure, now: .now())
        else { return }
        write(conditions, to: api.name, pipeline)
    }

    private func finished(_ api: AggregatedAPI) {
        let isWhole = apis.knowledge(of: api).isWhole
        let (isStale, delay, old) = state.withLock { state -> (Bool, UInt64?, Timer?) in
            guard !state.isStopped, var watch = state.watches[api.name] else { return (false, nil, nil) }
            watch.isBusy = false
            let delay = isWhole ? Self.period : watch.delay
            watch.delay = isWhole ? Self.retry.lowerBound : min(watch.delay * 2, Self.retry.upperBound)
            let old = watch.timer
            watch.timer = nil
            state.watches[api.name] = watch
            return (watch.isStale, delay, old)
        }
        old?.cancel()
        if isStale { return check(api) }
        guard let delay else { return }
        do throws(PluginError) {
            let timer = try host.timers().start(delay: delay) { [weak self] in self?.check(api) }
            let isHeld = state.withLock { state in
                guard !state.isStopped, state.watches[api.name] != nil else { return false }
                state.watches[api.name]?.timer = timer
                return true
            }
            if !isHeld { timer.cancel() }
        } catch {
            host.log.error(
                "an APIService is not checked any more", ["name": .string(api.name), "reason": .string("\(error)")])
        }
    }
}
