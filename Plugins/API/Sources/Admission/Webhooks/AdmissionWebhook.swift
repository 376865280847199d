import Objects

/// One webhook of a stored configuration.
/// See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/.
struct AdmissionWebhook: Sendable {
    /// Names it in messages.
    let name: String
    let configuration: String
    /// Nil for a client configuration that names no place.
    let target: WebhookTarget?
    let scope: MatchResources
    let conditions: [(name: String, expression: PolicyExpression)]
    /// Whether a webhook that does not answer denies the write, rather than being passed over.
    let failsClosed: Bool
    let timeoutSeconds: Int64
    /// Whether a dry run may be shown to it.
    let allowsDryRun: Bool
    let reinvokes: Bool
    /// In which version it is sent reviews: the first of its list that is known; nil for a list without any.
    let reviewVersion: String?
    let readsNamespace: Bool
    /// Tells it from all others.
    var key: String { configuration + "/" + name }

    init(_ json: JSON, configuration: String) {
        name = json["name"].stringValue ?? ""
        self.configuration = configuration
        let seconds = json["timeoutSeconds"].integerValue ?? 10
        timeoutSeconds = min(max(seconds, 1), 30)
        target = WebhookTarget(json["clientConfig"])?.told(timeoutSeconds: timeoutSeconds)
        scope = MatchResources(json, rules: "rules")
        let conditions = json["matchConditions"].arrayValue
        let environment = conditions.isEmpty ? nil : PolicyDeclarations.environment()
        self.conditions = conditions.compactMap { condition in
            environment.map {
                (condition["name"].stringValue ?? "", PolicyExpression(condition["expression"].stringValue ?? "", $0))
            }
        }
        failsClosed = json["failurePolicy"].stringValue != "Ignore"
        allowsDryRun = ["None", "NoneOnDryRun"].contains(json["sideEffects"].stringValue)
        reinvokes = json["reinvocationPolicy"].stringValue == "IfNeeded"
        reviewVersion = json["admissionReviewVersions"].arrayValue.compactMap(\.stringValue).first {
            $0 == "v1" || $0 == "v1beta1"
        }
        readsNamespace = self.conditions.contains { $0.expression.reads("namespaceObject") }
    }
}
