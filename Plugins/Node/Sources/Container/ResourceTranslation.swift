import Objects

/// Translates Kubernetes resource lists into the kernel's terms, as the runtime's Resources object.
enum ResourceTranslation {
    static let cpuPeriodMicroseconds: Int64 = 100_000

    /// CFS shares for thousandths of a CPU; at least 2, the kernel's minimum.
    static func cpuShares(milli: Int64) -> Int64 { min(max(milli * 1024 / 1000, 2), 262_144) }

    /// CFS quota in microseconds per period; at least 1 ms, the kernel's minimum.
    static func cpuQuota(milli: Int64) -> Int64 { max(milli * cpuPeriodMicroseconds / 1000, 1000) }

    /// Resources of one container.
    static func container(
        _ container: PodContainer, quality: QualityOfService, nodeMemoryBytes: Int64
    ) -> JSON {
        let resources = container.object["resources"]
        let cpuLimit = ResourceQuantity.milliValue(resources["limits"]["cpu"])
        let cpuRequest = ResourceQuantity.milliValue(resources["requests"]["cpu"]) ?? cpuLimit ?? 0
        let memoryLimit = ResourceQuantity.value(resources["limits"]["memory"])
        let memoryRequest = ResourceQuantity.value(resources["requests"]["memory"]) ?? memoryLimit ?? 0
        var result: JSONObject = ["cpuShares": .integer(cpuShares(milli: cpuRequest))]
        if let cpuLimit, cpuLimit > 0 {
            result["cpuQuota"] = .integer(cpuQuota(milli: cpuLimit))
            result["cpuPeriod"] = .integer(cpuPeriodMicroseconds)
        }
        if let memoryLimit, memoryLimit > 0 { result["memoryLimitBytes"] = .integer(memoryLimit) }
        result["oomScoreAdjust"] = .integer(
            QualityOfService.oomScoreAdjust(
                quality, memoryRequestBytes: memoryRequest, nodeMemoryBytes: nodeMemoryBytes))
        let hugepages = (resources["limits"].objectValue ?? [:]).filter { $0.key.hasPrefix("hugepages-") }
        if !hugepages.isEmpty {
            result["hugepageLimits"] = .array(
                hugepages.map { entry in
                    [
                        "pageSize": .string(String(entry.key.dropFirst("hugepages-".count)) + "B"),
                        "limit": .integer(ResourceQuantity.value(entry.value) ?? 0),
                    ]
                })
        }
        return .object(result)
    }

    /// Resources of the pod's own cgroup: the sum of its containers (or the largest init container), and the pod-level
    /// amounts where the specification sets them. A limit exists only when every container has one.
    static func pod(_ pod: Pod) -> JSON {
        let own = pod.specification["resources"]
        let cpuRequest =
            ResourceQuantity.milliValue(own["requests"]["cpu"]) ?? total(pod, "requests", "cpu", milli: true).sum
        let cpu = ResourceQuantity.milliValue(own["limits"]["cpu"]) ?? total(pod, "limits", "cpu", milli: true).complete
        let memory =
            ResourceQuantity.value(own["limits"]["memory"]) ?? total(pod, "limits", "memory", milli: false).complete
        // The overhead of its runtime class is the pod's own, beside what its containers have.
        let overhead = Self.overhead(pod)
        let requested = (cpuRequest == 0 ? cpu ?? 0 : cpuRequest) + overhead.cpuMilli
        var result: JSONObject = ["cpuShares": .integer(cpuShares(milli: requested))]
        if let cpu {
            result["cpuQuota"] = .integer(cpuQuota(milli: cpu + overhead.cpuMilli))
            result["cpuPeriod"] = .integer(cpuPeriodMicroseconds)
        }
        if let memory { result["memoryLimitBytes"] = .integer(memory + overhead.memoryBytes) }
        return .object(result)
    }

    private static func overhead(_ pod: Pod) -> PodRequest {
        let overhead = pod.specification["overhead"]
        return PodRequest(
            cpuMilli: ResourceQuantity.milliValue(overhead["cpu"]) ?? 0,
            memoryBytes: ResourceQuantity.value(overhead["memory"]) ?? 0)
    }

    /// What the pod keeps of the node: its containers' requests, or the pod's own, and the overhead of its runtime class.
    static func request(_ pod: Pod) -> PodRequest {
        let own = pod.specification["resources"]["requests"]
        let containers = PodRequest(
            cpuMilli: ResourceQuantity.milliValue(own["cpu"]) ?? total(pod, "requests", "cpu", milli: true).sum,
            memoryBytes: ResourceQuantity.value(own["memory"]) ?? total(pod, "requests", "memory", milli: false).sum)
        return containers + overhead(pod)
    }

    /// Limits of a pod that leave room for both: of each the larger, none where one has none.
    static func widest(_ left: JSON, _ right: JSON) -> JSON {
        var result = JSONObject()
        for name in ["cpuShares", "cpuQuota", "memoryLimitBytes"] {
            guard let one = left[name].integerValue, let other = right[name].integerValue else { continue }
            result[name] = .integer(max(one, other))
        }
        if result["cpuQuota"] != nil { result["cpuPeriod"] = .integer(cpuPeriodMicroseconds) }
        return .object(result)
    }

    /// The pod's total of one resource; `complete` is nil when a container leaves it open.
    private static func total(
        _ pod: Pod, _ list: String, _ name: String, milli: Bool
    ) -> (sum: Int64, complete: Int64?) {
        var sum: Int64 = 0
        var largestInit: Int64 = 0
        var sidecars: Int64 = 0
        var complete = true
        for container in pod.containers where container.kind != .ephemeral {
            let value = container.object["resources"][list][name]
            let amount = (milli ? ResourceQuantity.milliValue(value) : ResourceQuantity.value(value)) ?? 0
            if amount == 0 { complete = false }
            switch container.kind {
            case .regular, .ephemeral: sum += amount
            case .sidecar: sidecars += amount
            case .initialization: largestInit = max(largestInit, sidecars + amount)
            }
        }
        sum = max(sum + sidecars, largestInit)
        return (sum, complete ? sum : nil)
    }

    /// Extended resources that a container asks for ("nvidia.com/gpu": 1).
    static func extendedResources(_ container: PodContainer) -> [(name: String, count: Int64)] {
        let limits = container.object["resources"]["limits"].objectValue ?? [:]
        return limits.compactMap { entry in
            guard entry.key.contains("/"), !entry.key.hasPrefix("kubernetes.io/"),
                let count = ResourceQuantity.value(entry.value), count > 0
            else { return nil }
            return (entry.key, count)
        }
    }
}
