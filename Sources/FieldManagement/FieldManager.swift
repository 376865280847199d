import ObjectSchema
import Objects

/// Keeps account of who owns which field of an object, and applies configurations by it. Pure: it reads no clock and
/// writes nothing. See https://kubernetes.io/docs/reference/using-api/server-side-apply/.
public struct FieldManager: Sendable {
    /// An object in another version of its kind, with the type there; nil when there is no such version (any more).
    public typealias Converter =
        @Sendable (_ object: JSON, _ apiVersion: String) -> (object: JSON, schema: SchemaNode?)?

    /// More updaters than this are put together.
    static let maximumUpdaters = 10

    /// The version of the request, in which objects come and go.
    public let apiVersion: String
    public let schema: SchemaNode?
    public let subresource: String
    /// Fields that this request does not change, such as the status of a request to the object itself.
    let reset: FieldSet
    /// Fields that nobody can own by this request: those, and what the server sets.
    let ignored: FieldSet
    let convert: Converter

    public init(
        apiVersion: String, schema: SchemaNode?, subresource: String = "", reset: FieldSet = FieldSet(),
        convert: @escaping Converter
    ) {
        self.apiVersion = apiVersion
        self.schema = schema
        self.subresource = subresource
        self.reset = reset
        ignored = reset.isEmpty ? Self.serverFields : reset.union(Self.serverFields)
        self.convert = convert
    }

    /// What identifies an object or is the server's alone.
    private static let serverFields = FieldSet(
        [[.field("apiVersion")], [.field("kind")]]
            + [
                "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
                "managedFields", "resourceVersion",
            ].map { [.field("metadata"), .field($0)] })

    /// Which fields this request may own of a set. `metadata` as a whole is nobody's, what is in it may be.
    private func ownable(_ fields: FieldSet) -> FieldSet {
        fields.subtracting(Self.metadataItself).subtractingRecursively(ignored)
    }

    private static let metadataItself = FieldSet([[.field("metadata")]])

    private var type: FieldType { FieldType(node: schema, property: nil) }

    // MARK: - Updates

    /// The managers after a create, update or patch that made `new` of `live` (nil: of nothing). Neither has managed
    /// fields in it. An object that nobody managed stays so.
    public func update(
        from live: JSON?, to new: JSON, _ managed: ManagedFields, manager: String, time: String
    ) -> ManagedFields {
        if live != nil, managed.isEmpty { return managed }
        let identity = FieldManagerIdentity(
            name: manager, operation: .update, apiVersion: apiVersion, subresource: subresource)
        var result = managed
        let before = live ?? EmptyObject.make(schema)
        let change = FieldComparison(from: before, to: new, schema: schema)
        guard !change.isEmpty else { return managed }
        transfer(&result, before, new, change, except: identity)
        let own = ownable(change.modified.union(change.added))
        let earlier = managed.managers[identity]?.fields ?? FieldSet()
        let fields = earlier.subtracting(change.removed).union(own)
        if own.isEmpty, change.removed.intersection(earlier).isEmpty { return result }
        result.managers[identity] = ManagedFields.Ownership(
            apiVersion: apiVersion, fields: fields, time: own.isEmpty ? managed.managers[identity]?.time ?? time : time)
        result.dropEmpty()
        result.limitUpdates(to: Self.maximumUpdaters)
        return result
    }

    /// Takes from the others what has changed or is gone.
    private func transfer(
        _ managed: inout ManagedFields, _ before: JSON, _ after: JSON, _ change: FieldComparison,
        except identity: FieldManagerIdentity
    ) {
        for (other, ownership) in managed.managers where other != identity {
            let seen = comparison(in: ownership.apiVersion, before, after, change)
            let lost = seen.modified.union(seen.added).union(seen.removed)
            managed.managers[other]?.fields = ownership.fields.subtracting(lost)
        }
        managed.dropEmpty()
    }

    private func comparison(
        in version: String, _ before: JSON, _ after: JSON, _ change: FieldComparison
    ) -> FieldComparison {
        guard version != apiVersion, let old = convert(before, version), let new = convert(after, version) else {
            return change
        }
        return FieldComparison(from: old.object, to: new.object, schema: new.schema)
    }

    // MARK: - Apply

    /// What came of an apply.
    public struct Applied: Sendable, Equatable {
        public let object: JSON
        public let managed: ManagedFields
        /// Whether the object itself is another one than before.
        public let hasChanged: Bool
    }

