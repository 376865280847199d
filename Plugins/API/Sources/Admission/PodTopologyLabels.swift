import Objects
import PluginKit

/// A pod that has its node is told where that is: the node's zone and region become labels of the pod, which it reads
/// through the downward API.
/// See https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#podtopologylabels.
struct PodTopologyLabels: AdmissionPlugin {
    let name = "PodTopologyLabels"
    static let resources: Set<String>? = ["pods"]
    private static let keys = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"]
    let store: StoreClient

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard Self.isPlaced(request), let node = request.object["spec"]["nodeName"].stringValue, !node.isEmpty else {
            return
        }
        let record: StoreRecord?
        do {
            record = try store.get("nodes//\(node)")
        } catch {
            throw .unavailable("\(error)")
        }
        // A pod may name a node that is yet to come.
        guard let record else { return }
        for key in Self.keys {
            if let value = record.index(key) { request.object["metadata"]["labels"][key] = .string(value) }
        }
    }

    /// Whether the write gives a pod its node.
    private static func isPlaced(_ request: AdmissionRequest) -> Bool {
        guard request.resource.qualified == "pods" else { return false }
        switch request.operation {
        case .create: return request.subresource.isEmpty
        case .update: return request.subresource == "binding"
        case .delete, .connect: return false
        }
    }
}
