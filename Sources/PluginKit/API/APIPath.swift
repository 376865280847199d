/// Paths of the Kubernetes API.
public enum APIPath {
    /// Where the resources of a version are listed: "/api/v1", "/apis/apps/v1".
    public static func version(_ apiVersion: String) -> String {
        apiVersion.contains("/") ? "/apis/\(apiVersion)" : "/api/\(apiVersion)"
    }

    /// - Parameters:
    ///   - apiVersion: "v1" or "apps/v1".
    ///   - resource: the plural: "pods".
    ///   - namespace: empty for cluster-scoped resources and for lists over all namespaces.
    public static func collection(_ apiVersion: String, _ resource: String, namespace: String = "") -> String {
        let root = version(apiVersion)
        return namespace.isEmpty ? "\(root)/\(resource)" : "\(root)/namespaces/\(namespace)/\(resource)"
    }

    public static func object(
        _ apiVersion: String, _ resource: String, _ namespace: String, _ name: String, _ subresource: String = ""
    ) -> String {
        let path = "\(collection(apiVersion, resource, namespace: namespace))/\(name)"
        return subresource.isEmpty ? path : "\(path)/\(subresource)"
    }
}
