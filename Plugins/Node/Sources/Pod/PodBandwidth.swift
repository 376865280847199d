import Objects
import PluginKit

/// How fast a pod may receive and send, by its annotations kubernetes.io/ingress-bandwidth and egress-bandwidth: quantities in
/// bits a second, 1k to 1P as with Kubernetes.
enum PodBandwidth {
    private static let limits: ClosedRange<Int64> = 1000...1_000_000_000_000_000
    private static let members = [("ingress", "ingressBits"), ("egress", "egressBits")]

    /// The member `bandwidth` of an attachment; nil without annotations.
    static func json(of pod: JSON) throws(PluginError) -> JSON? {
        var json: JSONObject = [:]
        for (direction, member) in members {
            let key = "kubernetes.io/\(direction)-bandwidth"
            guard let text = pod["metadata"]["annotations"][key].stringValue else { continue }
            guard let quantity = try? Quantity(parsing: text), limits.contains(quantity.value) else {
                throw .invalid(
                    "the annotation \(key) is \"\(text)\": expected bits a second from 1k to 1P, such as 10M")
            }
            json[member] = .integer(quantity.value)
        }
        return json.isEmpty ? nil : .object(json)
    }
}
