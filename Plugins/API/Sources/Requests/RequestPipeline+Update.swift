import FieldManagement
import Objects
import PluginAPI
import PluginKit

/// Replacement and patch: read, change, admit, validate, write at the revision that was read; again when it has moved.
extension RequestPipeline {
    /// Makes of the present object, in the version of the request, the one that is wanted.
    typealias Change = @Sendable (_ present: JSON) throws(APIStatus) -> DecodedBody

    /// What an update is, apart from how the new object comes about.
    struct Update: Sendable {
        var change: Change
        /// What an apply gives; the change is then made by ownership of fields.
        var applied: Apply?
        /// By which it is remembered when it changes nothing.
        var unchanged: UnchangedApplies.Request?
        /// How the object and the present one are put together: the main resource, or a subresource.
        var scope: Strategy.Scope = .main
        var warnings: [String] = []
        /// What is shown of the outcome; nil for the object itself.
        var show: (@Sendable (JSON) -> JSON)?
        /// Makes the object that is wanted of what admission leaves of what is shown: policies and webhooks see a scale, and not
        /// what is scaled. Nil where they see the object.
        var takeAdmitted: (@Sendable (_ shown: JSON, _ object: JSON) throws(APIStatus) -> JSON)?
        /// Whether policies and webhooks have been asked already.
        var isAdmitted = false
        var successCode = 200
        /// Whether the client named the revision that it changes: then a newer one is a conflict. Otherwise the present
        /// object is read again when it was written meanwhile, this many times.
        var namesRevision = false
        var attempts = RequestPipeline.mostAttempts
        /// Whether the account of who manages which field is given up, without which the object is small enough to be kept.
        var dropsManagers = false
    }

    func update(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.resource.has("update") else { throw .methodNotAllowed }
        try replace(context, .main, respond)
    }

    /// PUT on the main resource or on a subresource that has the object's own shape.
    func replace(_ context: RequestContext, _ scope: Strategy.Scope, _ respond: @escaping Responder) throws(APIStatus) {
        try WriteOptions.update.check(context.query)
        let decoded = try decodeObject(context)
        var object = decoded.object
        if context.request.isInternal, object.name.isEmpty { object.name = context.path.name }
        try Self.checkNames(&object, context)
        if scope == .main, try mayCreate(context) {
            object["metadata"].removeValue(forKey: "resourceVersion")
            var creation = context
            creation.request.method = .post
            _ = try isAuthorized(creation, mayWait: true)
            creation.path.name = ""
            creation.request.body = object.serialized()
            return try create(creation, respond)
        }
        let warnings = decoded.warnings + OwnerReferences.deduplicate(&object, isAdmitted: false)
        let wanted = object
        let namesRevision = !wanted.resourceVersion.isEmpty && wanted.resourceVersion != "0"
        let resource = context.resource
        let lacksRevision =
            !namesRevision && !context.request.isInternal
            && (resource.custom != nil || Self.changedByRevision.contains(resource.qualified))
        try run(
            Update(
                change: { (present) throws(APIStatus) in
                    // Another object altogether is told of first.
                    guard !lacksRevision || (!wanted.uid.isEmpty && wanted.uid != present.uid) else {
                        throw .invalid(
                            resource, wanted.name,
                            [.invalid("metadata.resourceVersion", 0, "must be specified for an update")])
                    }
                    return DecodedBody(object: wanted)
                }, scope: scope, warnings: warnings, namesRevision: namesRevision), context, respond)
    }

    /// Kinds that PUT creates when they are absent, as their registries in Kubernetes allow.
    private static let createdByUpdates: Set = [
        "clusterrolebindings.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io", "endpoints",
        "events",
        "leases.coordination.k8s.io", "limitranges", "rolebindings.rbac.authorization.k8s.io",
        "roles.rbac.authorization.k8s.io", "runtimeclasses.node.k8s.io", "services",
    ]

