import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Keeps what is served true to the stored CustomResourceDefinitions, and sees to what happens around them: names that are
/// taken, objects that go before their definition.
final class CustomResources: Sendable {
    let registry: CustomResourceRegistry
    private let table: ResourceTable
    private let store: StoreClient
    private let log: Log

    /// A write to a definition that waits for its turn.
    private struct Turn {
        let respond: Responder
        let work: @Sendable (@escaping Responder) throws(APIStatus) -> Void
    }

    private struct State {
        weak var pipeline: RequestPipeline?
        var subscription: Subscription?
        var isStopped = false
        /// Writes that wait, and whether one is on its way.
        var turns: [Turn] = []
        var isBusy = false
        /// Definitions whose objects are being deleted, with the watch that tells when the last one has gone.
        var cleaning: [String: Subscription?] = [:]
    }
    private let state = Mutex(State())

    init(registry: CustomResourceRegistry, table: ResourceTable, store: StoreClient, log: Log) {
        self.registry = registry
        self.table = table
        self.store = store
        self.log = log
        registry.use(WebhookClient(store: store))
    }

    // MARK: - Life

    /// Serves what is defined, before it returns, and then follows every change.
    func start(_ pipeline: RequestPipeline) throws(PluginError) {
        state.withLock { $0.pipeline = pipeline }
        try listAndWatch()
    }

    func stop() {
        let subscriptions = state.withLock { state -> [Subscription] in
            state.isStopped = true
            defer {
                state.subscription = nil
                state.cleaning = [:]
            }
            return [state.subscription].compactMap { $0 } + state.cleaning.values.compactMap { $0 }
        }
        for subscription in subscriptions { subscription.cancel() }
    }

    private static let prefix = CustomVersion.definitions + "/"
    /// Definitions are large; so many are read at once.
    private static let pageSize: UInt64 = 64

    private func listAndWatch() throws(PluginError) {
        var seen: Set<String> = []
        var revision: UInt64 = 0
        var after = ""
        while true {
            let page = try store.list(prefix: Self.prefix, revision: revision, limit: Self.pageSize, after: after)
            revision = page.revision
            for record in page.records {
                seen.insert(String(StoreRecord.split(key: record.key).name))
                take(record)
            }
            guard page.hasMore, let last = page.records.last else { break }
            after = last.key
        }
        for definition in registry.definitions where !seen.contains(definition.name) {
            registry.apply(nil, name: definition.name, revision: revision)
        }
        let subscription = try store.watch(prefix: Self.prefix, from: revision) { [weak self] in self?.handle($0) }
        let isStopped = state.withLock { state in
            if !state.isStopped { state.subscription = subscription }
            return state.isStopped
        }
        if isStopped { subscription.cancel() }
    }

    private func handle(_ message: StoreWatchMessage) {
        switch message {
        case .events(let events):
            for event in events {
                if event.isDelete { gone(event.record.key, event.record.revision) } else { take(event.record) }
            }
        case .progress: break
        case .resync: restart("it fell behind")
        case .ended(let reason): restart(reason)
        }
    }

    private func restart(_ reason: String) {
        let old = state.withLock { state -> Subscription? in
            defer { state.subscription = nil }
            return state.isStopped ? nil : state.subscription
        }
        old?.cancel()
        onWorker { [self] in
            do throws(PluginError) {
                try listAndWatch()
            } catch {
                log.error(
                    "custom resource definitions are no longer followed", ["reason": .string("\(reason); \(error)")])
            }
        }
    }

    private func take(_ record: StoreRecord) {
        let name = String(StoreRecord.split(key: record.key).name)
        if let known = registry.definition(name), known.revision >= record.revision { return }
        do {
            registry.apply(try record.object(), name: name, revision: record.revision)
        } catch {
            log.error("a stored definition cannot be read", ["name": .string(name), "reason": .string("\(error)")])
        }
        follow(name)
    }

    private func gone(_ key: String, _ revision: UInt64) {
        let name = String(StoreRecord.split(key: key).name)
        let group = registry.definition(name)?.group
        registry.apply(nil, name: name, revision: revision)
        guard let group else { return }
        // Names that it had are free for others.
        for other in registry.definitions where other.group == group && other.hasConflict {
            onWorker { [self] in reviewNames(other.name) }
        }
    }

