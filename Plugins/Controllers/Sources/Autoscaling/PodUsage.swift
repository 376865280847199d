import Objects
import PluginKit

/// What pods use of a resource, as metrics.k8s.io tells it.
struct PodUsage {
    private let items: [JSON]

    /// - Parameter selector: of the pods.
    /// - Throws: an APIError, when nobody measures.
    init(namespace: String, selector: String, _ api: APIClient) throws {
        let path = APIPath.collection("metrics.k8s.io/v1beta1", "pods", namespace: namespace)
        items = try api.request("GET", "\(path)?labelSelector=\(APIPath.escaped(selector))")["items"].arrayValue
    }

    init(items: [JSON]) { self.items = items }

    /// By the names of pods. A pod is left out where a container tells nothing of the resource.
    /// - Parameter container: nil for the sum over all of a pod's.
    func samples(of resource: String, container: String?) -> [String: ReplicaCalculator.Sample] {
        var samples: [String: ReplicaCalculator.Sample] = [:]
        for item in items {
            let measured = item["containers"].arrayValue.filter {
                container == nil || $0["name"].stringValue == container
            }
            let values = measured.compactMap { entry -> Int64? in
                let value = entry["usage"][resource]
                // Whoever measures may write what it wants; what cannot be read was not measured.
                return value.exists ? (try? Quantity(value))?.milliValue : nil
            }
            guard !values.isEmpty, values.count == measured.count, let time = item["timestamp"].timestamp else {
                continue
            }
            let window = item["window"].stringValue.flatMap { try? GoDuration(parsing: $0) }
            samples[item.name] = ReplicaCalculator.Sample(
                value: values.reduce(0, +), time: time, window: Int64((window?.seconds ?? 60).rounded(.up)))
        }
        return samples
    }
}
