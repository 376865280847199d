import ObjectSchema
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
        /// Whether it is charged to quotas.
        var isCharged: Bool
        /// Whether it came of an apply, of which the managers are the point.
        var isApplied = false

        /// The object as it is stored.
        var bytes: [UInt8] { Self.bytes(of: object, managedFields) }

        static func bytes(of object: JSON, _ managedFields: [UInt8]) -> [UInt8] {
            object.serialized(adding: managedFields, as: "managedFields", to: "metadata")
        }
    }

    /// How often a creation is tried again that was charged to a quota which others used meanwhile. In this server such
    /// writes wait for each other: only other writers of the store get between.
    private static let chargeAttempts = 64

    func create(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.resource.has("create") else { throw .methodNotAllowed }
        try CustomResources.checkAccepts(context.resource)
        try WriteOptions.create.check(context.query)
        let form = try context.form
        let isDryRun = try context.request.isDryRun
        try create(try decodeObject(context), context, form, isDryRun: isDryRun, respond)
    }

    /// Creates an object that has been read from a request.
    func create(
        _ decoded: consuming DecodedBody, _ context: RequestContext, _ form: ResponseForm, isDryRun: Bool,
        _ respond: @escaping Responder
    ) throws(APIStatus) {
        let draft = try prepareCreation(decoded, context)
        if isDryRun {
            if try store(get: context.resource.key(draft.object.namespace, draft.object.name), context) != nil {
                throw .alreadyExists(context.resource, draft.object.name)
            }
            respond(try show(draft, revision: 0, context, form))
            return
        }
        guard draft.isCharged else { return try write(draft, context, form, attempt: 0, respond) }
        admission.quotas.inTurn(draft.object.namespace, retries) { [self] done in
            let answer: Responder = {
                done()
                respond($0)
            }
            do throws(APIStatus) {
                try write(draft, context, form, attempt: 0, answer)
            } catch {
                answer(.failure(error))
            }
        }
    }

    private func store(get key: String, _ context: RequestContext) throws(APIStatus) -> StoreRecord? {
        do { return try store.get(key) } catch { throw APIStatus(error, context.resource, context.path.name) }
    }

    /// All that happens to an object before its first write.
    func prepareCreation(_ decoded: consuming DecodedBody, _ context: RequestContext) throws(APIStatus) -> Draft {
        let resource = context.resource
        // The only reference to the object, which so is changed where it lies.
        var object = JSON.null
        swap(&object, &decoded.object)
        let (isNamed, isVersioned) = (!object.name.isEmpty, !object.resourceVersion.isEmpty)
        try Self.checkNamespace(&object, context)
        if resource.isNamespaced { try namespaces.checkAccepts(resource, object.name, namespace: object.namespace) }
        let generateName = object.metadata["generateName"].stringValue ?? ""
        if object.name.isEmpty {
            guard !generateName.isEmpty else {
                throw .invalid(resource, "", [.required("metadata.name", "name or generateName is required")])
            }
            object.name = makeName(prefix: generateName)
        }
        let twice = OwnerReferences.deduplicate(&object, isAdmitted: false)
        object = Conversion.toWorking(object, resource)
        let stored = resources.working(resource)
        object["metadata"].removeValue(forKey: "deletionTimestamp")
        object["metadata"].removeValue(forKey: "deletionGracePeriodSeconds")
        object.uid = makeUID()
        object["metadata"]["creationTimestamp"] = .string(Timestamp.now().formatted())
        if stored.hasGeneration { object.generation = 1 } else { object["metadata"].removeValue(forKey: "generation") }
        let given = object["metadata"].removeValue(forKey: "managedFields")
        rules.applyDefaults(&object, stored)
        Strategy.settle(&object, stored)
        DisabledFields.drop(from: &object, present: .null, stored)
        // What the server and its admission add from here on belongs to nobody: who applies less later does not remove it.
        let managed = FieldOwnership(self, context, .main).created(
            object, applied: decoded.applied, given: given ?? .null)
        Strategy.prepareForCreate(&object, stored)
        let old = stored.qualified == "pods" ? AppArmorAnnotations.takeOver(into: &object) : []
        rules.applyStatusDefaults(&object, stored)
        if stored.qualified == CertificateRequest.resource {
            CertificateRequest.sign(&object, as: context.request.user)
        }
        customResources.prepareStatus(&object, stored)
        var request = AdmissionRequest(
            .create, stored, subresource: context.path.subresource, context, object: consume object)
        try admission.admit(&request)
        request.warnings += OwnerReferences.deduplicate(&request.object, isAdmitted: true)
        request.object = StoredObject.normalized(request.object)
        var causes = rules.validate(request.object, stored)
        if resource.group == EventChecks.group { causes += EventChecks.faults(in: request.object) }
        guard causes.isEmpty else { throw .invalid(resource, request.name, causes.deduplicated()) }
        try admission.validate(&request)
        // As in Kubernetes, where its store says so, it is told only of what all else lets pass.
        guard !isVersioned else {
            throw .badRequest("resourceVersion should not be set on objects to be created")
        }
        return Draft(
            object: request.object, managedFields: managed,
            generateName: isNamed ? "" : generateName, steps: request.steps,
            warnings: decoded.warnings + twice + (context.request.isInternal ? [] : old) + request.warnings
                + Self.warnings(of: request.object, nil, stored, context),
            isCharged: request.isCharged, isApplied: decoded.applied != nil)
    }

    /// What a client is told of an object that is valid; the server itself needs no advice.
    static func warnings(
        of object: JSON, _ before: JSON?, _ resource: Resource, _ context: RequestContext
    ) -> [String] {
        if context.request.isInternal { return [] }
        return resource.custom == nil
            ? ObjectWarnings.texts(for: object, before: before, resource: resource.qualified)
            : ObjectWarnings.finalizers(of: object, before: before)
    }

    private func write(
        _ draft: Draft, _ context: RequestContext, _ form: ResponseForm, attempt: Int,
        _ respond: @escaping Responder
    ) throws(APIStatus) {
        let resource = context.resource
        let value = draft.bytes
        let kept = try Conversion.stored(draft.object, resource)
        let index = try self.index(of: kept, shown: draft.object, resource)
        let name = draft.object.name
        var transaction = StoreTransaction(completesPromptly: context.request.isOnLoop)
        transaction.create(
            resource.key(draft.object.namespace, name),
            value: resource.custom == nil ? value : Draft.bytes(of: kept, draft.managedFields), index: index)
        for step in draft.steps { step.add(to: &transaction) }
        if draft.isCharged {
            let charges = try admission.quotas.charges(
                for: draft.object, replacing: .null, resources.working(resource))
            for step in charges { step.add(to: &transaction) }
        }
        do throws(PluginError) {
            try commit(transaction, context.request) { [self] commit in
                guard let failure = commit.error else {
                    customResources.committed(name, resource, commit.revision)
                    do throws(APIStatus) {
                        let response = try value.withBytes { bytes throws(APIStatus) in
                            try show(bytes, commit.revision, context, form, status: 201)
                        }
                        respond(response.warning(draft.warnings))
                    } catch {
                        respond(.failure(error))
                    }
                    return
                }
                creationFailed(failure, commit, draft, context, form, attempt, respond)
            }
        } catch {
            creationFailed(
                error, StoreCommit(revision: 0, failedOperation: nil, error: error), draft, context, form, attempt,
                respond)
        }
    }

    private func creationFailed(
        _ failure: PluginError, _ commit: StoreCommit, _ draft: Draft, _ context: RequestContext, _ form: ResponseForm,
        _ attempt: Int, _ respond: @escaping Responder
    ) {
        // The account of its managers may be all that makes an object too large.
        if failure.code == HOSTD_ERROR_INVALID_ARGUMENT, !draft.managedFields.isEmpty, !draft.isApplied {
            return onRetry(context.resource, respond) { [self] () throws(APIStatus) in
                var next = draft
                next.managedFields = []
                try write(next, context, form, attempt: attempt, respond)
            }
        }
        let isTaken = failure.code == HOSTD_ERROR_ALREADY_EXISTS || failure.code == HOSTD_ERROR_CONFLICT
        let failed = commit.failedOperation ?? 0
        if isTaken, draft.isCharged, failed > draft.steps.count, attempt < Self.chargeAttempts {
            return onRetry(context.resource, respond) { [self] () throws(APIStatus) in
                try write(draft, context, form, attempt: attempt + 1, respond)
            }
        }
        guard isTaken, attempt < 8, failed > 0 || !draft.generateName.isEmpty else {
            if isTaken, failed > 0, failed <= draft.steps.count {
                respond(.failure(draft.steps[failed - 1].taken(context.resource, draft.object)))
            } else {
                respond(.failure(APIStatus(write: failure, context.resource, draft.object.name)))
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
            try write(next, context, form, attempt: attempt + 1, respond)
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
