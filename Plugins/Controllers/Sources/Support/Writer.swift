import Objects
import PluginKit

/// Writes through role hostd.api/1, in the forms that controllers use. Any thread.
final class Writer: Sendable {
    let api: APIClient
    private let provider: any APIProvider

    convenience init(_ host: Host, fence: WriteFence?) throws { self.init(try APIRoleClient(host, fence: fence)) }

    init(_ provider: any APIProvider) {
        self.provider = provider
        api = APIClient(provider)
    }

    @discardableResult
    func create(_ type: ResourceType, _ object: JSON) throws -> JSON { try api.create(type.plural, object) }

    @discardableResult
    func update(_ type: ResourceType, _ object: JSON) throws -> JSON { try api.update(type.plural, object) }

    /// Replaces the status of an object, at the object's resource version; without effect when it is the same.
    /// - Returns: the object as it is stored now; nil when nothing was written.
    @discardableResult
    func updateStatus(_ type: ResourceType, _ object: JSON, status: JSON) throws -> JSON? {
        if object["status"] == status { return nil }
        var changed = object
        changed["apiVersion"] = .string(type.apiVersion)
        changed["kind"] = .string(type.kind)
        changed["status"] = status
        return try api.update(type.plural, changed, subresource: "status")
    }

    /// A merge patch.
    @discardableResult
    func patch(_ type: ResourceType, _ object: JSON, subresource: String = "", _ patch: JSON) throws -> JSON {
        try api.patch(
            type.apiVersion, type.plural, namespace: object.namespace, name: object.name, subresource: subresource,
            patch)
    }

    /// Deletes this very object, by uid; one that is gone is no error.
    func delete(
        _ type: ResourceType, _ object: JSON, gracePeriodSeconds: Int64? = nil, propagation: String? = nil
    ) throws {
        do {
            try api.delete(
                type.apiVersion, type.plural, namespace: object.namespace, name: object.name,
                gracePeriodSeconds: gracePeriodSeconds, uid: object.uid, propagation: propagation)
        } catch let error as APIError where error.isNotFound || error.isConflict {
            // A conflict on the uid: the name belongs to another object by now.
        }
    }

    /// Says in a pod's condition DisruptionTarget why it is about to go; a pod that is gone is no error.
    func markDisruption(of pod: JSON, reason: String, message: String, now: Timestamp) throws {
        let condition: JSON = [
            "type": "DisruptionTarget", "status": "True", "reason": .string(reason), "message": .string(message),
            "lastTransitionTime": .string(now.formatted(fraction: .none)),
        ]
        do {
            _ = try api.request(
                "PATCH application/strategic-merge-patch+json",
                APIPath.object("v1", "pods", pod.namespace, pod.name, "status"),
                body: ["metadata": ["uid": .string(pod.uid)], "status": ["conditions": .array([condition])]])
        } catch let error as APIError where error.isNotFound || error.isConflict {
            // Gone, or another pod of this name by now.
        }
    }

    /// Several requests at once, so that their writes become durable together. Results are in the order of requests.
    func all(_ requests: [APIClient.Request]) -> [Result<JSON, any Error>] { api.all(requests) }

    func createAll(_ type: ResourceType, _ objects: [JSON]) -> [Result<JSON, any Error>] {
        all(objects.map { ("POST", APIPath.collection(type.apiVersion, type.plural, namespace: $0.namespace), $0) })
    }

    /// One request whose outcome is handed to `completion`, from any thread.
    func send(
        _ method: String, _ path: String, body: JSON?, completion: @escaping @Sendable (Result<JSON, any Error>) -> Void
    ) {
        do {
            try provider.requestAsync(method: method, path: path, body: body?.serialized() ?? [], deadline: 0) {
                completion(Writer.outcome($0))
            }
        } catch {
            completion(.failure(error))
        }
    }

    private static func outcome(_ answer: Result<(code: Int32, body: [UInt8]), PluginError>) -> Result<JSON, any Error>
    {
        Result {
            let (code, body) = try answer.get()
            let json = body.isEmpty ? JSON.null : try JSON(parsing: body)
            guard (200..<300).contains(code) else { throw APIError(code: Int(code), status: json) }
            return json
        }
    }
}
