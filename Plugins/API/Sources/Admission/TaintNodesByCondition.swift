import Objects

/// A new node takes no pods until its condition says that it is ready: then the node controller takes the taint away.
/// See https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#taintnodesbycondition.
struct TaintNodesByCondition: AdmissionPlugin {
    let name = "TaintNodesByCondition"
    static let resources: Set<String>? = ["nodes"]
    private static let taint: JSON = ["key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"]

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "nodes", .create) else { return }
        let isTainted = request.object["spec"]["taints"].arrayValue.contains {
            $0["key"] == Self.taint["key"] && $0["effect"] == Self.taint["effect"]
        }
        if !isTainted { request.object["spec"]["taints"].append(Self.taint) }
    }
}
