/// Paths of the Kubernetes API.
public enum APIPath {
    /// - Parameters:
    ///   - apiVersion: "v1" or "apps/v1".
    ///   - resource: the plural: "pods".
    ///   - namespace: empty for cluster-scoped resources and for lists over all namespaces.
    public static func collection(_ apiVersion: String, _ resource: String, namespace: String = "") -> String {
        let root = apiVersion.contains("/") ? "/apis/\(apiVersion)" : "/api/\(apiVersion)"
        return namespace.isEmpty ? "\(root)/\(resource)" : "\(root)/namespaces/\(namespace)/\(resource)"
    }

    public static func object(
        _ apiVersion: String, _ resource: String, _ namespace: String, _ name: String, _ subresource: String = ""
    ) -> String {
        let path = "\(collection(apiVersion, resource, namespace: namespace))/\(name)"
        return subresource.isEmpty ? path : "\(path)/\(subresource)"
    }
}