    /// Kinds of which PUT must name the revision that it changes, as their registries in Kubernetes demand; so do custom
    /// resources.
    private static let changedByRevision: Set = [
        "apiservices.apiregistration.k8s.io", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io",
        "csistoragecapacities.storage.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io", "leases.coordination.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io", "poddisruptionbudgets.policy",
        "runtimeclasses.node.k8s.io", "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io", "volumeattachments.storage.k8s.io",
    ]

    private func mayCreate(_ context: RequestContext) throws(APIStatus) -> Bool {
        guard Self.createdByUpdates.contains(context.resource.qualified) else { return false }
        do { return try store.get(context.key) == nil } catch {
            throw APIStatus(error, context.resource, context.path.name)
        }
    }

    func patch(_ context: RequestContext, type: String, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.resource.has("patch") else { throw .methodNotAllowed }
        try patch(context, type: type, .main, respond)
    }

    func patch(
        _ context: RequestContext, type: String, _ scope: Strategy.Scope, _ respond: @escaping Responder
    ) throws(APIStatus) {
        let isApply = Apply.isAsked(by: type)
        try (isApply ? WriteOptions.apply : .patch).check(context.query)
        if isApply { return try apply(context, scope, respond) }
        let patch = try Patch(context, type: type, rules: rules)
        try run(
            Update(
                change: { [self] (present) throws(APIStatus) in
                    var patched = try patch.apply(present)
                    try checkKind(ofPatched: &patched, patch, context.resource)
                    var decoded = try checkFields(ofPatched: patched, patch, context)
                    try Self.checkNames(&decoded.object, context)
                    return decoded
                }, scope: scope, namesRevision: context.request.body.contains(text: "\"resourceVersion\"")), context,
            respond)
    }

    // MARK: - The update itself

    /// Runs an update to its end.
    func run(_ update: Update, _ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        let form = try context.form
        let isDryRun = try context.request.isDryRun
        let record = try read(context)
        let raw: JSON
        /// What is written back as it was, and not looked at.
        var managedFields: [UInt8] = []
        do {
            // A binding makes nobody an owner.
            if update.scope == .binding {
                (raw, managedFields) = try record.objectAndManagedFields()
            } else {
                raw = try record.object()
            }
        } catch {
            throw .internalError("the stored object is damaged: \(error)")
        }
        let present = try Conversion.present(raw, context.resource)
        let isOutdated = context.resource.custom != nil && Self.isOutdated(raw, shownAs: present, context.resource)
        let planned = try plan(update, present, record.revision, context, isOutdated: isOutdated)
        var update = update
        update.warnings += planned.warnings
        switch planned.outcome {
        case .unchanged:
            if let request = update.unchanged { unchangedApplies.remember(request, at: record.revision) }
            respond(try shown(update, StoredObject.normalized(present), record.revision, context, form))
        case .write(let object, let steps, let isFixed):
            if isDryRun { return respond(try shown(update, object, record.revision, context, form)) }
            var transaction = StoreTransaction(completesPromptly: context.request.isOnLoop)
            let kept = try Conversion.stored(object, context.resource)
            transaction.update(
                context.key, value: kept.serialized(adding: managedFields, as: "managedFields", to: "metadata"),
                index: try index(of: kept, shown: object, context.resource), expected: record.revision)
            for step in steps { step.add(to: &transaction) }
            try commit(transaction, update, object, steps, isFixed, context, form, respond)
        case .remove(let object):
            if isDryRun { return respond(try shown(update, object, record.revision, context, form)) }
            var transaction = StoreTransaction(completesPromptly: context.request.isOnLoop)
            transaction.delete(context.key, expected: record.revision)
            for step in admission.releases(present, context.resource) { step.add(to: &transaction) }
            try commit(transaction, update, object, [], false, context, form, respond)
        }
    }

    /// Whether a custom object lies in the store otherwise than it would be written now: in another version, or without defaults
    /// that its definition has got since.
    private static func isOutdated(_ raw: JSON, shownAs present: JSON, _ resource: Resource) -> Bool {
        raw.apiVersion != resource.storageAPIVersion || (present.apiVersion == raw.apiVersion && present != raw)
    }