    /// Applies a configuration to the live object (nil: there is none). Neither has managed fields in it.
    /// Throws `TypedObjectError` for a configuration that is not of the type, `FieldConflicts` for fields of others,
    /// unless `force` takes them over.
    public func apply(
        _ config: JSON, to live: JSON?, _ managed: ManagedFields, manager: String, force: Bool, time: String
    ) throws -> Applied {
        // Of a new object it is for its kind to say what a client may set.
        let config = live == nil ? config : reset.removed(from: config, type) ?? [:]
        let given = try FieldSet.fields(of: config, schema: schema, isStrict: true)
        var before = managed
        if let live, before.isEmpty {
            before = adopt(live, time)
        }
        before.managers = before.managers.filter { isKnown($0.value.apiVersion) }
        let identity = FieldManagerIdentity(
            name: manager, operation: .apply, apiVersion: apiVersion, subresource: subresource)
        let present = live ?? EmptyObject.make(schema)
        var result = before
        result.managers[identity] = ManagedFields.Ownership(
            apiVersion: apiVersion, fields: given, time: before.managers[identity]?.time ?? time)
        var object = TypedMerge.merge(config, over: live, type)
        if let last = before.managers[identity] { object = prune(object, last, result) }
        result.managers[identity]?.fields = ownable(given)
        let change = FieldComparison(from: present, to: object, schema: schema)
        if !force { try check(change, present, object, result, identity, live) }
        transfer(&result, present, object, change, except: identity)
        if !change.isEmpty { result.managers[identity]?.time = time }
        result.dropEmpty()
        return Applied(object: object, managed: result, hasChanged: !change.isEmpty)
    }

    private func isKnown(_ version: String) -> Bool { version == apiVersion || convert([:], version) != nil }

    /// The managers of an object that had none: all that is there belongs to what was before the first apply.
    private func adopt(_ live: JSON, _ time: String) -> ManagedFields {
        var managed = ManagedFields()
        let fields = ownable(FieldSet.fields(of: live, type))
        guard !fields.isEmpty else { return managed }
        let identity = FieldManagerIdentity(
            name: FieldManagerIdentity.beforeFirstApply, operation: .update, apiVersion: apiVersion)
        managed.managers[identity] = ManagedFields.Ownership(apiVersion: apiVersion, fields: fields, time: time)
        return managed
    }

    /// Takes away what the manager applied last time, does not any more, and nobody else owns.
    private func prune(_ merged: JSON, _ last: ManagedFields.Ownership, _ managed: ManagedFields) -> JSON {
        guard last.apiVersion == apiVersion else {
            guard let there = convert(merged, last.apiVersion) else { return merged }
            let other = FieldManager(
                apiVersion: last.apiVersion, schema: there.schema, subresource: subresource, convert: convert)
            let pruned = other.prune(there.object, last, managed)
            return convert(pruned, apiVersion)?.object ?? merged
        }
        var kept = FieldSet()
        for (_, ownership) in managed.managers {
            kept = kept.union(
                ownership.apiVersion == apiVersion
                    ? ownership.fields.withNamedFields(type) : translated(ownership, merged))
        }
        let present = FieldSet.fields(of: merged, type).withNamedFields(type)
        let given = last.fields.withNamedFields(type)
        return present.intersection(given).subtracting(kept).removed(from: merged, type) ?? [:]
    }

    /// What a manager of another version owns, in this version: the fields there that its own version shows.
    private func translated(_ ownership: ManagedFields.Ownership, _ merged: JSON) -> FieldSet {
        guard let there = convert(merged, ownership.apiVersion) else { return FieldSet() }
        let thereType = FieldType(node: there.schema, property: nil)
        let all = FieldSet.fields(of: there.object, thereType).withNamedFields(thereType)
        let rest = all.subtracting(ownership.fields.withNamedFields(thereType))
        guard let owned = rest.removed(from: there.object, thereType).flatMap({ convert($0, apiVersion) }) else {
            return FieldSet()
        }
        return FieldSet.fields(of: owned.object, type).withNamedFields(type)
    }

    private func check(
        _ change: FieldComparison, _ before: JSON, _ after: JSON, _ managed: ManagedFields,
        _ identity: FieldManagerIdentity, _ live: JSON?
    ) throws(FieldConflicts) {
        var conflicts: [(FieldManagerIdentity, String, FieldSet)] = []
        for (other, ownership) in managed.managers where other != identity {
            let seen = comparison(in: ownership.apiVersion, before, after, change)
            conflicts.append((other, ownership.time, ownership.fields.intersection(seen.modified.union(seen.added))))
        }
        guard let found = FieldConflicts(conflicts) else { return }
        if identity.name == LastApplied.manager, let live {
            let own = LastApplied.fields(of: live, type)
            if conflicts.allSatisfy({ $0.2.subtracting(own).isEmpty }) { return }
        }
        throw found
    }
}
