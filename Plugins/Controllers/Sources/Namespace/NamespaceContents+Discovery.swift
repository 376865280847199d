import Objects
import PluginKit

/// What a namespace may hold, and what it holds of other servers' APIs.
extension NamespaceContents {
    /// Every namespaced resource that can be listed and deleted: one version of each group, and all that other servers answer
    /// for, also while those are in no group because nobody has reached them yet. What could not be asked for is noted: until
    /// it can, nobody knows that the namespace is empty.
    mutating func discover(_ api: APIClient, _ aggregated: AggregatedAPIs) -> [AggregatedAPIs.Resource] {
        var versions = ["v1"]
        do {
            for group in try api.request("GET", "/apis")["groups"].arrayValue {
                let preferred = group["preferredVersion"]["groupVersion"]
                let version = preferred.exists ? preferred : group["versions"][0]["groupVersion"]
                if let version = version.stringValue { versions.append(version) }
            }
        } catch let failure {
            discoveryFailures.append("\(failure)")
        }
        versions += aggregated.versions.filter { !versions.contains($0) }
        var resources: [AggregatedAPIs.Resource] = []
        for version in versions {
            do {
                resources += try AggregatedAPIs.resources(of: version, api).filter { resource in
                    resource.type.isNamespaced && resource.verbs.isSuperset(of: ["delete", "list"])
                }
            } catch let failure {
                discoveryFailures.append("\(version): \(failure)")
            }
        }
        return resources
    }

    /// Asks the server of an aggregated API to delete what it holds in a namespace, and counts what is left.
    mutating func delete(
        _ resource: AggregatedAPIs.Resource, in namespace: String, _ aggregated: AggregatedAPIs
    ) throws {
        let type = resource.type
        let objects = try aggregated.objects(of: type, namespace: namespace)
        guard !objects.isEmpty else { return }
        if resource.verbs.contains("deletecollection") {
            try aggregated.api.request(
                "DELETE", APIPath.collection(type.apiVersion, type.plural, namespace: namespace),
                body: ["apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"])
        } else {
            for object in objects { try aggregated.delete(type, object) }
        }
        let left = try aggregated.objects(of: type, namespace: namespace)
        guard !left.isEmpty else { return }
        remaining[type.storeName] = left.count
        mustLookAgain = true
        for finalizer in left.flatMap({ $0["metadata"]["finalizers"].arrayValue }) {
            finalizers[finalizer.stringValue ?? "", default: 0] += 1
        }
    }
}