    private func commit(
        _ transaction: StoreTransaction, _ update: Update, _ object: JSON, _ steps: [AllocationStep], _ isFixed: Bool,
        _ context: RequestContext, _ form: ResponseForm, _ respond: @escaping Responder
    ) throws(APIStatus) {
        do throws(PluginError) {
            try commit(transaction, context.request) { [self] commit in
                guard let failure = commit.error else {
                    customResources.committed(context.path.name, context.resource, commit.revision)
                    do throws(APIStatus) {
                        respond(try shown(update, object, commit.revision, context, form))
                    } catch {
                        respond(.failure(error))
                    }
                    return
                }
                if retryWithoutManagers(failure, update, object, context, respond) { return }
                if let failed = commit.failedOperation, failed > 0, failed <= steps.count, steps[failed - 1].isFixed {
                    respond(.failure(steps[failed - 1].taken(context.resource, object)))
                    return
                }
                // Others used a quota meanwhile: that says nothing of the revision that the client named.
                let isCharge = commit.failedOperation.map { $0 > 0 && $0 <= steps.count && steps[$0 - 1].isCharge }
                guard failure.code == HOSTD_ERROR_CONFLICT || failure.code == HOSTD_ERROR_ALREADY_EXISTS,
                    !isFixed || isCharge == true, update.attempts > 0
                else {
                    respond(.failure(APIStatus(write: failure, context.resource, context.path.name)))
                    return
                }
                var again = update
                again.attempts -= 1
                let next = again
                onRetry(context.resource, respond) { [self] () throws(APIStatus) in try run(next, context, respond) }
            }
        } catch {
            if retryWithoutManagers(error, update, object, context, respond) { return }
            throw APIStatus(write: error, context.resource, context.path.name)
        }
    }

    /// Tries again what the store does not take as it is, as may be for its size. Whether it does.
    private func retryWithoutManagers(
        _ failure: PluginError, _ update: Update, _ object: JSON, _ context: RequestContext,
        _ respond: @escaping Responder
    ) -> Bool {
        guard failure.code == HOSTD_ERROR_INVALID_ARGUMENT, !update.dropsManagers, update.applied == nil,
            object["metadata"]["managedFields"].exists
        else { return false }
        var again = update
        again.dropsManagers = true
        let next = again
        onRetry(context.resource, respond) { [self] () throws(APIStatus) in try run(next, context, respond) }
        return true
    }

    private func shown(
        _ update: Update, _ object: JSON, _ revision: UInt64, _ context: RequestContext, _ form: ResponseForm
    ) throws(APIStatus) -> HTTPResponse {
        if let show = update.show {
            var object = object
            object.resourceVersion = String(revision)
            return .json(update.successCode, show(object)).warning(update.warnings)
        }
        return try object.serialized().withBytes { bytes throws(APIStatus) in
            try show(bytes, revision, context, form, status: update.successCode)
        }.warning(update.warnings)
    }

    /// The present object as a client sees it.
    private static func shown(_ present: JSON, _ managed: JSON, _ resource: Resource) -> JSON {
        var object = Conversion.fromWorking(present, resource)
        if managed.exists { object["metadata"]["managedFields"] = managed }
        return object
    }

    enum Outcome {
        case unchanged
        /// `isFixed`: the client named the revision that it changed, so that a newer one is a conflict.
        case write(JSON, [AllocationStep], isFixed: Bool)
        /// The last finalizer is gone.
        case remove(JSON)
    }

    /// What becomes of an update, and what the client is warned of.
    struct Plan {
        var outcome: Outcome
        var warnings: [String]
    }

