import Objects
import PluginKit

/// Objects of aggregated APIs whose owners are gone.
struct AggregatedGarbage {
    private let aggregated: AggregatedAPIs

    init(_ aggregated: AggregatedAPIs) { self.aggregated = aggregated }

    /// Deletes those of an API version all of whose owners are gone.
    /// - Parameter isStored: whether the store has an object of a uid, as far as is known; what it is not known to have is asked
    ///   for before anything is deleted, since the object may be younger than what is known.
    func collect(_ version: String, isStored: (String) -> Bool) throws {
        for resource in try AggregatedAPIs.resources(of: version, aggregated.api)
        where resource.verbs.isSuperset(of: ["list", "delete"]) {
            for object in try aggregated.objects(of: resource.type) where try isGarbage(object, isStored) {
                try aggregated.delete(resource.type, object)
            }
        }
    }

    private func isGarbage(_ object: JSON, _ isStored: (String) -> Bool) throws -> Bool {
        let owners = object["metadata"]["ownerReferences"].arrayValue
        guard !owners.isEmpty, object.deletionTimestamp == nil else { return false }
        for owner in owners {
            let reference = AggregatedAPIs.Reference(owner, namespace: object.namespace)
            if isStored(reference.uid) { return false }
            if try aggregated.isPresent(reference) { return false }
        }
        return true
    }
}
