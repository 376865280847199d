import Objects

/// Tolerations that every pod gets, so that it leaves a failed node after five minutes.
struct DefaultTolerationSeconds: AdmissionPlugin {
    let name = "DefaultTolerationSeconds"
    static let resources: Set<String>? = ["pods"]

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.resource.qualified == "pods", request.subresource.isEmpty, request.operation != .delete else {
            return
        }
        Self.addDefaults(&request.object["spec"])
    }

    static func addDefaults(_ spec: inout JSON) {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let isTolerated = spec["tolerations"].arrayValue.contains { toleration in
                let own = toleration["key"].stringValue ?? ""
                let effect = toleration["effect"].stringValue ?? ""
                return (own == key || own.isEmpty) && (effect == "NoExecute" || effect.isEmpty)
            }
            guard !isTolerated else { continue }
            spec["tolerations"].append([
                "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            ])
        }
    }
}