    /// Decides what an update does to the present object (with its resource version); no effect. An object that is
    /// outdated, stored in a version that is not the stored one any more, is written even if it does not change.
    func plan(
        _ update: Update, _ present: JSON, _ revision: UInt64, _ context: RequestContext, isOutdated: Bool = false
    ) throws(APIStatus) -> Plan {
        let resource = context.resource
        let stored = resources.working(resource)
        let ownership = FieldOwnership(self, context, update.scope)
        var present = present
        let managed = present["metadata"].removeValue(forKey: "managedFields") ?? .null
        var object: JSON
        var warnings: [String] = []
        var applied: ManagedFields?
        if let apply = update.applied {
            (object, applied) = try ownership.apply(apply, to: present, managed)
            if resource.custom == nil { _ = try rules.prune(&object, resource) }
        } else {
            let changed = try update.change(Self.shown(present, managed, resource))
            (object, warnings) = (changed.object, changed.warnings)
        }
        let given = object["metadata"].removeValue(forKey: "managedFields") ?? .null
        let named = object.resourceVersion
        if !named.isEmpty, named != "0", named != String(revision) { throw .conflict(resource, context.path.name) }
        if !object.uid.isEmpty, object.uid != present.uid {
            throw .conflict(
                resource, context.path.name,
                "Precondition failed: UID in precondition: \(object.uid), UID in object meta: \(present.uid)")
        }
        object = Conversion.toWorking(object, resource)
        Strategy.merge(&object, present, stored, update.scope)
        if update.scope == .main { DisabledFields.drop(from: &object, present: present, stored) }
        // A binding adds nothing that has defaults.
        if update.scope != .binding { rules.applyDefaults(&object, stored) }
        if update.scope == .status { rules.applyStatusDefaults(&object, stored) }
        if update.scope == .main { customResources.prepareStatus(&object, stored) }
        // What admission changes belongs to nobody.
        let before = StoredObject.normalized(present)
        let owned = ownership.updated(
            StoredObject.normalized(object), from: before, managed, given: given, applied: applied)
        let seen = update.takeAdmitted == nil ? nil : update.show
        var request = AdmissionRequest(
            .update, stored, subresource: update.scope.subresource ?? context.path.subresource, context,
            old: seen?(present) ?? present, object: seen?(object) ?? object)
        if !update.isAdmitted { try admission.admit(&request) }
        if let take = update.takeAdmitted { request.object = try take(request.object, object) }
        request.warnings += OwnerReferences.deduplicate(&request.object, isAdmitted: true)
        object = StoredObject.normalized(request.object)
        Strategy.countGeneration(&object, before, stored, update.scope)
        if object == before, !isOutdated, owned == managed || ManagedFields.areSame(owned, managed) {
            // The object is as it was found right; whether this client may write it is asked all the same.
            request.object = seen?(object) ?? object
            if !update.isAdmitted { try admission.validate(&request) }
            return Plan(outcome: .unchanged, warnings: warnings + request.warnings)
        }
        var causes = rules.validateUpdate(of: object, from: before, stored, update.scope)
        if resource.group == EventChecks.group { causes += EventChecks.faults(in: object, from: before) }
        guard causes.isEmpty else { throw .invalid(resource, object.name, causes.deduplicated()) }
        request.object = seen?(object) ?? object
        if !update.isAdmitted { try admission.validate(&request) }
        if owned.exists, !update.dropsManagers { object["metadata"]["managedFields"] = owned }
        let outcome: Outcome =
            Strategy.isFinished(object, stored)
            ? .remove(object) : .write(object, request.steps, isFixed: update.namesRevision)
        let advice = update.scope == .main ? Self.warnings(of: object, before, stored, context) : []
        return Plan(outcome: outcome, warnings: warnings + request.warnings + advice)
    }
}

extension [UInt8] {
    func contains(text: String) -> Bool {
        let needle = Array(text.utf8)
        guard let first = needle.first else { return true }
        var position = startIndex
        while let found = self[position...].firstIndex(of: first), found + needle.count <= endIndex {
            if self[found..<(found + needle.count)].elementsEqual(needle) { return true }
            position = found + 1
        }
        return false
    }
}
