import Objects
import Synchronization

/// The custom resources that are served, by where they are asked for. A change of a definition is in force when `apply`
/// returns, for all threads.
final class CustomResourceRegistry: Sendable {
    /// A definition as far as the server needs it; schemas are not part of it.
    struct Definition: Sendable {
        let name: String
        let uid: String
        /// Of the record that this is made from.
        var revision: UInt64
        let generation: Int64
        let group: String
        let names: AcceptedNames
        let isEstablished: Bool
        let isTerminating: Bool
        /// Whether some of its names belong to others.
        let hasConflict: Bool
        /// Whether its objects must still be deleted.
        let needsCleanup: Bool
        /// Every version, served or not.
        let resources: [Resource]

        var storage: Resource? { resources.first { $0.version == $0.storageVersion } }
    }

    private struct State {
        var definitions: [String: Definition] = [:]
        /// By definition, for as long as the server runs: an object may be written after its definition is gone, and is here again.
        var writes: [String: DefinitionWrites] = [:]
        /// Served and other versions; of definitions that are established.
        var byPlace: [ResourceTable.Place: Resource] = [:]
        var byKind: [ResourceTable.Place: Resource] = [:]
        /// By "widgets.example.com", in the version in which they are stored.
        var storage: [String: Resource] = [:]
        /// How many served resources a group's version has.
        var groupVersions: [String: Int] = [:]
        var generation: UInt64 = 0
        var webhooks: WebhookClient?
        var observers: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    /// What conversion webhooks are asked through; before the first definition is taken over.
    func use(_ webhooks: WebhookClient) { state.withLock { $0.webhooks = webhooks } }

    /// Has `action` run after every change of what is served, on the thread that makes it, which it must not hold up.
    func observe(_ action: @escaping @Sendable () -> Void) { state.withLock { $0.observers.append(action) } }

    /// Advances with every change of what is served.
    var generation: UInt64 { state.withLock { $0.generation } }

    func find(_ place: ResourceTable.Place, includesUnserved: Bool) -> Resource? {
        guard let resource = state.withLock({ $0.byPlace[place] }) else { return nil }
        return includesUnserved || resource.custom?.isServed == true ? resource : nil
    }

    func find(apiVersion: String, kind: String) -> Resource? {
        state.withLock { $0.byKind[Self.place(apiVersion, kind)] }
    }

    func stored(_ qualified: String) -> Resource? { state.withLock { $0.storage[qualified] } }

    func hasGroupVersion(_ apiVersion: String) -> Bool { state.withLock { $0.groupVersions[apiVersion] != nil } }

    func definition(_ name: String) -> Definition? { state.withLock { $0.definitions[name] } }

    var definitions: [Definition] { state.withLock { Array($0.definitions.values) } }

    /// The resources in the versions that are served, by group and name; a group's versions from the preferred one on.
    var served: [Resource] {
        let all = state.withLock { state in state.byPlace.values.filter { $0.custom?.isServed == true } }
        return all.sorted { left, right in
            if left.group != right.group { return left.group.precedesByBytes(right.group) }
            if left.version != right.version { return VersionPriority.precedes(left.version, right.version) }
            return left.plural.precedesByBytes(right.plural)
        }
    }

    /// The names that the other definitions of a group have.
    func otherNames(_ group: String, than name: String) -> [AcceptedNames] {
        state.withLock { state in
            state.definitions.values.filter { $0.group == group && $0.name != name }.map(\.names)
        }
    }

    /// Takes over a definition as it was written at a revision; nil: it is gone. An older state than the known one is left
    /// aside.
    func apply(_ object: JSON?, name: String, revision: UInt64) {
        let before = generation
        let retired = state.withLock { state -> [Resource] in
            let known = state.definitions[name]
            if let known, known.revision >= revision { return [] }
            guard let object else { return Self.remove(name, &state) }
            let writes = state.writes[name] ?? DefinitionWrites()
            let definition = Self.definition(object, revision, writes, webhooks: state.webhooks)
            if let known, known.isSame(as: definition) {
                state.definitions[name]?.revision = revision
                return []
            }
            let retired = Self.remove(name, &state)
            state.writes[name] = writes
            writes.advance()
            Self.insert(definition, &state)
            return retired
        }
        for resource in retired { resource.custom?.retire() }
        let (after, observers) = state.withLock { ($0.generation, $0.observers) }
        if after != before { for observer in observers { observer() } }
    }

    private static func place(_ apiVersion: String, _ kind: String) -> ResourceTable.Place {
        ResourceTable.Place(group: apiVersion, version: "", resource: kind)
    }

    private static func insert(_ definition: Definition, _ state: inout State) {
        state.generation += 1
        state.definitions[definition.name] = definition
        guard definition.isEstablished else { return }
        for resource in definition.resources {
            state.byPlace[.init(group: resource.group, version: resource.version, resource: resource.plural)] = resource
            state.byKind[place(resource.apiVersion, resource.kind)] = resource
            if resource.custom?.isServed == true { state.groupVersions[resource.apiVersion, default: 0] += 1 }
            if resource.version == resource.storageVersion { state.storage[resource.qualified] = resource }
        }
    }

