import CEL
import Objects

/// What validating and mutating policies have in common, with their expressions compiled.
/// See https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/.
final class AdmissionPolicy: Sendable {
    struct Validation: Sendable {
        let expression: PolicyExpression
        let message: String
        let messageExpression: PolicyExpression?
        let reason: String

        /// What is said when the expression gives false.
        var defaultMessage: String {
            if !message.isEmpty { return message }
            return "failed expression: \(expression.source.trimmingWhitespace())"
        }
    }

    struct Mutation: Sendable {
        let isPatch: Bool
        let expression: PolicyExpression
    }

    let name: String
    /// Whether an error denies the write, rather than being passed over.
    let failsClosed: Bool
    let constraints: MatchResources
    let conditions: [(name: String, expression: PolicyExpression)]
    let variables: [(name: String, expression: PolicyExpression)]
    let validations: [Validation]
    let auditAnnotations: [(key: String, expression: PolicyExpression)]
    let mutations: [Mutation]
    let reinvokes: Bool
    /// `apiVersion` and `kind` of parameters.
    let paramKind: (apiVersion: String, kind: String)?
    let readsNamespace: Bool

    init(_ object: JSON, isMutation: Bool) {
        let spec = object["spec"]
        name = object.name
        failsClosed = spec["failurePolicy"].stringValue != "Ignore"
        constraints = MatchResources(spec["matchConstraints"])
        let kind = spec["paramKind"]
        paramKind = kind.exists ? (kind["apiVersion"].stringValue ?? "", kind["kind"].stringValue ?? "") : nil
        let hasParams = kind.exists
        let base = PolicyDeclarations.environment(hasParams: hasParams)
        conditions = spec["matchConditions"].arrayValue.map {
            ($0["name"].stringValue ?? "", PolicyExpression($0["expression"].stringValue ?? "", base))
        }
        var declared: [(name: String, type: CELType)] = []
        var variables: [(name: String, expression: PolicyExpression)] = []
        func environment() -> CELEnvironment {
            PolicyDeclarations.environment(hasParams: hasParams, isMutation: isMutation, variables: declared)
        }
        for variable in spec["variables"].arrayValue {
            let expression = PolicyExpression(variable["expression"].stringValue ?? "", environment())
            let name = variable["name"].stringValue ?? ""
            variables.append((name, expression))
            declared.append((name, expression.resultType))
        }
        self.variables = variables
        let full = environment()
        // Messages are told without asking who may what.
        let unauthorized = PolicyDeclarations.environment(
            hasParams: hasParams, hasAuthorizer: false, variables: declared)
        func optional(_ json: JSON) -> PolicyExpression? {
            json.stringValue.flatMap { $0.isEmpty ? nil : PolicyExpression($0, unauthorized) }
        }
        validations = spec["validations"].arrayValue.map {
            Validation(
                expression: PolicyExpression($0["expression"].stringValue ?? "", full),
                message: ($0["message"].stringValue ?? "").trimmingWhitespace(),
                messageExpression: optional($0["messageExpression"]), reason: $0["reason"].stringValue ?? "")
        }
        auditAnnotations = spec["auditAnnotations"].arrayValue.map {
            ($0["key"].stringValue ?? "", PolicyExpression($0["valueExpression"].stringValue ?? "", full))
        }
        mutations = spec["mutations"].arrayValue.map {
            let isPatch = $0["patchType"].stringValue == "JSONPatch"
            let source = $0[isPatch ? "jsonPatch" : "applyConfiguration"]["expression"].stringValue ?? ""
            return Mutation(isPatch: isPatch, expression: PolicyExpression(source, full))
        }
        reinvokes = spec["reinvocationPolicy"].stringValue == "IfNeeded"
        var all = conditions.map(\.expression) + variables.map(\.expression) + validations.map(\.expression)
        all += validations.compactMap(\.messageExpression) + auditAnnotations.map(\.expression)
        all += mutations.map(\.expression)
        readsNamespace = all.contains { $0.reads("namespaceObject") }
    }
}

/// Where a policy holds, and with which parameters.
struct AdmissionPolicyBinding: Sendable {
    let name: String
    let policyName: String
    let scope: MatchResources?
    /// In the binding's order.
    let actions: [String]
    /// Null without parameters.
    let paramRef: JSON

    init(_ object: JSON) {
        name = object.name
        let spec = object["spec"]
        policyName = spec["policyName"].stringValue ?? ""
        scope = spec["matchResources"].exists ? MatchResources(spec["matchResources"]) : nil
        actions = spec["validationActions"].arrayValue.compactMap(\.stringValue)
        paramRef = spec["paramRef"]
    }
}
