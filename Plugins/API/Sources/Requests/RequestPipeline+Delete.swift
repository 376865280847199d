import ObjectSchema
import Objects
import PluginAPI
import PluginKit

/// What a delete request asks for, from its body and its query.
struct DeleteOptions: Sendable {
    var gracePeriodSeconds: Int64?
    var propagation: String?
    var uid: String?
    var resourceVersion: String?
    /// Whether policies and webhooks have been asked already, as of an eviction.
    var isAdmitted = false
    /// Whether all of a collection go: policies and webhooks are told no name.
    var isOfCollection = false
    private var orphan: Bool?
    private var dryRun: [String] = []

    var isDryRun: Bool {
        get { !dryRun.isEmpty }
        set { dryRun = newValue ? ["All"] : [] }
    }

    init() {}

    /// Of a body alone, such as the one in an Eviction.
    init(_ json: JSON) throws(APIStatus) {
        read(json)
        try settle()
    }

    init(_ request: APIRequest) throws(APIStatus) {
        if !request.body.isEmpty {
            let json = try RequestPipeline.parseBody(request)
            guard json.objectValue != nil else { throw .badRequest("the body of the request must be DeleteOptions") }
            guard json.kind.isEmpty || json.kind == "DeleteOptions" else {
                throw .badRequest("the body of a delete request must be DeleteOptions, not \(json.kind)")
            }
            read(json)
        }
        if let seconds = try request.query.integer("gracePeriodSeconds") { gracePeriodSeconds = seconds }
        if let policy = request.query["propagationPolicy"], !policy.isEmpty { propagation = policy }
        if request.query["orphanDependents"] != nil { orphan = request.query.flag("orphanDependents") }
        dryRun += request.query.all("dryRun").filter { !$0.isEmpty }
        try settle()
    }

    /// Refuses what may not be, and makes of the two ways to say what becomes of dependents one.
    private mutating func settle() throws(APIStatus) {
        var causes: [APIStatus.Cause] = []
        let policies = ["Foreground", "Background", "Orphan"]
        if let propagation {
            if orphan != nil {
                causes.append(
                    .invalid(
                        "propagationPolicy", .string(propagation),
                        "orphanDependents and deletionPropagation cannot be both set"))
            }
            if !policies.contains(propagation) {
                causes.append(.notSupported("propagationPolicy", .string(propagation), policies + ["nil"]))
            }
        } else if let orphan {
            propagation = orphan ? "Orphan" : "Background"
        }
        if dryRun.contains(where: { $0 != "All" }) {
            causes.append(.notSupported("dryRun", .array(dryRun.map { .string($0) }), ["All"]))
        }
        guard causes.isEmpty else { throw .invalidOptions("DeleteOptions", causes) }
    }

    /// For an object that is there still: who says in so many words that dependents are to go hears that they are yet to.
    var pendingStatus: Int { orphan == false ? 202 : 200 }

    /// As it is shown to policies and webhooks.
    var json: JSON {
        var json: JSON = ["kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"]
        if let gracePeriodSeconds { json["gracePeriodSeconds"] = .integer(gracePeriodSeconds) }
        if let uid { json["preconditions"]["uid"] = .string(uid) }
        if let resourceVersion { json["preconditions"]["resourceVersion"] = .string(resourceVersion) }
        if let orphan { json["orphanDependents"] = .bool(orphan) }
        if orphan == nil, let propagation { json["propagationPolicy"] = .string(propagation) }
        if !dryRun.isEmpty { json["dryRun"] = JSON(dryRun) }
        return json
    }

    private mutating func read(_ json: JSON) {
        gracePeriodSeconds = json["gracePeriodSeconds"].integerValue
        propagation = json["propagationPolicy"].stringValue
        orphan = json["orphanDependents"].boolValue
        uid = json["preconditions"]["uid"].stringValue
        resourceVersion = json["preconditions"]["resourceVersion"].stringValue
        dryRun = json["dryRun"].arrayValue.compactMap(\.stringValue)
    }
}

/// Deletion: at once, after a grace period, or when the last finalizer has gone.
extension RequestPipeline {
    enum DeletionOutcome {
        /// Nothing to do: it is being deleted already.
        case pending(JSON)
        case write(JSON)
        case remove(JSON)
    }