    /// - Returns: the resources that are no longer in force.
    private static func remove(_ name: String, _ state: inout State) -> [Resource] {
        guard let old = state.definitions.removeValue(forKey: name) else { return [] }
        state.generation += 1
        guard old.isEstablished else { return [] }
        for resource in old.resources {
            state.byPlace[.init(group: resource.group, version: resource.version, resource: resource.plural)] = nil
            state.byKind[place(resource.apiVersion, resource.kind)] = nil
            state.storage[resource.qualified] = nil
            if resource.custom?.isServed == true, let count = state.groupVersions[resource.apiVersion] {
                state.groupVersions[resource.apiVersion] = count > 1 ? count - 1 : nil
            }
        }
        return old.resources
    }

    private static func definition(
        _ object: JSON, _ revision: UInt64, _ writes: DefinitionWrites, webhooks: WebhookClient?
    ) -> Definition {
        let status = object["status"]
        let names = AcceptedNames(status["acceptedNames"])
        let isEstablished = DefinitionStatus.isTrue("Established", status)
        return Definition(
            name: object.name, uid: object.uid, revision: revision, generation: object.generation,
            group: object["spec"]["group"].stringValue ?? "", names: names, isEstablished: isEstablished,
            isTerminating: object.deletionTimestamp != nil,
            hasConflict: !DefinitionStatus.isTrue("NamesAccepted", status),
            needsCleanup: object.deletionTimestamp != nil && object.finalizers.contains(DefinitionStatus.cleanup),
            resources: isEstablished ? resources(object, names, revision, writes, webhooks) : [])
    }

    private static let verbs = [
        "delete", "deletecollection", "get", "list", "patch", "create", "update", "watch",
    ]

    private static func resources(
        _ object: JSON, _ names: AcceptedNames, _ revision: UInt64, _ writes: DefinitionWrites,
        _ webhooks: WebhookClient?
    ) -> [Resource] {
        let spec = object["spec"]
        var conversion: ConversionWebhook?
        if spec["conversion"]["strategy"] == "Webhook", let webhooks {
            conversion = ConversionWebhook(spec["conversion"]["webhook"], kind: names.kind, client: webhooks)
        }
        let group = spec["group"].stringValue ?? ""
        let versions = spec["versions"].arrayValue
        let storage = versions.first { $0["storage"].boolValue == true }?["name"].stringValue
        let fields = CustomFields(
            versions, storage: storage ?? "", qualified: "\(names.plural).\(group)", isConverted: conversion != nil)
        return versions.map { entry in
            let version = entry["name"].stringValue ?? ""
            var subresources: [Resource.Subresource] = []
            let verbs = ["get", "patch", "update"]
            if entry["subresources"]["status"].exists {
                subresources.append(
                    .init(name: "status", group: group, version: version, kind: names.kind, verbs: verbs))
            }
            if entry["subresources"]["scale"].exists {
                subresources.append(
                    .init(name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs: verbs))
            }
            return Resource(
                group: group, version: version, kind: names.kind, plural: names.plural, singular: names.singular,
                shortNames: names.shortNames, categories: names.categories,
                isNamespaced: spec["scope"] == "Namespaced", verbs: Self.verbs, subresources: subresources,
                storageVersion: storage, selectableFields: CustomFields.names(entry), hasGeneration: true,
                custom: CustomVersion(
                    object, entry, schemaRevision: revision, writes: writes, conversion: conversion, fields: fields))
        }
    }
}

extension CustomResourceRegistry.Definition {
    /// Whether two states of a definition mean the same to the server: the generation counts the changes of the spec.
    func isSame(as other: CustomResourceRegistry.Definition) -> Bool {
        uid == other.uid && generation == other.generation && names == other.names
            && isEstablished == other.isEstablished && isTerminating == other.isTerminating
            && needsCleanup == other.needsCleanup && hasConflict == other.hasConflict
    }
}

/// Which version of a group clients should prefer: v2, v1, v1beta2, v1alpha1, then others by name.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority.
enum VersionPriority {
    static func precedes(_ left: String, _ right: String) -> Bool {
        let (a, b) = (rank(left), rank(right))
        guard let a else { return b == nil && left.precedesByBytes(right) }
        guard let b else { return true }
        return a.lexicographicallyPrecedes(b) { $0 > $1 }
    }

    /// Stability, major and minor number; nil when the name is not of the form.
    private static func rank(_ text: String) -> [Int]? {
        guard text.hasPrefix("v") else { return nil }
        var rest = text.dropFirst()
        guard let major = number(&rest) else { return nil }
        if rest.isEmpty { return [2, major, 0] }
        for (word, stability) in [("alpha", 0), ("beta", 1)] where rest.hasPrefix(word) {
            rest = rest.dropFirst(word.count)
            guard let minor = number(&rest), rest.isEmpty else { return nil }
            return [stability, major, minor]
        }
        return nil
    }

    private static func number(_ text: inout Substring) -> Int? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let first = digits.first, first != "0", let value = Int(digits) else { return nil }
        text = text.dropFirst(digits.count)
        return value
    }
}
