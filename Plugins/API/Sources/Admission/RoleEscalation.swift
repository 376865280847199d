import PluginKit

/// Nobody gives away rights that they do not have: new and changed roles and bindings.
/// See https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping.
struct RoleEscalation: AdmissionPlugin {
    /// In Kubernetes the registries of these kinds see to it; the name is ours.
    let name = "RoleEscalation"
    private let check: EscalationCheck

    init(store: StoreClient, authorizer: Authorizer) {
        check = EscalationCheck(store: store, authorizer: authorizer)
    }

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.operation != .delete, request.subresource.isEmpty,
            request.resource.qualified.hasSuffix(".rbac.authorization.k8s.io")
        else { return }
        try check.check(request.object, from: request.old, request.resource, request.context)
    }
}
