import Objects
import PluginKit

/// Asks the aggregated APIs of metrics for what autoscalers follow.
/// See https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#support-for-metrics-apis.
struct MetricSources {
    private static let custom = "custom.metrics.k8s.io"
    private static let external = "external.metrics.k8s.io"

    let api: APIClient
    /// The API versions that other servers answer for, "custom.metrics.k8s.io/v1beta2".
    let versions: [String]

    /// Nil for metrics that the nodes measure.
    /// - Parameter selector: of the target's pods, as text.
    func reading(of metric: JSON, namespace: String, selector: String) -> MetricReading? {
        let source: JSON
        do {
            switch metric["type"].stringValue ?? "" {
            case "Pods":
                source = metric["pods"]
                let path = try path(Self.custom, namespace, ["pods", "*", name(source)])
                return .pods(in: try get(path, source, pods: selector))
            case "Object":
                source = metric["object"]
                return .object(in: try get(try path(of: source, namespace), source))
            case "External":
                source = metric["external"]
                let path = try path(Self.external, namespace, [name(source)])
                return .external(in: try get(path, source, key: "labelSelector"))
            default: return nil
            }
        } catch {
            return .failure("\(error)")
        }
    }

    private func name(_ source: JSON) -> String { source["metric"]["name"].stringValue ?? "" }

    private func path(_ group: String, _ namespace: String, _ parts: [String]) throws -> String {
        let served = versions.filter { $0.hasPrefix(group + "/") }
        // v1beta2 sorts behind v1beta1.
        guard let version = served.max() else { throw Failure.notServed(group) }
        let place = namespace.isEmpty ? [] : ["namespaces", namespace]
        return (["/apis", version] + place + parts.map { $0 == "*" ? $0 : APIPath.escaped($0) }).joined(separator: "/")
    }

    /// The path of a metric of one object. Namespaces describe themselves.
    private func path(of source: JSON, _ namespace: String) throws -> String {
        let described = source["describedObject"]
        let kind = described["kind"].stringValue ?? ""
        let object = described["name"].stringValue ?? ""
        let apiVersion = described["apiVersion"].stringValue ?? "v1"
        if kind == "Namespace", apiVersion == "v1" {
            return try path(Self.custom, object, ["metrics", name(source)])
        }
        guard let resource = try AggregatedAPIs.resources(of: apiVersion, api).first(where: { $0.type.kind == kind })
        else { throw Failure.unknownKind(apiVersion: apiVersion, kind: kind) }
        let place = resource.type.isNamespaced ? namespace : ""
        return try path(Self.custom, place, [resource.type.storeName, object, name(source)])
    }

    private func get(
        _ path: String, _ source: JSON, pods: String? = nil, key: String = "metricLabelSelector"
    ) throws -> JSON {
        var query: [String] = []
        if let pods { query.append("labelSelector=\(APIPath.escaped(pods))") }
        let selector = source["metric"]["selector"]
        if selector.exists {
            let text = try LabelSelector(object: selector).selectorText
            if !text.isEmpty { query.append("\(key)=\(APIPath.escaped(text))") }
        }
        return try api.request("GET", query.isEmpty ? path : "\(path)?\(query.joined(separator: "&"))")
    }

    enum Failure: Error, CustomStringConvertible {
        case notServed(String)
        case unknownKind(apiVersion: String, kind: String)

        var description: String {
            switch self {
            case .notServed(let group):
                "no server is registered for the API \(group): an APIService object names the one that measures"
            case .unknownKind(let apiVersion, let kind): "no matches for kind \"\(kind)\" in version \"\(apiVersion)\""
            }
        }
    }
}
