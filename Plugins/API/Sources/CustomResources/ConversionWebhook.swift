import Objects
import PluginKit

/// Converts objects between the versions of a custom resource by asking a webhook.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#webhook-conversion.
final class ConversionWebhook: Sendable {
    private let target: WebhookTarget?
    private let client: WebhookClient
    private let kind: String

    /// - Parameter webhook: `spec.conversion.webhook` of the definition.
    init(_ webhook: JSON, kind: String, client: WebhookClient) {
        target = WebhookTarget(webhook["clientConfig"])
        self.kind = kind
        self.client = client
    }

    /// Nanoseconds that a call may take.
    private static let timeLimit: UInt64 = 30_000_000_000

    /// Objects in another version, in their order; those that are of it already stay as they are. All in one call. [blocking]
    func convert(_ objects: [JSON], to apiVersion: String) throws(APIStatus) -> [JSON] {
        let wanted = objects.indices.filter { objects[$0].apiVersion != apiVersion }
        guard let first = wanted.first else { return objects }
        let failure = "conversion webhook for \(objects[first].apiVersion), Kind=\(kind) failed"
        guard let target else { throw .internalError("\(failure): its clientConfig cannot be used") }
        let identifier = makeUID()
        let review: JSON = [
            "kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
            "request": [
                "uid": .string(identifier), "desiredAPIVersion": .string(apiVersion),
                "objects": .array(wanted.map { objects[$0] }),
            ],
        ]
        let answer: JSON
        do throws(UpstreamError) {
            answer = try client.post(review, to: target, deadline: monotonicNanoseconds() + Self.timeLimit)
        } catch {
            throw .internalError("\(failure): \(error)")
        }
        let response = answer["response"]
        guard response["uid"].stringValue == identifier else {
            throw .internalError("\(failure): the response has not the uid of the request")
        }
        guard response["result"]["status"] == "Success" else {
            throw .internalError("\(failure): \(response["result"]["message"].stringValue ?? "unknown error")")
        }
        let converted = response["convertedObjects"].arrayValue
        guard converted.count == wanted.count else {
            throw .internalError(
                "\(failure): expected \(wanted.count) converted objects, got \(converted.count)")
        }
        var result = objects
        for (position, index) in wanted.enumerated() {
            result[index] = try check(converted[position], objects[index], apiVersion, failure)
        }
        return result
    }

    /// A webhook may change labels and annotations of the metadata and nothing else of it.
    private func check(
        _ converted: JSON, _ original: JSON, _ apiVersion: String, _ failure: String
    ) throws(APIStatus) -> JSON {
        guard converted.apiVersion == apiVersion, converted.kind == original.kind else {
            throw .internalError(
                "\(failure): returned invalid converted object: invalid groupVersion or kind (\(converted.apiVersion), "
                    + "\(converted.kind)) for \(original.namespacedName), expected \(apiVersion), \(original.kind)")
        }
        guard converted.name == original.name, converted.namespace == original.namespace,
            converted.uid == original.uid
        else {
            throw .internalError(
                "\(failure): returned invalid metadata: must have the same name, namespace and UID for \(original.namespacedName)"
            )
        }
        var object = converted
        var metadata = original.metadata
        for key in ["labels", "annotations"] {
            if converted.metadata[key].exists {
                metadata[key] = converted.metadata[key]
            } else {
                metadata.removeValue(forKey: key)
            }
        }
        object["metadata"] = metadata
        return object
    }
}
