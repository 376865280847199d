import Objects
import PluginAPI
import PluginKit

/// Creation: decode, default, admit, validate, write once, answer when it is on disk.
extension RequestPipeline {
    /// An object ready to be written for the first time.
    struct Draft: Sendable {
        /// Without its managed fields.
        var object: JSON
        /// `metadata.managedFields` as JSON text; empty when there are none.
        var managedFields: [UInt8]
        var generateName: String
        var steps: [AllocationStep]
        var warnings: [String]

        /// The object as it is stored.
        var bytes: [UInt8] { Self.bytes(of: object, managedFields) }

        static func bytes(of object: JSON, _ managedFields: [UInt8]) -> [UInt8] {
            object.serialized(adding: managedFields, as: "managedFields", to: "metadata")
        }
    }

    func create(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.resource.has("create") else { throw .methodNotAllowed }
        try CustomResources.checkAccepts(context.resource)
        let form = try ResponseForm.choose(context.request.accept)
        let isDryRun = try context.request.isDryRun
        try create(try decodeObject(context), context, form, isDryRun: isDryRun, respond)
    }

    /// Creates an object that has been read from a request.
    func create(
        _ decoded: DecodedBody, _ context: RequestContext, _ form: ResponseForm, isDryRun: Bool,
        _ respond: @escaping Responder
    ) throws(APIStatus) {
        var draft = try prepareCreation(decoded, context)
        if isDryRun {
            if try store(get: context.resource.key(draft.object.namespace, draft.object.name), context) != nil {
                throw .alreadyExists(context.resource, draft.object.name)
            }
            respond(try show(draft, revision: 0, context, form))
            return
        }
        try write(&draft, context, form, attempt: 0, respond)
    }

    private func store(get key: String, _ context: RequestContext) throws(APIStatus) -> StoreRecord? {
        do { return try store.get(key) } catch { throw APIStatus(error, context.resource, context.path.name) }
    }

    /// All that happens to an object before its first write.
    func prepareCreation(_ decoded: DecodedBody, _ context: RequestContext) throws(APIStatus) -> Draft {
        let resource = context.resource
        var object = decoded.object
        try Self.checkNamespace(&object, context)
        guard object.resourceVersion.isEmpty else {
            throw .badRequest("resourceVersion should not be set on objects to be created")
        }
        if resource.isNamespaced { try namespaces.checkAccepts(resource, object.name, namespace: object.namespace) }
        let generateName = object.metadata["generateName"].stringValue ?? ""
        if object.name.isEmpty {
            guard !generateName.isEmpty else {
                throw .invalid(resource, "", [.required("metadata.name", "name or generateName is required")])
            }
            object.name = makeName(prefix: generateName)
        }
        object = Conversion.toWorking(object, resource)
        let stored = resources.working(resource)
        object["metadata"].removeValue(forKey: "deletionTimestamp")
        object["metadata"].removeValue(forKey: "deletionGracePeriodSeconds")
        object.uid = makeUID()
        object["metadata"]["creationTimestamp"] = .string(Timestamp.now().formatted())
        if stored.hasGeneration { object.generation = 1 } else { object["metadata"].removeValue(forKey: "generation") }
        let given = object["metadata"].removeValue(forKey: "managedFields")
        rules.applyDefaults(&object, stored)
        Strategy.prepareForCreate(&object, stored)
        customResources.prepareStatus(&object, stored)
        var request = AdmissionRequest(
            .create, stored, subresource: context.path.subresource, context, object: consume object)
        try admission.admit(&request)
        request.object = StoredObject.normalized(request.object)
        let causes = rules.validate(request.object, stored)
        guard causes.isEmpty else { throw .invalid(resource, request.name, causes.deduplicated()) }
        try admission.validate(&request)
        let ownership = FieldOwnership(self, context, .main)
        return Draft(
            object: request.object,
            managedFields: ownership.created(request.object, applied: decoded.applied, given: given ?? .null),
            generateName: decoded.object.name.isEmpty ? generateName : "", steps: request.steps,
            warnings: decoded.warnings + request.warnings)
    }