    func delete(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.resource.has("delete") else { throw .methodNotAllowed }
        let options = try DeleteOptions(context.request)
        let warnings = Deletion.warnings(options, context.resource)
        if warnings.isEmpty { return try delete(context, options, attempts: Self.mostAttempts, respond) }
        try delete(context, options, attempts: Self.mostAttempts) { respond($0.warning(warnings)) }
    }

    /// - Parameter known: the object as it was a moment ago; when it has changed since, it is read again.
    func delete(
        _ context: RequestContext, _ options: DeleteOptions, attempts: Int, known: StoreRecord? = nil,
        _ respond: @escaping Responder
    ) throws(APIStatus) {
        let form = try context.form
        let record: StoreRecord
        if let known { record = known } else { record = try read(context) }
        let (present, managedFields) = try self.present(record, context.resource)
        try Self.check(options, present, record.revision, context)
        var warnings: [String] = []
        if !options.isAdmitted {
            var request = AdmissionRequest(.delete, context.resource, context, old: present)
            request.isOfCollection = options.isOfCollection
            try admission.admit(&request)
            try admission.validate(&request)
            warnings = request.warnings
        }
        var transaction = StoreTransaction(completesPromptly: context.request.isOnLoop)
        let response: @Sendable (UInt64) throws(APIStatus) -> HTTPResponse
        switch Deletion.plan(present, options, context.resource) {
        case .pending(let object):
            let visible = try Conversion.present(object, context.resource)
            return respond(
                try show(visible, managedFields, record.revision, context, form).with(status: options.pendingStatus)
                    .warning(warnings))
        case .write(let object):
            let visible = try Conversion.present(object, context.resource)
            transaction.update(
                context.key, value: object.serialized(adding: managedFields, as: "managedFields", to: "metadata"),
                index: StoredObject.index(of: object, context.resource, before: record), expected: record.revision)
            response = { [self] (revision) throws(APIStatus) in
                try show(visible, managedFields, revision, context, form).with(status: options.pendingStatus)
            }
        case .remove(let object):
            transaction.delete(context.key, expected: record.revision)
            for step in admission.releases(present, context.resource) { step.add(to: &transaction) }
            let isUnchanged = object == present
            response = { [self] (revision) throws(APIStatus) in
                if Deletion.answersObject(context.resource) {
                    return isUnchanged
                        ? try show(record, context, form)
                        : try show(object, managedFields, record.revision, context, form)
                }
                return .json(200, APIStatus.success(name: present.name, resource: context.resource, uid: present.uid))
            }
        }
        if options.isDryRun { return respond(try response(record.revision).warning(warnings)) }
        do throws(PluginError) {
            try commit(transaction, context.request) { [self, warnings] commit in
                deletionCommitted(commit, context, options, attempts, response, warnings, respond)
            }
        } catch {
            throw APIStatus(error, context.resource, context.path.name)
        }
    }

    private func deletionCommitted(
        _ commit: StoreCommit, _ context: RequestContext, _ options: DeleteOptions, _ attempts: Int,
        _ response: @Sendable (UInt64) throws(APIStatus) -> HTTPResponse, _ warnings: [String],
        _ respond: @escaping Responder
    ) {
        guard let failure = commit.error else {
            customResources.committed(context.path.name, context.resource, commit.revision)
            do throws(APIStatus) {
                respond(try response(commit.revision).warning(warnings))
            } catch {
                respond(.failure(error))
            }
            return
        }
        guard failure.code == HOSTD_ERROR_CONFLICT || failure.code == HOSTD_ERROR_NOT_FOUND, attempts > 0 else {
            respond(.failure(APIStatus(failure, context.resource, context.path.name)))
            return
        }
        onRetry(context.resource, respond) { [self] () throws(APIStatus) in
            try delete(context, options, attempts: attempts - 1, respond)
        }
    }

    /// The stored object and, by itself and unread, its `metadata.managedFields`: these take as long to parse as the rest, and no
    /// deletion goes by them. Where others than the server look at the object, the list is a part of it.
    private func present(
        _ record: StoreRecord, _ resource: Resource
    ) throws(APIStatus) -> (object: JSON, managedFields: [UInt8]) {
        do {
            if resource.custom != nil || admission.isLookedAt(resource) { return (try record.object(), []) }
            return try record.objectAndManagedFields()
        } catch {
            throw .internalError("the stored object is damaged: \(error)")
        }
    }

