import ObjectSchema
import Objects

/// The rules that the schema table gives.
struct SchemaRules: ObjectRules {
    private let table = Schema.shared
    private let patches = StrategicMergePatch()

    func schema(of resource: Resource) -> SchemaNode? {
        if let custom = resource.custom { return custom.schema }
        if let known = resource.knownSchema.load() { return known }
        let kind = GroupVersionKind(group: resource.group, version: resource.version, kind: resource.kind)
        return table.kind(kind).map { resource.knownSchema.storeIfNil($0) }
    }

    func applyDefaults(_ object: inout JSON, _ resource: Resource) {
        if let node = schema(of: resource) { table.applyDefaults(&object, as: node) }
    }

    func applyStatusDefaults(_ object: inout JSON, _ resource: Resource) {
        guard resource.hasStatus, let node = schema(of: resource) else { return }
        table.applyStatusDefaults(&object, as: node)
    }

    func prune(_ object: inout JSON, _ resource: Resource) throws(APIStatus) -> [String] {
        guard let node = schema(of: resource) else { return [] }
        do {
            return try table.prune(&object, as: node)
        } catch {
            throw .badRequest(
                "\(resource.kind) in version \"\(resource.version)\" cannot be handled as a \(resource.kind): \(error)")
        }
    }

    func validate(_ object: JSON, _ resource: Resource) -> [APIStatus.Cause] {
        guard let node = schema(of: resource) else { return [] }
        let causes = (table.validate(object, as: node) + table.creationErrors(in: object, as: node)).map(Self.cause)
        if let scale = resource.custom?.scale { return causes + scale.faults(in: object) }
        if resource.group == FlowObjects.group { return causes + MandatoryFlowObjects.faults(in: object, resource) }
        if resource.qualified == CertificateRequest.resource {
            return causes + CertificateRequestChecks.faults(in: object)
        }
        return resource.group == ExpressionChecks.group
            ? causes + ExpressionChecks.faults(in: object, resource) : causes
    }

    func validateUpdate(
        of object: JSON, from before: JSON, _ resource: Resource, _ scope: Strategy.Scope
    ) -> [APIStatus.Cause] {
        guard let node = schema(of: resource) else { return [] }
        if let custom = resource.custom {
            let causes = table.validateUpdate(from: before, to: object, as: node).map(Self.cause)
            return causes + (custom.scale?.faults(in: object, isStatus: scope == .status) ?? [])
        }
        let metadata = { self.table.metadataErrors(from: before, to: object, as: node).map(Self.cause) }
        switch scope {
        case .main:
            let causes = table.validateUpdate(from: before, to: object, as: node).map(Self.cause)
            if resource.group == FlowObjects.group { return causes + MandatoryFlowObjects.faults(in: object, resource) }
            return resource.group == ExpressionChecks.group
                ? causes + ExpressionChecks.faults(in: object, from: before, resource) : causes
        case .whole: return table.validate(object, as: node).map(Self.cause)
        case .ephemeralContainers:
            let faults = EphemeralContainerRules.faults(in: object, from: before)
            return (faults + table.validate(object, as: node)).map(Self.cause)
        case .resize:
            return (PodResize.faults(in: object, from: before) + table.validate(object, as: node)).map(Self.cause)
        case .binding: return table.bindingErrors(from: before, to: object, as: node).map(Self.cause)
        // The types are checked, and the rest of the object is as it was.
        case .approval: return metadata() + CertificateRequest.faults(in: object, from: before, isApproval: true)
        case .status where resource.qualified == CertificateRequest.resource:
            return metadata() + CertificateRequest.faults(in: object, from: before, isApproval: false)
        case .status where resource.qualified == "resourceclaims.resource.k8s.io":
            return metadata() + table.claimStatusErrors(from: before, to: object).map(Self.cause)
        case .finalize: return metadata() + table.finalizerErrors(in: object).map(Self.cause)
        case .status:
            return metadata() + table.statusErrors(from: before, to: object, as: node).map(Self.cause)
                + (resource.isDefinition ? table.storedVersionErrors(in: object).map(Self.cause) : [])
        }
    }

    private static func cause(_ error: FieldError) -> APIStatus.Cause {
        .init(reason: error.kind.rawValue, message: error.message, field: error.path)
    }

    func strategicMerge(_ patch: JSON, to object: JSON, _ resource: Resource) throws -> JSON {
        try patches.apply(patch, to: object, schema: schema(of: resource))
    }
}

extension ResourceTable {
    /// Kinds whose metadata.generation counts the changes of their specification.
    private static let counted: Set = [
        "pods", "replicationcontrollers", "deployments.apps", "replicasets.apps", "statefulsets.apps",
        "daemonsets.apps",
        "jobs.batch", "cronjobs.batch", "ingresses.networking.k8s.io", "ingressclasses.networking.k8s.io",
        "networkpolicies.networking.k8s.io", "poddisruptionbudgets.policy", "flowschemas.flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io", "priorityclasses.scheduling.k8s.io",
        "resourceslices.resource.k8s.io", "deviceclasses.resource.k8s.io", "podtemplates", "csidrivers.storage.k8s.io",
        "plugins.hostd.dev",
    ]

    /// The resources of the schema table.
    static func ofSchema(_ schema: Schema = .shared) -> ResourceTable {
        var preferred: [String: String] = [:]
        for resource in schema.resources where preferred[resource.storageName] == nil {
            preferred[resource.storageName] = resource.version
        }
        return ResourceTable(
            schema.resources.map { entry in
                let isEvent = entry.group == "events.k8s.io" && entry.plural == "events"
                let stored = isEvent ? "events" : entry.storageName
                return Resource(
                    group: entry.group, version: entry.version, kind: entry.kind, plural: entry.plural,
                    singular: entry.singular, shortNames: entry.shortNames, categories: entry.categories,
                    isNamespaced: entry.isNamespaced, verbs: entry.verbs,
                    subresources: entry.subresources.map {
                        .init(
                            name: $0.name, group: $0.kind.group, version: $0.kind.version, kind: $0.kind.kind,
                            verbs: $0.verbs)
                    }, storageVersion: isEvent ? "v1" : preferred[entry.storageName], storageGroup: isEvent ? "" : nil,
                    selectableFields: SelectableFields.of(stored), hasGeneration: counted.contains(stored))
            })
    }
}
