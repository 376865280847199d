import CEL

/// Answers expressions' questions about permissions by what the server allows.
struct PolicyAuthorizer: CELAuthorizer {
    let authorizer: Authorizer
    let user: UserInfo

    func decide(_ question: CELAccessQuestion) throws(CELError) -> CELAccessDecision {
        var asking = user
        if let account = question.serviceAccount {
            asking = UserInfo(
                name: "system:serviceaccount:\(account.namespace):\(account.name)",
                groups: [
                    "system:serviceaccounts", "system:serviceaccounts:\(account.namespace)", "system:authenticated",
                ])
        }
        let wanted = Authorizer.Attributes(
            verb: question.verb, group: question.group, resource: question.resource,
            subresource: question.subresource, namespace: question.namespace, name: question.name,
            path: question.path ?? "", fields: AccessSelector(fields: question.fieldSelector ?? ""),
            labels: AccessSelector(labels: question.labelSelector ?? ""))
        return switch authorizer.decide(asking, wanted, mayWait: true) {
        case .allowed(let reason): CELAccessDecision(isAllowed: true, reason: reason)
        case .denied(let reason), .noOpinion(let reason): CELAccessDecision(isAllowed: false, reason: reason)
        case .mustWait: CELAccessDecision(isAllowed: false, reason: "")
        }
    }
}