    private func show(
        _ object: JSON, _ managedFields: [UInt8], _ revision: UInt64, _ context: RequestContext, _ form: ResponseForm
    ) throws(APIStatus) -> HTTPResponse {
        let normalized = StoredObject.normalized(object)
        return try normalized.serialized(adding: managedFields, as: "managedFields", to: "metadata")
            .withBytes { bytes throws(APIStatus) in try show(bytes, revision, context, form) }
    }

    private static func check(
        _ options: DeleteOptions, _ present: JSON, _ revision: UInt64, _ context: RequestContext
    ) throws(APIStatus) {
        if let uid = options.uid, uid != present.uid {
            throw .conflict(
                kind: context.resource, context.path.name,
                "the UID in the precondition (\(uid)) does not match the UID in record (\(present.uid)). The object might "
                    + "have been deleted and then recreated")
        }
        if let version = options.resourceVersion, version != String(revision) {
            throw .conflict(
                kind: context.resource, context.path.name,
                "the ResourceVersion in the precondition (\(version)) does not match the ResourceVersion in record "
                    + "(\(revision)). The object might have been modified")
        }
    }

    /// How many objects of a collection are deleted at once: so many deletions share one write to the disk.
    private static let deletionGroup = 32

    /// Deletes all that a selector selects, a group at a time. After a failure no other group is begun.
    func deleteCollection(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.resource.has("deletecollection") else { throw .methodNotAllowed }
        var options = try DeleteOptions(context.request)
        options.isOfCollection = true
        let listing = try Listing(context, store: store)
        onWorker(respond) { [self, options] () throws(APIStatus) in
            var left = listing.page.records[...]
            // As headers.
            var told: [(String, String)] = []
            // Definitions change one at a time.
            let size = context.resource.isDefinition ? 1 : Self.deletionGroup
            while !left.isEmpty {
                let group = left.prefix(size)
                left = left.dropFirst(group.count)
                for answer in deleteGroup(group, options, context) {
                    if answer.status != 200 && answer.status != 404 { return respond(answer) }
                    for (name, text) in answer.headers
                    where name == "Warning" && !told.contains(where: { $0.1 == text }) {
                        told.append((name, text))
                    }
                }
            }
            var response = try Self.shown(listing, context.resource)
            response = response.warning(Deletion.warnings(options, context.resource))
            response.headers += told
            respond(response)
        }
    }

    /// The objects that were deleted, in the version of the request if that takes nobody else: they are gone by now, and a
    /// webhook that does not answer must not make a failure of that.
    private static func shown(_ listing: Listing, _ resource: Resource) throws(APIStatus) -> HTTPResponse {
        guard resource.custom?.conversion != nil else { return try listing.response(.object) }
        let items: [JSON]
        do { items = try listing.page.records.map { try $0.object() } } catch { throw .internalError("\(error)") }
        return .json(
            200,
            [
                "kind": .string(resource.listKind), "apiVersion": .string(resource.apiVersion),
                "metadata": ["resourceVersion": .string(String(listing.page.revision))], "items": .array(items),
            ])
    }

    /// Deletes the objects of these records at the same time, and waits for all answers, which are in their order.
    private func deleteGroup(
        _ records: ArraySlice<StoreRecord>, _ options: DeleteOptions, _ context: RequestContext
    ) -> [HTTPResponse] {
        let boxes = records.map { record in
            let parts = StoreRecord.split(key: record.key)
            var single = context
            single.path.namespace = String(parts.namespace)
            single.path.name = String(parts.name)
            single.request.accept = nil
            return ResponseBox.start { [single] (respond) throws(APIStatus) in
                try delete(single, options, attempts: Self.mostAttempts, known: record, respond)
            }
        }
        return boxes.map { $0.answer() }
    }
}

/// What deleting an object does, by its kind and state. Pure.
enum Deletion {
    static func answersObject(_ resource: Resource) -> Bool {
        SchemaResource.shownWhenDeleted.contains(resource.qualified)
    }

