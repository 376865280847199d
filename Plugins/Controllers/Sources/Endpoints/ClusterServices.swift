import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Keeps the two Services that the cluster itself offers: `default/kubernetes`, the API, and `kube-system/kube-dns`, the
/// name service, with endpoints at the addresses that the API front and the network provider announce.
final class ClusterServices: Controller {
    private struct Announced {
        /// Port of the API front.
        var apiPort: Int64?
        /// Host part of the API front's address.
        var apiHost: String?
        /// Addresses at which pods reach the host.
        var bridge: [String] = []
    }

    private let cluster: Cluster
    private let queue: ControllerQueue
    private let announced = Mutex(Announced())
    private let subscriptions = Mutex<[Subscription]>([])

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<ClusterServices>()
        queue = try cluster.queue("cluster-services", workers: 1) {
            try box.value?.sync($0) ?? .done
        }
        box.value = self
        for cache in [cluster.services, cluster.endpointSlices, cluster.endpoints] {
            cache.onObject { [queue] object in
                let service = object.labels[EndpointPlan.serviceLabel].stringValue ?? object.name
                let key = "\(object.namespace)/\(service)"
                if key == Self.api || key == Self.dns { queue.add(key) }
            }
        }
        cluster.namespaces.onEvent { [queue] event in
            guard case .added(let namespace) = event else { return }
            if namespace.name == "default" { queue.add(Self.api) }
            if namespace.name == "kube-system" { queue.add(Self.dns) }
        }
    }

    private static let api = "default/kubernetes"
    private static let dns = "kube-system/kube-dns"

    func start() throws {
        queue.add(Self.api)
        queue.add(Self.dns)
        queue.open()
        let events = try cluster.host.events()
        let endpoint = try events.subscribe(HOSTD_TOPIC_ENDPOINT) { [unowned self] message in
            let address = ClusterServices.address(ofURL: message["url"].stringValue ?? "")
            announced.withLock { ($0.apiHost, $0.apiPort) = (address?.host, address?.port) }
            queue.add(Self.api)
        }
        let network = try events.subscribe(HOSTD_TOPIC_NETWORK) { [unowned self] message in
            announced.withLock { $0.bridge = message["addresses"].arrayValue.compactMap(\.stringValue) }
            queue.add(Self.api)
            queue.add(Self.dns)
        }
        subscriptions.withLock { $0 = [endpoint, network] }
    }

    func stop() {
        for subscription in subscriptions.withLock({ $0 }) { subscription.cancel() }
        queue.stop()
    }

    /// Host and port of "https://HOST:PORT", the host without brackets.
    static func address(ofURL url: String) -> (host: String, port: Int64)? {
        let parts = url.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count >= 2, parts[0].hasSuffix(":") else { return nil }
        let authority = parts[1]
        guard let colon = authority.lastIndex(of: ":"), let port = Int64(authority[authority.index(after: colon)...])
        else {
            return nil
        }
        return (authority[..<colon].filter { $0 != "[" && $0 != "]" }, port)
    }

    // MARK: Wanted objects

    private func sync(_ key: String) throws -> Requeue {
        let now = announced.withLock { $0 }
        if key == Self.api {
            guard let port = now.apiPort, let host = now.apiHost else { return .done }
            // Pods cannot reach the loopback address: the bridge's stands for it.
            let isLocal = host.hasPrefix("127.") || host == "::1" || host == "0.0.0.0" || host == "::"
            let addresses = isLocal ? (now.bridge.isEmpty ? [host] : now.bridge) : [host]
            try ensureService(apiService(port: port))
            try ensureEndpoints(
                key, addresses: addresses, ports: [["name": "https", "protocol": "TCP", "port": .integer(port)]])
        } else {
            let address = cluster.settings["dnsAddress"].stringValue ?? "10.96.0.10"
            try ensureService(ClusterServices.dnsService(address: address))
            let ports: [JSON] = [
                ["name": "dns", "protocol": "UDP", "port": 53], ["name": "dns-tcp", "protocol": "TCP", "port": 53],
            ]
            try ensureEndpoints(key, addresses: now.bridge, ports: ports)
        }
        return .done
    }

    private func apiService(port: Int64) -> JSON {
        var service: JSON = [
            "apiVersion": "v1", "kind": "Service",
            "metadata": [
                "name": "kubernetes", "namespace": "default",
                "labels": ["component": "apiserver", "provider": "kubernetes"],
            ],
            "spec": [
                "ports": [["name": "https", "protocol": "TCP", "port": 443, "targetPort": .integer(port)]],
                "type": "ClusterIP",
                "sessionAffinity": "None",
            ],
        ]
        // By convention the API has the first address of the range; clients and certificates expect it there.
        let range = cluster.settings["serviceRange"].stringValue ?? ""
        if let address = ClusterServices.firstAddress(of: range) { service["spec"]["clusterIP"] = .string(address) }
        return service
    }

    /// The first usable address of an IPv4 range such as 10.96.0.0/16; nil for what is none.
    static func firstAddress(of range: String) -> String? {
        let parts = range.prefix { $0 != "/" }.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 4, let last = parts[3], last < 255, !parts.contains(nil) else { return nil }
        return (parts.prefix(3).compactMap { $0 } + [last + 1]).map { "\($0)" }.joined(separator: ".")
    }

    static func dnsService(address: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "Service",
            "metadata": [
                "name": "kube-dns", "namespace": "kube-system",
                "labels": [
                    "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
                ],
            ],
            "spec": [
                "clusterIP": .string(address), "type": "ClusterIP",
                "ports": [
                    ["name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53],
                    ["name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 53],
                ],
            ],
        ]
    }

    /// Makes the Service when it is absent; one that someone changed stays as it is.
    private func ensureService(_ wanted: JSON) throws {
        guard cluster.services.get(wanted.namespace, wanted.name) == nil,
            cluster.namespaces.get("", wanted.namespace) != nil
        else { return }
        do {
            try cluster.writer.create(.services, wanted)
        } catch let error as APIError where error.isAlreadyExists {
            // The cache has not seen it yet.
        }
    }

    private func ensureEndpoints(_ key: String, addresses: [String], ports: [JSON]) throws {
        let (namespace, name) = splitKey(key)
        guard !addresses.isEmpty, cluster.namespaces.get("", namespace) != nil else { return }
        let slice: JSON = [
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": [
                "name": .string(name), "namespace": .string(namespace),
                "labels": .object([EndpointPlan.serviceLabel: .string(name)]),
            ],
            "addressType": addresses[0].contains(":") ? "IPv6" : "IPv4",
            "endpoints": .array(
                addresses.map {
                    [
                        "addresses": .array([.string($0)]),
                        "conditions": ["ready": true, "serving": true, "terminating": false],
                    ]
                }), "ports": .array(ports),
        ]
        try put(.endpointSlices, slice, cached: cluster.endpointSlices.get(namespace, name), ["endpoints", "ports"])
        let object: JSON = [
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": [
                "name": .string(name), "namespace": .string(namespace),
                "labels": ["endpointslice.kubernetes.io/skip-mirror": "true"],
            ],
            "subsets": .array([
                ["addresses": .array(addresses.map { ["ip": .string($0)] }), "ports": .array(ports)]
            ]),
        ]
        try put(.endpoints, object, cached: cluster.endpoints.get(namespace, name), ["subsets"])
    }

    private func put(_ type: ResourceType, _ wanted: JSON, cached: JSON?, _ members: [String]) throws {
        guard let cached else {
            do {
                try cluster.writer.create(type, wanted)
            } catch let error as APIError where error.isAlreadyExists {
                // The cache has not seen it yet; its event brings the key back.
            }
            return
        }
        if members.allSatisfy({ cached[$0] == wanted[$0] }) { return }
        var changed = cached.typed(type)
        for member in members { changed[member] = wanted[member] }
        try cluster.writer.update(type, changed)
    }
}
