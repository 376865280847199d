import Objects
import PluginKit

/// Where a server is that the API front connects to for its clients: an endpoint of a service, a pod, a host.
struct UpstreamAddress: Sendable, Hashable {
    /// A name or an address.
    var host: String
    var port: UInt16
    /// The pod whose address it is; it is reached from within the pod's network, through the plugin that serves the pod's
    /// forwarded ports, whatever network the front itself is in.
    var pod: Pod?

    struct Pod: Sendable, Hashable {
        var namespace: String
        var name: String
    }

    /// "10.244.0.5:80", "[fd00::5]:80".
    var authority: String { SocketAddress(host: host, port: port).description }

    /// Whether requests of clients may be carried to an address: not to this machine's own loopback, nor to its link,
    /// where services that trust whoever reaches them would take them for local.
    static func isProxyable(_ host: String) -> Bool {
        guard let bytes = SocketAddress.bytes(of: host) else { return false }
        let isMapped =
            bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        if isMapped { return isProxyable(bytes[12...].map(String.init).joined(separator: ".")) }
        if bytes.count == 4 {
            return bytes[0] != 127 && bytes[0] != 0 && !(bytes[0] == 169 && bytes[1] == 254) && bytes[0] < 224
        }
        let isLoopbackOrNone = bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] <= 1
        let isLinkLocal = bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80
        return !isLoopbackOrNone && !isLinkLocal && bytes[0] != 0xFF
    }
}

/// The endpoints of services, as the stored EndpointSlices have them.
enum ServiceEndpoints {
    /// Addresses that are ready, at the port that has a name ("" for the only one of a service).
    static func ready(
        namespace: String, name: String, portName: String, _ store: StoreClient
    ) throws(PluginError) -> [UpstreamAddress] {
        var found: [UpstreamAddress] = []
        let records = try store.list(
            prefix: "endpointslices.discovery.k8s.io/\(namespace)/", selector: "kubernetes.io/service-name=\(name)"
        ).records
        for record in records {
            let slice: JSON
            do { slice = try record.object() } catch { throw .internal("\(record.key) cannot be read: \(error)") }
            let entry = slice["ports"].arrayValue.first { ($0["name"].stringValue ?? "") == portName }
            guard let number = entry?["port"].integerValue, let port = UInt16(exactly: number) else { continue }
            for endpoint in slice["endpoints"].arrayValue where endpoint["conditions"]["ready"].boolValue ?? true {
                guard let host = endpoint["addresses"][0].stringValue else { continue }
                var address = UpstreamAddress(host: host, port: port)
                let target = endpoint["targetRef"]
                if target["kind"].stringValue == "Pod", let pod = target["name"].stringValue {
                    address.pod = .init(namespace: target["namespace"].stringValue ?? namespace, name: pod)
                }
                found.append(address)
            }
        }
        return found
    }
}