    /// Runs on the pipeline's workers; there are none before `start` and after `stop`.
    private func onWorker(_ work: @escaping @Sendable () -> Void) {
        guard let workers = state.withLock({ $0.isStopped ? nil : $0.pipeline?.workers }) else { return }
        if !workers.run(work) {
            log.error("too much waits already: a change of a custom resource definition is not followed up")
        }
    }

    // MARK: - Writes

    /// Runs writes to definitions one after another, so that what one decides by (who has which name) holds until it is
    /// done.
    func oneAtATime(
        _ respond: @escaping Responder, _ work: @escaping @Sendable (@escaping Responder) throws(APIStatus) -> Void
    ) {
        let isFirst = state.withLock { state in
            if state.isBusy { state.turns.append(Turn(respond: respond, work: work)) }
            defer { state.isBusy = true }
            return !state.isBusy
        }
        if isFirst { run(Turn(respond: respond, work: work)) }
    }

    private func run(_ turn: Turn) {
        let done: Responder = { [self] response in
            turn.respond(response)
            next()
        }
        do throws(APIStatus) { try turn.work(done) } catch { done(.failure(error)) }
    }

    private func next() {
        let turn = state.withLock { state -> Turn? in
            if state.turns.isEmpty {
                state.isBusy = false
                return nil
            }
            return state.turns.removeFirst()
        }
        guard let turn else { return }
        let workers = state.withLock { $0.pipeline?.workers }
        let isTaken = workers?.run(dropped: { [self] in refuse(turn) }, { [self] in run(turn) }) ?? false
        if !isTaken { refuse(turn) }
    }

    private func refuse(_ turn: Turn) {
        turn.respond(.failure(.tooManyRequests("too many requests wait already", retryAfterSeconds: 1)))
        next()
    }

    /// Gives a definition that is being written the status that follows from it.
    func prepareStatus(_ object: inout JSON, _ resource: Resource) {
        guard resource.isDefinition else { return }
        object["status"] = DefinitionStatus.updated(object, others: otherNames(object), now: .now())
    }

    private func otherNames(_ object: JSON) -> [AcceptedNames] {
        let group = object["spec"]["group"].stringValue ?? ""
        return table.builtIn.filter { $0.group == group }.map { AcceptedNames($0) }
            + registry.otherNames(group, than: object.name)
    }

    /// Puts a definition in force that has just been written or removed.
    func committed(_ name: String, _ resource: Resource, _ revision: UInt64) {
        guard resource.isDefinition else { return }
        let key = Self.prefix + "/" + name
        do throws(PluginError) {
            if let record = try store.get(key) { take(record) } else { gone(key, revision) }
        } catch {
            // The watch tells of it too.
            log.warning(
                "a written definition cannot be read back", ["name": .string(name), "reason": .string("\(error)")])
        }
    }

    static func checkAccepts(_ resource: Resource) throws(APIStatus) {
        guard resource.custom?.isTerminating == true else { return }
        throw APIStatus(
            code: 405, reason: "MethodNotAllowed",
            message: "create not allowed while custom resource definition is terminating")
    }

    // MARK: - What follows from a definition

    private func follow(_ name: String) {
        guard let definition = registry.definition(name) else { return }
        if !definition.isEstablished, !definition.isTerminating {
            // Whoever wrote its status may have left out what follows from the definition.
            return onWorker { [self] in reviewNames(name) }
        }
        guard definition.needsCleanup else { return }
        let isFirst = state.withLock { state in
            if state.cleaning[name] != nil { return false }
            state.cleaning[name] = .some(nil)
            return true
        }
        if isFirst { onWorker { [self] in cleanUp(name) } }
    }

    /// Decides anew which names a definition may have.
    private func reviewNames(_ name: String) {
        rewrite(name) { [self] object in
            var object = object
            object["status"] = DefinitionStatus.updated(object, others: otherNames(object), now: .now())
            return object
        }
    }

    /// Deletes the objects of a definition that is to go, then lets it go.
    private func cleanUp(_ name: String) {
        guard let pipeline = state.withLock({ $0.isStopped ? nil : $0.pipeline }),
            let definition = registry.definition(name), definition.needsCleanup
        else { return endCleaning(name) }
        do {
            if let resource = definition.storage {
                try deleteObjects(resource, pipeline)
                let left = try store.list(prefix: resource.prefix(""), limit: 1)
                if !left.records.isEmpty { return try awaitEnd(name, resource, from: left.revision) }
            }
            release(name)
        } catch {
            log.error(
                "the objects of a custom resource cannot be deleted",
                ["definition": .string(name), "reason": .string("\(error)")])
            endCleaning(name)
        }
    }