    private func write(
        _ draft: inout Draft, _ context: RequestContext, _ form: ResponseForm, attempt: Int,
        _ respond: @escaping Responder
    ) throws(APIStatus) {
        let resource = context.resource
        let value = draft.bytes
        let kept = try Conversion.stored(draft.object, resource)
        let index = StoredObject.index(of: kept, resource)
        let name = draft.object.name
        var transaction = StoreTransaction()
        transaction.create(
            resource.key(draft.object.namespace, name),
            value: resource.custom == nil ? value : Draft.bytes(of: kept, draft.managedFields), index: index)
        for step in draft.steps { step.add(to: &transaction) }
        let sent = draft
        do throws(PluginError) {
            try commit(transaction, context.request) { [self] commit in
                guard let failure = commit.error else {
                    customResources.committed(name, resource, commit.revision)
                    do throws(APIStatus) {
                        let response = try value.withBytes { bytes throws(APIStatus) in
                            try show(bytes, commit.revision, context, form, status: 201)
                        }
                        respond(response.warning(sent.warnings))
                    } catch {
                        respond(.failure(error))
                    }
                    return
                }
                creationFailed(failure, commit, sent, context, form, attempt, respond)
            }
        } catch {
            throw APIStatus(error, resource, name)
        }
    }

    private func creationFailed(
        _ failure: PluginError, _ commit: StoreCommit, _ draft: Draft, _ context: RequestContext, _ form: ResponseForm,
        _ attempt: Int, _ respond: @escaping Responder
    ) {
        let isTaken = failure.code == HOSTD_ERROR_ALREADY_EXISTS || failure.code == HOSTD_ERROR_CONFLICT
        let failed = commit.failedOperation ?? 0
        guard isTaken, attempt < 8, failed > 0 || !draft.generateName.isEmpty else {
            if isTaken, failed > 0, failed <= draft.steps.count {
                respond(.failure(draft.steps[failed - 1].taken(context.resource, draft.object)))
            } else {
                respond(.failure(APIStatus(failure, context.resource, draft.object.name)))
            }
            return
        }
        // A generated name or a chosen address was taken in the meantime: choose again, off the store's thread.
        onRetry(context.resource, respond) { [self] () throws(APIStatus) in
            var next = draft
            if failed == 0 {
                next.object.name = makeName(prefix: draft.generateName)
            } else {
                guard failed <= draft.steps.count, !draft.steps[failed - 1].isFixed else {
                    throw draft.steps[failed - 1].taken(context.resource, draft.object)
                }
                next.steps = try admission.chooseAgain(&next.object, context.resource, draft.steps)
            }
            try write(&next, context, form, attempt: attempt + 1, respond)
        }
    }

    private func show(
        _ draft: Draft, revision: UInt64, _ context: RequestContext, _ form: ResponseForm
    ) throws(APIStatus) -> HTTPResponse {
        return try draft.bytes.withBytes { bytes throws(APIStatus) in
            try show(bytes, revision, context, form, status: 201)
        }.warning(draft.warnings)
    }
}

extension [APIStatus.Cause] {
    /// Each cause once, in order.
    func deduplicated() -> [APIStatus.Cause] {
        var seen: Set<APIStatus.Cause> = []
        return filter { seen.insert($0).inserted }
    }
}

/// A key that a write takes or gives back with its object: an address, a port.
struct AllocationStep: Sendable {
    enum Action: Sendable {
        case take
        case release
        /// Writes a further object.
        case put(value: [UInt8], index: [UInt8])
    }

    var action: Action
    var key: String
    /// Who holds it, for a reader of the store.
    var holder: String
    /// Whether the client asked for just this one.
    var isFixed: Bool
    /// The field that holds it, and its value, for the message when it is taken.
    var field: String
    var value: JSON
    var problem: String

    func add(to transaction: inout StoreTransaction) {
        switch action {
        case .take:
            transaction.create(key, value: (["holder": .string(holder)] as JSON).serialized())
        case .release: transaction.delete(key)
        case .put(let value, let index): transaction.put(key, value: value, index: index)
        }
    }

    /// A service account that is written with its namespace.
    static func put(_ account: JSON) -> AllocationStep {
        let index = [".metadata.name", account.name, ".metadata.namespace", account.namespace]
        return AllocationStep(
            action: .put(
                value: account.serialized(), index: Array(index.map { $0 + "\0" }.joined().utf8)),
            key: "serviceaccounts/\(account.namespace)/\(account.name)", holder: "", isFixed: true, field: "",
            value: .null,
            problem: "")
    }

    func taken(_ resource: Resource, _ object: JSON) -> APIStatus {
        .invalid(resource, object.name, [.invalid(field, value, problem)])
    }
}
