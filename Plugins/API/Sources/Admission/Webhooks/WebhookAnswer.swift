import Objects

/// What a webhook answers to a review, once it is found to be an answer.
/// See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response.
struct WebhookAnswer: Sendable {
    /// The member `response` of the review.
    let response: JSON
    /// The operations of a patch; nil without one.
    let patch: JSON?

    /// - Parameters:
    ///   - uid: Of the review that was sent.
    ///   - version: In which it was sent: of answers in v1beta1 neither the kind nor the uid is looked at.
    /// - Throws: why it is no answer to that review.
    init(_ review: JSON, to uid: String, version: String, isMutating: Bool) throws(UpstreamError) {
        response = review["response"]
        guard response.exists else { throw Self.invalid("webhook response was absent") }
        if version == "v1" {
            try Self.check(review, response, uid)
            try isMutating ? Self.checkPatch(response) : Self.checkNoPatch(response)
        }
        patch = isMutating ? try Self.patch(response) : nil
    }

    private static func invalid(_ why: String) -> UpstreamError {
        UpstreamError("received invalid webhook response: \(why)")
    }

    private static func check(_ review: JSON, _ response: JSON, _ uid: String) throws(UpstreamError) {
        let named = response["uid"].stringValue ?? ""
        guard named == uid else { throw invalid("expected response.uid=\"\(uid)\", got \"\(named)\"") }
        guard review.kind == "AdmissionReview", review.apiVersion == "admission.k8s.io/v1" else {
            let version = review.apiVersion.contains("/") ? review.apiVersion : "/" + review.apiVersion
            throw invalid(
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got \(version), Kind=\(review.kind)"
            )
        }
    }

    private static func checkPatch(_ response: JSON) throws(UpstreamError) {
        switch (response["patch"].isEmpty, response["patchType"].exists) {
        case (false, false): throw invalid("webhook returned response.patch but not response.patchType")
        case (true, true): throw invalid("webhook returned response.patchType but not response.patch")
        default: break
        }
        guard let type = response["patchType"].stringValue else { return }
        guard !type.isEmpty else { throw invalid("webhook returned invalid response.patchType of \"\"") }
        guard type == "JSONPatch" else { throw UpstreamError("unsupported patch type \"\(type)\"") }
    }

    private static func checkNoPatch(_ response: JSON) throws(UpstreamError) {
        guard response["patch"].isEmpty else { throw invalid("validating webhook may not return response.patch") }
        guard response["patchType"].isNull else {
            throw invalid("validating webhook may not return response.patchType")
        }
    }

    private static func patch(_ response: JSON) throws(UpstreamError) -> JSON? {
        guard let text = response["patch"].stringValue, !text.isEmpty else { return nil }
        guard let bytes = Base64.decode(text) else {
            throw UpstreamError("failed to call webhook: response.patch is no base64")
        }
        do {
            let patch = try JSON(parsing: bytes)
            guard case .array = patch else { throw UpstreamError("it is no list of operations") }
            return patch
        } catch {
            throw UpstreamError("received undecodable patch in webhook response: \(error)")
        }
    }
}