    private func endCleaning(_ name: String) {
        let subscription = state.withLock { $0.cleaning.removeValue(forKey: name) }
        (subscription ?? nil)?.cancel()
    }

    private func deleteObjects(_ resource: Resource, _ pipeline: RequestPipeline) throws {
        var after = ""
        while true {
            let page = try store.list(prefix: resource.prefix(""), limit: 500, after: after)
            for record in page.records {
                let parts = StoreRecord.split(key: record.key)
                var path = RequestPath.ResourcePath()
                path.group = resource.group
                path.version = resource.version
                path.resource = resource.plural
                path.namespace = String(parts.namespace)
                path.name = String(parts.name)
                let request = try APIRequest(method: .delete, target: "/", user: .host, isInternal: true)
                let context = RequestContext(request: request, path: path, resource: resource)
                let answer = ResponseBox.wait { (respond) throws(APIStatus) in
                    try pipeline.delete(context, DeleteOptions(), attempts: RequestPipeline.mostAttempts, respond)
                }
                guard answer.status == 200 || answer.status == 404 else {
                    throw PluginError.unavailable("deleting \(record.key) was answered with \(answer.status)")
                }
            }
            guard page.hasMore, let last = page.records.last else { return }
            after = last.key
        }
    }

    /// Objects with finalizers are left: their end is waited for.
    private func awaitEnd(_ name: String, _ resource: Resource, from revision: UInt64) throws {
        rewrite(name) { object in
            var object = object
            DefinitionStatus.set(
                &object["status"], "Terminating", true, "InstanceDeletionInProgress",
                "CustomResource deletion is in progress", .now())
            return object
        }
        let subscription = try store.watch(prefix: resource.prefix(""), from: revision) { [weak self] message in
            self?.instances(name, resource, message)
        }
        let isHeld = state.withLock { state in
            guard !state.isStopped, state.cleaning[name] != nil else { return false }
            state.cleaning[name] = .some(subscription)
            return true
        }
        if !isHeld { subscription.cancel() }
    }

    private func instances(_ name: String, _ resource: Resource, _ message: StoreWatchMessage) {
        switch message {
        case .events(let events):
            guard events.contains(where: \.isDelete) else { return }
            do throws(PluginError) {
                guard try store.list(prefix: resource.prefix(""), limit: 1).records.isEmpty else { return }
            } catch {
                log.warning("the objects of \(name) cannot be listed", ["reason": .string("\(error)")])
                return
            }
            onWorker { [self] in release(name) }
        case .progress: break
        case .resync, .ended: onWorker { [self] in cleanUp(name) }
        }
    }

    /// Takes the finalizer from a definition whose objects have gone.
    private func release(_ name: String) {
        endCleaning(name)
        rewrite(name) { object in
            var object = object
            guard object.deletionTimestamp != nil else { return object }
            let left = object.finalizers.filter { $0 != DefinitionStatus.cleanup }
            if left.isEmpty { return nil }
            object["metadata"]["finalizers"] = JSON(left)
            DefinitionStatus.set(
                &object["status"], "Terminating", false, "InstanceDeletionCompleted", "removed all instances", .now())
            return object
        }
    }

    /// Changes a stored definition as the server's own doing; nil removes it. Tried again when it was written meanwhile.
    private func rewrite(_ name: String, attempts: Int = 16, _ change: @escaping @Sendable (JSON) -> JSON?) {
        guard let resource = table.stored(CustomVersion.definitions) else { return }
        let key = Self.prefix + "/" + name
        do {
            guard let record = try store.get(key) else { return }
            let present = try record.object()
            let changed = change(present)
            if changed == present { return }
            var transaction = StoreTransaction()
            if let changed {
                let object = StoredObject.normalized(changed)
                transaction.update(
                    key, value: object.serialized(), index: StoredObject.index(of: object, resource),
                    expected: record.revision)
            } else {
                transaction.delete(key, expected: record.revision)
            }
            try store.commit(transaction, by: UserInfo.host.name) { [self] commit in
                if commit.error == nil { return committed(name, resource, commit.revision) }
                guard attempts > 0 else {
                    log.error("a definition cannot be written", ["name": .string(name)])
                    return
                }
                onWorker { [self] in rewrite(name, attempts: attempts - 1, change) }
            }
        } catch {
            log.error("a definition cannot be changed", ["name": .string(name), "reason": .string("\(error)")])
        }
    }
}
