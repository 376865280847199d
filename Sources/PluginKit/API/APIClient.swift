import Objects
import PluginAPI

/// Kubernetes API requests from within the process (role hostd.api/1): they run through the same defaulting, admission
/// and validation as a client's. Any thread; each call blocks until the write is durable.
public struct APIClient: Sendable {
    let provider: any APIProvider

    public init(_ provider: any APIProvider) { self.provider = provider }

    /// One request as over HTTPS.
    /// - Parameter method: GET, POST, PUT, DELETE, or PATCH followed by a space and the patch's content type.
    /// - Throws: APIError for every response that is not a 2xx; PluginError when there was none.
    @discardableResult
    public func request(_ method: String, _ path: String, body: JSON? = nil) throws -> JSON {
        let (code, response) = try provider.request(
            method: method, path: path, body: body?.serialized() ?? [], deadline: 0)
        let json = response.bytes.isEmpty ? JSON.null : try response.json()
        guard (200..<300).contains(code) else { throw APIError(code: Int(code), status: json) }
        return json
    }

    public func get(_ apiVersion: String, _ resource: String, namespace: String, name: String) throws -> JSON {
        try request("GET", APIPath.object(apiVersion, resource, namespace, name))
    }

    /// Creates an object; its apiVersion and namespace say where, `subresource` (with `name`) e.g. "binding".
    @discardableResult
    public func create(_ resource: String, _ object: JSON, name: String = "", subresource: String = "") throws -> JSON {
        let apiVersion = object["apiVersion"].stringValue ?? "v1"
        let namespace = object["metadata"]["namespace"].stringValue ?? ""
        let path =
            name.isEmpty
            ? APIPath.collection(apiVersion, resource, namespace: namespace)
            : APIPath.object(apiVersion, resource, namespace, name, subresource)
        return try request("POST", path, body: object)
    }

    /// Replaces an object, at its resourceVersion when it carries one.
    @discardableResult
    public func update(_ resource: String, _ object: JSON, subresource: String = "") throws -> JSON {
        let metadata = object["metadata"]
        return try request(
            "PUT",
            APIPath.object(
                object["apiVersion"].stringValue ?? "v1", resource, metadata["namespace"].stringValue ?? "",
                metadata["name"].stringValue ?? "", subresource), body: object)
    }

    public enum PatchType: String, Sendable {
        case json = "application/json-patch+json"
        case merge = "application/merge-patch+json"
        case strategic = "application/strategic-merge-patch+json"
    }

    @discardableResult
    public func patch(
        _ apiVersion: String, _ resource: String, namespace: String, name: String, subresource: String = "",
        type: PatchType = .merge, _ patch: JSON
    ) throws -> JSON {
        try request(
            "PATCH \(type.rawValue)", APIPath.object(apiVersion, resource, namespace, name, subresource), body: patch)
    }

    /// Deletes an object.
    /// - Parameters:
    ///   - gracePeriodSeconds: nil = the object's own.
    ///   - uid: delete only the object with this uid.
    ///   - propagation: "Background", "Foreground", "Orphan"; nil = the kind's default.
    public func delete(
        _ apiVersion: String, _ resource: String, namespace: String, name: String, gracePeriodSeconds: Int64? = nil,
        uid: String? = nil, propagation: String? = nil
    ) throws {
        var options: JSON = ["apiVersion": "v1", "kind": "DeleteOptions"]
        if let gracePeriodSeconds { options["gracePeriodSeconds"] = .integer(gracePeriodSeconds) }
        if let uid { options["preconditions"] = ["uid": .string(uid)] }
        if let propagation { options["propagationPolicy"] = .string(propagation) }
        try request("DELETE", APIPath.object(apiVersion, resource, namespace, name), body: options)
    }
}
