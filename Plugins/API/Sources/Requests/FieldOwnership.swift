import FieldManagement
import Objects

/// Ownership of fields for one request: `metadata.managedFields` after it, and the object that an apply makes.
struct FieldOwnership {
    private let fields: FieldManager
    private let resource: Resource
    private let place: String
    private let scope: Strategy.Scope
    private let manager: String

    init(_ pipeline: RequestPipeline, _ context: RequestContext, _ scope: Strategy.Scope) {
        resource = context.resource
        let path = context.path
        place = path.namespace.isEmpty ? path.name : "\(path.namespace)/\(path.name)"
        self.scope = scope
        let own = context.request.fieldManager
        manager = own.isEmpty ? (context.request.isInternal ? "hostd" : "unknown") : own
        let (rules, table, store, resource) = (pipeline.rules, pipeline.resources, pipeline.store, context.resource)
        fields = FieldManager(
            apiVersion: resource.apiVersion, schema: rules.schema(of: resource),
            subresource: context.path.subresource, reset: Self.reset(scope, resource)
        ) { object, version in
            if version == resource.apiVersion { return (object, rules.schema(of: resource)) }
            guard let other = table.find(apiVersion: version, kind: resource.kind),
                other.qualified == resource.qualified
            else { return nil }
            if let custom = other.custom {
                // A version that cannot be had now is as one that there is none of.
                guard (try? custom.prepare(store)) != nil,
                    let shown = try? CustomConversion.shown(object, other, custom)
                else { return nil }
                return (shown, custom.schema)
            }
            return (
                Conversion.fromStorage(Conversion.toStorage(object, resource), other), rules.schema(of: other)
            )
        }
    }

    /// What a request at the object, or at a subresource, leaves as it is.
    private static func reset(_ scope: Strategy.Scope, _ resource: Resource) -> FieldSet {
        switch scope {
        case .main: resource.hasStatus ? FieldSet([[.field("status")]]) : FieldSet()
        case .status: FieldSet([[.field("spec")]] + StatusMetadata.fields(resource))
        case .finalize, .ephemeralContainers, .resize, .approval, .binding, .whole: FieldSet()
        }
    }

    /// Only requests in which a client says what it wants make an owner; a binding does not.
    private var isTracked: Bool { scope != .binding && (scope != .whole || fields.subresource == "scale") }

    private func decoded(_ value: JSON) -> ManagedFields {
        // As Kubernetes does: what cannot be read, by an older or another server, is as if nobody managed the object.
        do { return try ManagedFields(decoding: value) } catch { return ManagedFields() }
    }

    // MARK: - Outcomes

    /// `metadata.managedFields` of a new object in the storage version, as JSON text; empty when it has none.
    func created(_ object: JSON, applied: ManagedFields?, given: JSON) -> [UInt8] {
        if let applied { return applied.isEmpty ? [] : applied.encoded.serialized() }
        let shown = Conversion.fromWorking(object, resource)
        let time = Timestamp.now().formatted()
        let managed = decoded(given)
        if managed.isEmpty { return fields.created(shown, manager: manager, time: time) }
        return fields.update(from: nil, to: shown, managed, manager: manager, time: time).encoded.serialized()
    }

    /// `metadata.managedFields` after an update. `given` is what the request had there: an empty list or entry makes the
    /// object one that nobody manages, and other entries count instead of the present ones.
    func updated(
        _ object: JSON, from before: JSON, _ managed: JSON, given: JSON, applied: ManagedFields?
    ) -> JSON {
        if let applied { return applied.isEmpty ? .null : applied.encoded }
        guard isTracked else { return managed }
        if scope == .main, Self.isReset(given) { return .null }
        var start = decoded(managed)
        if scope == .main, given.exists, given != managed {
            let wanted = decoded(given)
            if !wanted.isEmpty { start = wanted }
        }
        let after = fields.update(
            from: Conversion.fromWorking(before, resource), to: Conversion.fromWorking(object, resource), start,
            manager: manager, time: Timestamp.now().formatted())
        if after == decoded(managed) { return managed }
        return after.isEmpty ? .null : after.encoded
    }

    private static func isReset(_ given: JSON) -> Bool {
        guard case .array(let entries) = given else { return false }
        return entries.isEmpty || (entries.count == 1 && entries[0].objectValue?.isEmpty == true)
    }

    /// What an apply makes of the stored object (nil: there is none), in the version of the request.
    func apply(
        _ apply: Apply, to present: JSON?, _ managed: JSON
    ) throws(APIStatus) -> (object: JSON, managed: ManagedFields) {
        var config = apply.config
        let version = config["metadata"].removeValue(forKey: "resourceVersion")
        var live = present.map { Conversion.fromWorking($0, resource) }
        let revision = live?["metadata"].removeValue(forKey: "resourceVersion")
        do {
            let before = decoded(managed)
            let outcome = try fields.apply(
                config, to: live, before, manager: apply.manager, force: apply.force,
                time: Timestamp.now().formatted())
            var object = LastApplied.refreshed(outcome.object, config: config, manager: apply.manager)
            if let version = version ?? revision, present != nil { object["metadata"]["resourceVersion"] = version }
            return (object, outcome.managed)
        } catch let conflicts as FieldConflicts {
            throw conflict(conflicts)
        } catch {
            throw APIStatus(
                code: 500, reason: "",
                message:
                    "failed to create typed patch object (\(place); \(resource.apiVersion), Kind=\(resource.kind)): "
                    + "\(error)")
        }
    }

    private func conflict(_ conflicts: FieldConflicts) -> APIStatus {
        var status = APIStatus(code: 409, reason: "Conflict", message: conflicts.message)
        status.causes = conflicts.conflicts.map {
            .init(reason: "FieldManagerConflict", message: "conflict with \($0.managerText)", field: $0.field)
        }
        return status
    }
}
