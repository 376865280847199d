import Objects

/// What objects of one resource count for in quotas.
public struct QuotaEvaluator: Sendable {
    /// "pods", "deployments.apps".
    public let resource: String

    /// nil for what no quota counts: events, and what is not stored.
    public init?(resource: String) {
        guard resource != "events", !resource.hasPrefix("events.") else { return nil }
        self.resource = resource
    }

    var countName: String { "count/\(resource)" }

    /// Kinds that have a name of their own beside `count/…`, for ever.
    private static let plainlyNamed: Set = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"]
    private static let podNames: Set = [
        "count/pods", "pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    ]
    private static let serviceNames: Set = [
        "count/services", "services", "services.nodeports", "services.loadbalancers",
    ]
    private static let claimNames: Set = [
        "count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage",
    ]
    private static let classSuffix = ".storageclass.storage.k8s.io/"
    static let deviceClaims = "resourceclaims.resource.k8s.io"

    /// Whether writes of this sort can use up more.
    public func handles(isCreation: Bool, subresource: String) -> Bool {
        switch resource {
        case "pods": isCreation ? subresource.isEmpty : subresource == "resize"
        case "services", "persistentvolumeclaims", Self.deviceClaims: subresource.isEmpty
        default: isCreation && subresource.isEmpty
        }
    }

    /// Those of a quota's resources that objects of this kind count for.
    public func matching(_ names: [String]) -> [String] { names.filter(matches) }

    private func matches(_ name: String) -> Bool {
        switch resource {
        case "pods":
            return Self.podNames.contains(name) || name.hasPrefix("hugepages-") || Self.isExtendedRequest(name)
        case "services": return Self.serviceNames.contains(name)
        case "persistentvolumeclaims":
            return Self.claimNames.contains(name) || name.hasSuffix(Self.classSuffix + "requests.storage")
                || name.hasSuffix(Self.classSuffix + "persistentvolumeclaims")
        case Self.deviceClaims: return name == countName || name.hasSuffix(DeviceAmounts.suffix)
        default: return name == countName || (Self.plainlyNamed.contains(resource) && name == resource)
        }
    }

    /// "requests.nvidia.com/gpu", "requests.hugepages-2Mi".
    private static func isExtendedRequest(_ name: String) -> Bool {
        guard name.hasPrefix("requests."), !name.contains(classSuffix) else { return false }
        let requested = name.dropFirst("requests.".count)
        return requested.hasPrefix("hugepages-") || (requested.contains("/") && !requested.contains("kubernetes.io/"))
    }

    /// Whether a quota's scopes include an object. Scopes are about pods, and one about claims: others only count without.
    public func isInScope(_ scopes: [QuotaScope], _ object: JSON) -> Bool {
        switch resource {
        case "pods": scopes.allSatisfy { $0.matches(object) }
        case "persistentvolumeclaims": scopes.allSatisfy { $0.matches(claim: object) }
        default: scopes.isEmpty
        }
    }

    // MARK: - Usage

    private static let one = Quantity(Int64(1))

    /// - Parameter now: when a pod that is being deleted has outlived its grace period, it counts no more.
    public func usage(of object: JSON, now: Timestamp) -> ResourceList {
        var usage = ResourceList([countName: Self.one])
        switch resource {
        case "pods":
            if !Self.isOver(object, now) {
                usage[resource] = Self.one
                usage =
                    usage
                    + Self.compute(
                        requests: PodAmounts.requests(of: object["spec"]), limits: PodAmounts.limits(of: object["spec"])
                    )
            }
        case "services": usage = usage + Self.service(object["spec"])
        case "persistentvolumeclaims": usage = usage + Self.claim(object)
        case Self.deviceClaims: usage = usage + DeviceAmounts.devices(of: object)
        default: if Self.plainlyNamed.contains(resource) { usage[resource] = Self.one }
        }
        return usage
    }

    /// Seconds until a pod that is being deleted counts no more; nil when no time changes what it counts for.
    public static func secondsUntilOver(_ pod: JSON, now: Timestamp) -> Int64? {
        guard !isOver(pod, now), let end = deletionEnd(pod) else { return nil }
        return max(1, end.seconds - now.seconds + 1)
    }

    private static func isOver(_ pod: JSON, _ now: Timestamp) -> Bool {
        if ["Failed", "Succeeded"].contains(pod["status"]["phase"].stringValue ?? "") { return true }
        return deletionEnd(pod).map { $0.seconds < now.seconds } ?? false
    }

    /// The deletion timestamp has the grace period in it; Kubernetes waits for it once more.
    private static func deletionEnd(_ pod: JSON) -> Timestamp? {
        guard let grace = pod.metadata["deletionGracePeriodSeconds"].integerValue,
            let text = pod.deletionTimestamp, let time = try? Timestamp(parsing: text)
        else { return nil }
        return time.adding(seconds: grace)
    }

    /// The names of a quota for what containers and pods ask for.
    static func compute(requests: ResourceList, limits: ResourceList) -> ResourceList {
        var usage = ResourceList()
        for name in ["cpu", "memory", "ephemeral-storage"] {
            if let request = requests[name] {
                usage[name] = request
                usage["requests.\(name)"] = request
            }
            if let limit = limits[name] { usage["limits.\(name)"] = limit }
        }
        for (name, amount) in requests.amounts {
            if name.hasPrefix("hugepages-") {
                usage[name] = amount
                usage["requests.\(name)"] = amount
            } else if name.contains("/"), !name.contains("kubernetes.io/") {
                usage["requests.\(name)"] = amount
            }
        }
        return usage
    }

    private static func service(_ spec: JSON) -> ResourceList {
        let type = spec["type"].stringValue ?? "ClusterIP"
        let ports = spec["ports"].arrayValue
        var nodePorts = 0
        if type == "NodePort" { nodePorts = ports.count }
        if type == "LoadBalancer" {
            nodePorts =
                spec["allocateLoadBalancerNodePorts"].boolValue == false
                ? ports.count { $0["nodePort"].integerValue ?? 0 != 0 } : ports.count
        }
        return ResourceList([
            "services": one, "services.nodeports": Quantity(Int64(nodePorts)),
            "services.loadbalancers": type == "LoadBalancer" ? one : .zero,
        ])
    }

    private static func claim(_ claim: JSON) -> ResourceList {
        var usage = ResourceList(["persistentvolumeclaims": one])
        let ofClass =
            claim.annotations["volume.beta.kubernetes.io/storage-class"].stringValue
            ?? claim["spec"]["storageClassName"].stringValue ?? ""
        if !ofClass.isEmpty { usage[ofClass + classSuffix + "persistentvolumeclaims"] = one }
        let requested = ResourceList(claim["spec"]["resources"]["requests"])["storage"]
        let allocated = ResourceList(claim["status"]["allocatedResources"])["storage"]
        if let storage = [requested, allocated].compactMap({ $0 }).max() {
            usage["requests.storage"] = storage
            if !ofClass.isEmpty { usage[ofClass + classSuffix + "requests.storage"] = storage }
        }
        return usage
    }

    // MARK: - Constraints

    private static let mustBeSaid: Set = [
        "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
    ]

    /// What an object must say because a quota counts it: "must specify limits.cpu for: web; …"; nil when nothing is missing.
    public func constraint(_ names: [String], _ object: JSON) -> String? {
        guard resource == "pods" else { return nil }
        let spec = object["spec"]
        let own = Set(Self.compute(spec["resources"]).names)
        let required = Set(names).intersection(Self.mustBeSaid).subtracting(own)
        var missing: [String: Set<String>] = [:]
        for container in spec["containers"].arrayValue + spec["initContainers"].arrayValue {
            let said = Set(Self.compute(container["resources"]).names)
            for name in required.subtracting(said) {
                missing[name, default: []].insert(container["name"].stringValue ?? "")
            }
        }
        guard !missing.isEmpty else { return nil }
        let parts = missing.sorted { $0.key < $1.key }.map { name, containers in
            "\(name) for: \(containers.sorted().joined(separator: ","))"
        }
        return "must specify \(parts.joined(separator: "; "))"
    }

    private static func compute(_ resources: JSON) -> ResourceList {
        compute(requests: ResourceList(resources["requests"]), limits: ResourceList(resources["limits"]))
    }
}