    static func plan(_ present: JSON, _ options: DeleteOptions, _ resource: Resource) -> RequestPipeline.DeletionOutcome
    {
        var object = present
        var finalizers = present.finalizers
        // Nothing belongs to an event.
        let propagation = resource.qualified == "events" ? nil : options.propagation
        switch propagation ?? defaultPropagation(resource, finalizers) {
        case "Foreground":
            finalizers.removeAll { $0 == "orphan" }
            if !finalizers.contains("foregroundDeletion") { finalizers.append("foregroundDeletion") }
        case "Orphan":
            finalizers.removeAll { $0 == "foregroundDeletion" }
            if !finalizers.contains("orphan") { finalizers.append("orphan") }
        case "Background": finalizers.removeAll { $0 == "orphan" || $0 == "foregroundDeletion" }
        default: break
        }
        if finalizers != present.finalizers {
            if finalizers.isEmpty {
                object["metadata"].removeValue(forKey: "finalizers")
            } else {
                object["metadata"]["finalizers"] = .array(finalizers.map { .string($0) })
            }
        }
        let grace = gracePeriod(present, options, resource)
        let isPending = present.deletionTimestamp != nil
        if grace > 0 {
            if isPending, let left = present.metadata["deletionGracePeriodSeconds"].integerValue, grace >= left {
                return object == present ? .pending(present) : .write(StoredObject.normalized(object))
            }
            mark(&object, grace: grace, resource)
            return .write(StoredObject.normalized(object))
        }
        let waits =
            (resource.isDefinition && !isPending) || !finalizers.isEmpty
            || !namespaceFinalizers(present, resource).isEmpty
        guard waits else { return .remove(object) }
        if isPending, present.metadata["deletionGracePeriodSeconds"].integerValue ?? 0 == 0 {
            return object == present ? .pending(present) : .write(StoredObject.normalized(object))
        }
        mark(&object, grace: 0, resource)
        return .write(StoredObject.normalized(object))
    }

    /// Kinds that have left their pods behind since their first version, where nobody says what becomes of them.
    private static let orphaning: Set = ["jobs.batch", "replicationcontrollers"]

    /// Nil where the object's finalizers say it, or nothing special is to be done.
    private static func defaultPropagation(_ resource: Resource, _ finalizers: [String]) -> String? {
        guard orphaning.contains(resource.qualified) else { return nil }
        return finalizers.contains { $0 == "orphan" || $0 == "foregroundDeletion" } ? nil : "Orphan"
    }

    /// What clients are told that do not say what becomes of dependents and may not expect it.
    static func warnings(_ options: DeleteOptions, _ resource: Resource) -> [String] {
        guard options.propagation == nil, resource.qualified == "jobs.batch" else { return [] }
        return [
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"
        ]
    }

    private static func mark(_ object: inout JSON, grace: Int64, _ resource: Resource) {
        object["metadata"]["deletionTimestamp"] = .string(Timestamp.now().adding(seconds: grace).formatted())
        object["metadata"]["deletionGracePeriodSeconds"] = .integer(grace)
        if resource.hasGeneration { object.generation += 1 }
        if resource.qualified == "namespaces" { object["status"]["phase"] = "Terminating" }
        if resource.isDefinition { DefinitionStatus.markTerminating(&object, now: .now()) }
    }

    private static func namespaceFinalizers(_ object: JSON, _ resource: Resource) -> [JSON] {
        resource.qualified == "namespaces" ? object["spec"]["finalizers"].arrayValue : []
    }

    /// Seconds that a pod gets to end; 0 for what is deleted at once.
    private static func gracePeriod(_ present: JSON, _ options: DeleteOptions, _ resource: Resource) -> Int64 {
        guard resource.qualified == "pods" else { return 0 }
        var grace = options.gracePeriodSeconds ?? present["spec"]["terminationGracePeriodSeconds"].integerValue ?? 30
        if grace < 0 { grace = 1 }
        if present["spec"]["nodeName"].stringValue ?? "" == "" { return 0 }
        let phase = present["status"]["phase"].stringValue ?? ""
        return phase == "Succeeded" || phase == "Failed" ? 0 : grace
    }
}
