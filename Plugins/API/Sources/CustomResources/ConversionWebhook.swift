import Objects
import PluginKit

/// Converts objects between the versions of a custom resource by asking a webhook.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#webhook-conversion.
final class ConversionWebhook: Sendable {
    private let target: WebhookTarget?
    private let client: WebhookClient
    private let kind: String
    /// Of the reviews: the first that the webhook speaks and that there is; nil for none.
    private let version: String?

    /// - Parameter webhook: `spec.conversion.webhook` of the definition.
    init(_ webhook: JSON, kind: String, client: WebhookClient) {
        target = WebhookTarget(webhook["clientConfig"])
        version = webhook["conversionReviewVersions"].arrayValue.compactMap(\.stringValue).first {
            $0 == "v1" || $0 == "v1beta1"
        }
        self.kind = kind
        self.client = client
    }

    /// Nanoseconds that a call may take.
    private static let timeLimit: UInt64 = 30_000_000_000

    /// Objects in another version, in their order; those that are of it already stay as they are. All in one call. [blocking]
    func convert(_ objects: [JSON], to apiVersion: String) throws(APIStatus) -> [JSON] {
        let wanted = objects.indices.filter { objects[$0].apiVersion != apiVersion }
        guard let first = wanted.first else { return objects }
        guard let version else { throw Self.failure("no supported conversion review versions") }
        let subject = "conversion webhook for \(objects[first].apiVersion), Kind=\(kind)"
        guard let target else { throw Self.failure("\(subject) failed: its clientConfig cannot be used") }
        let identifier = makeUID()
        let review: JSON = [
            "kind": "ConversionReview", "apiVersion": .string("apiextensions.k8s.io/\(version)"),
            "request": [
                "uid": .string(identifier), "desiredAPIVersion": .string(apiVersion),
                "objects": .array(wanted.map { objects[$0] }),
            ],
        ]
        let answer: JSON
        do throws(UpstreamError) {
            answer = try client.post(review, to: target, deadline: monotonicNanoseconds() + Self.timeLimit)
        } catch {
            throw Self.failure("\(subject) failed: \(error.clientText)")
        }
        if let why = Self.fault(of: answer, version: version, identifier: identifier) {
            throw Self.failure("\(subject) failed: \(why)")
        }
        let converted = answer["response"]["convertedObjects"].arrayValue
        guard converted.count == wanted.count else {
            throw Self.failure("\(subject) returned \(converted.count) objects, expected \(wanted.count)")
        }
        var result = objects
        for (position, index) in wanted.enumerated() {
            // Kubernetes counts what it has looked at.
            let place = "\(subject) returned invalid converted object at index \(position + 1)"
            result[index] = try check(converted[position], objects[index], apiVersion, place)
        }
        return result
    }

    /// As Kubernetes tells of it: without a reason, in the words of what went wrong.
    private static func failure(_ message: String) -> APIStatus { APIStatus(code: 500, reason: "", message: message) }

    /// What is wrong with a review as a whole; nil for one that succeeded. Reviews of the older version may say less.
    private static func fault(of review: JSON, version: String, identifier: String) -> String? {
        if version == "v1", review.apiVersion != "apiextensions.k8s.io/v1" || review.kind != "ConversionReview" {
            let group = review.apiVersion.contains("/") ? "" : "/"
            return "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "
                + "got \(group)\(review.apiVersion), Kind=\(review.kind)"
        }
        let response = review["response"]
        guard response.exists else { return "no response provided" }
        let given = response["uid"].stringValue ?? ""
        if version == "v1", given != identifier { return "expected response.uid=\"\(identifier)\", got \"\(given)\"" }
        let status = response["result"]["status"].stringValue ?? ""
        guard status != "Success" else { return nil }
        let message = response["result"]["message"].stringValue ?? ""
        return message.isEmpty ? "response.result.status was '\(status)', not 'Success'" : message
    }

    /// A webhook may change labels and annotations of the metadata and nothing else of it.
    private func check(
        _ converted: JSON, _ original: JSON, _ apiVersion: String, _ place: String
    ) throws(APIStatus) -> JSON {
        guard converted.apiVersion == apiVersion else {
            throw Self.failure(
                "\(place): invalid groupVersion (expected \(apiVersion), received \(converted.apiVersion))")
        }
        guard converted.kind == original.kind else {
            throw Self.failure("\(place): invalid kind (expected \(original.kind), received \(converted.kind))")
        }
        for (what, before, after) in [
            ("name", original.name, converted.name), ("namespace", original.namespace, converted.namespace),
            ("UID", original.uid, converted.uid),
        ] where before != after {
            throw Self.failure("\(place): must have the same \(what): \(before) != \(after)")
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
