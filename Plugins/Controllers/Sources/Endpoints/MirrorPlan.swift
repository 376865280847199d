import Objects

/// The EndpointSlices that show an Endpoints object which somebody wrote for a Service without selector.
/// See https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#endpointslice-mirroring.
struct MirrorPlan {
    static let manager = "endpointslicemirroring-controller.k8s.io"
    static let skipLabel = "endpointslice.kubernetes.io/skip-mirror"
    /// Addresses of one subset that are shown.
    static let limit = 1000
    private static let leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"
    private static let notCopied = [EndpointPlan.triggerTime, "kubectl.kubernetes.io/last-applied-configuration"]

    private(set) var create: [JSON] = []
    private(set) var update: [JSON] = []
    private(set) var delete: [JSON] = []

    /// Whether the object is shown as slices: it is not where a Service's controller keeps slices itself, nor where the
    /// object only tells who leads an election.
    static func isMirrored(_ endpoints: JSON, service: JSON?) -> Bool {
        guard let service, endpoints.deletionTimestamp == nil, service.deletionTimestamp == nil else { return false }
        return service["spec"]["selector"].isEmpty && endpoints.labels[skipLabel].stringValue != "true"
            && !endpoints.annotations[leaderAnnotation].exists
    }

    /// - Parameters:
    ///   - endpoints: nil when it is gone or not shown: then no slice stays.
    ///   - existing: the slices that were made for it.
    init(_ endpoints: JSON?, existing: [JSON]) {
        var free = existing.sorted { $0.name < $1.name }
        for (group, content) in Self.groups(endpoints).sorted(by: { Self.order($0.key) < Self.order($1.key) }) {
            guard let endpoints else { break }
            let index = free.firstIndex {
                $0["addressType"].stringValue == group.addressType && $0["ports"].arrayValue == group.ports
            }
            // Its address family is the only part of a slice that cannot change.
            let old = (index ?? free.firstIndex { $0["addressType"].stringValue == group.addressType }).map {
                free.remove(at: $0)
            }
            let slice = Self.slice(old, endpoints, group, content)
            if old == nil { create.append(slice) } else if slice != old { update.append(slice) }
        }
        delete = free
    }

    private static func order(_ group: EndpointPlan.Group) -> String {
        group.addressType + JSON.array(group.ports).serializedString()
    }

    private static func groups(_ endpoints: JSON?) -> [EndpointPlan.Group: [JSON]] {
        var groups: [EndpointPlan.Group: [JSON]] = [:]
        for subset in endpoints?["subsets"].arrayValue ?? [] {
            let ports = subset["ports"].arrayValue.map { port in
                port["name"].exists ? port : port.with("name", "")
            }
            let addresses =
                subset["addresses"].arrayValue.map { ($0, true) }
                + subset["notReadyAddresses"].arrayValue.map { ($0, false) }
            for (address, isReady) in addresses.prefix(limit) {
                let ip = address["ip"].stringValue ?? ""
                let group = EndpointPlan.Group(addressType: ip.contains(":") ? "IPv6" : "IPv4", ports: ports)
                groups[group, default: []].append(endpoint(address, isReady: isReady))
            }
        }
        return groups
    }

    private static func endpoint(_ address: JSON, isReady: Bool) -> JSON {
        var endpoint: JSON = ["addresses": .array([address["ip"]]), "conditions": ["ready": .bool(isReady)]]
        for member in ["hostname", "nodeName", "targetRef"] where address[member].exists {
            endpoint[member] = address[member]
        }
        return endpoint
    }

    private static func slice(
        _ old: JSON?, _ endpoints: JSON, _ group: EndpointPlan.Group, _ content: [JSON]
    ) -> JSON {
        var slice =
            old ?? [
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": [
                    "generateName": .string(endpoints.name + "-"), "namespace": .string(endpoints.namespace),
                    "ownerReferences": .array([ControllerReference(.endpoints, endpoints).json]),
                ],
            ]
        var labels: JSON = endpoints.labels.exists ? endpoints.labels : [:]
        labels[EndpointPlan.serviceLabel] = .string(endpoints.name)
        labels[EndpointPlan.managedByLabel] = .string(manager)
        slice["metadata"]["labels"] = labels
        let annotations = (endpoints.annotations.objectValue ?? [:]).filter { !notCopied.contains($0.key) }
        if annotations.isEmpty {
            slice["metadata"].removeValue(forKey: "annotations")
        } else {
            slice["metadata"]["annotations"] = .object(JSONObject(annotations.map { ($0.key, $0.value) }))
        }
        slice["addressType"] = .string(group.addressType)
        slice["ports"] = .array(group.ports)
        slice["endpoints"] = .array(content)
        return slice
    }
}
