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
        guard let node = Self.node(of: request), !node.isEmpty else { return }
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

    /// The node that the write gives to a pod, or that a Binding does.
    private static func node(of request: AdmissionRequest) -> String? {
        guard request.resource.qualified == "pods", request.operation == .create else { return nil }
        return switch request.subresource {
        case "": request.object["spec"]["nodeName"].stringValue
        case "binding": request.object["target"]["name"].stringValue
        default: nil
        }
    }
}
