import Objects

/// Builds the Node object: what it is at registration, and its status. Pure.
struct NodeStatusBuilder {
    static let kubeletVersion = "v1.36.0"
    /// As User-Agents tell it.
    static let shortVersion = "1.36"
    static let podLimit: Int64 = 110
    /// How many names of one image are told.
    static let namesOfAnImage = 5
    /// Memory that pods cannot have, for hostd and the system.
    static let reservedMemoryBytes: Int64 = 100 << 20

    let nodeName: String
    let host: HostFacts
    let pressure: HostPressure
    let diskBytes: Int64
    let addresses: [String]
    /// Extended resources: all, and those that can be given out.
    let devices: [String: (all: Int64, healthy: Int64)]
    /// The runtime's Image objects.
    let images: [JSON]
    /// Why the node is not ready; nil when it is.
    let notReady: String?
    let runtimeVersion: String
    /// What the runtime says that it can do.
    var runtimeFeatures: JSON = [:]
    /// Of the node's own paths.
    var port = NodePort.usual

    /// The object to create when the node is not known yet.
    func registration() -> JSON {
        [
            "apiVersion": "v1", "kind": "Node",
            "metadata": [
                "name": .string(nodeName), "labels": .object(labels),
                "annotations": ["volumes.kubernetes.io/controller-managed-attach-detach": "true"],
            ],
            "spec": [:],
        ]
    }

    var labels: JSONObject {
        [
            "kubernetes.io/hostname": .string(nodeName), "kubernetes.io/arch": .string(host.architecture),
            "kubernetes.io/os": "linux", "beta.kubernetes.io/arch": .string(host.architecture),
            "beta.kubernetes.io/os": "linux",
        ]
    }

    /// The whole status; `old` keeps foreign conditions and transition times. `now` is a metav1.Time.
    func status(old: JSON, now: String) -> JSON {
        var capacity: JSONObject = [
            "cpu": .string(String(host.cpus)), "memory": .string("\(host.memoryBytes / 1024)Ki"),
            "ephemeral-storage": .string("\(diskBytes / 1024)Ki"), "pods": .string(String(Self.podLimit)),
            "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        ]
        var allocatable = capacity
        allocatable["memory"] = .string("\(max(host.memoryBytes - Self.reservedMemoryBytes, 0) / 1024)Ki")
        allocatable["ephemeral-storage"] = .string(String(diskBytes / 10 * 9))
        for (name, count) in devices.sorted(by: { $0.key < $1.key }) {
            capacity[name] = .string(String(count.all))
            allocatable[name] = .string(String(count.healthy))
        }
        adoptForeign(old, capacity, &allocatable)
        return [
            "capacity": .object(capacity), "allocatable": .object(allocatable),
            "conditions": conditions(old["conditions"], now: now),
            "addresses": .array(
                addresses.map { ["type": "InternalIP", "address": .string($0)] }
                    + [["type": "Hostname", "address": .string(nodeName)]]),
            "daemonEndpoints": ["kubeletEndpoint": ["Port": .integer(Int64(port))]],
            "nodeInfo": nodeInfo, "images": .array(images.prefix(50).compactMap(imageEntry)),
            "features": ["supplementalGroupsPolicy": .bool(can("onlyListedGroups"))],
            "runtimeHandlers": [
                [
                    "name": "",
                    "features": [
                        "recursiveReadOnlyMounts": .bool(can("recursiveReadOnlyMounts")),
                        "userNamespaces": .bool(can("userNamespaces")),
                    ],
                ]
            ],
        ]
    }

    private func can(_ feature: String) -> Bool { runtimeFeatures[feature].boolValue == true }

    /// A resource that somebody advertised in the capacity can be given out, as long as it is there. A null takes its amount away.
    private func adoptForeign(_ old: JSON, _ own: JSONObject, _ allocatable: inout JSONObject) {
        for (name, amount) in old["capacity"].objectValue ?? [:] where own[name] == nil { allocatable[name] = amount }
        for (name, _) in old["allocatable"].objectValue ?? [:] where allocatable[name] == nil {
            allocatable[name] = .null
        }
    }

    private var nodeInfo: JSON {
        var info: JSON = [
            "machineID": .string(host.machineID), "systemUUID": .string(host.systemUUID),
            "bootID": .string(host.bootID), "kernelVersion": .string(host.kernelVersion),
            "osImage": .string(host.osImage), "containerRuntimeVersion": .string("hostd://\(runtimeVersion)"),
            "kubeletVersion": .string(Self.kubeletVersion), "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": .string(host.architecture),
        ]
        if host.swapBytes > 0 { info["swap"] = ["capacity": .integer(host.swapBytes)] }
        return info
    }

    private func imageEntry(_ image: JSON) -> JSON? {
        let names = image["repoDigests"].arrayValue + image["repoTags"].arrayValue
        guard !names.isEmpty else { return nil }
        return [
            "names": .array(Array(names.prefix(Self.namesOfAnImage))),
            "sizeBytes": image["size"].exists ? image["size"] : 0,
        ]
    }

    private func conditions(_ old: JSON, now: String) -> JSON {
        let wanted: [(type: String, status: Bool, reason: String, message: String)] = [
            (
                "MemoryPressure", pressure.memory,
                pressure.memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
                "kubelet has \(pressure.memory ? "insufficient" : "sufficient") memory available"
            ),
            (
                "DiskPressure", pressure.disk, pressure.disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
                "kubelet has \(pressure.disk ? "" : "no ")disk pressure"
            ),
            (
                "PIDPressure", pressure.processes,
                pressure.processes ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID",
                "kubelet has \(pressure.processes ? "insufficient" : "sufficient") PID available"
            ),
            (
                "Ready", notReady == nil, notReady == nil ? "KubeletReady" : "KubeletNotReady",
                notReady ?? "kubelet is posting ready status"
            ),
        ]
        var result = wanted.map { entry -> JSON in
            let before = old.arrayValue.first { $0["type"].stringValue == entry.type } ?? .null
            let status = entry.status ? "True" : "False"
            let since = before["status"].stringValue == status ? before["lastTransitionTime"] : .null
            return [
                "type": .string(entry.type), "status": .string(status), "lastHeartbeatTime": .string(now),
                "lastTransitionTime": since.exists ? since : .string(now), "reason": .string(entry.reason),
                "message": .string(entry.message),
            ]
        }
        let own = Set(wanted.map(\.type))
        result += old.arrayValue.filter { !own.contains($0["type"].stringValue ?? "") }
        return .array(result)
    }

    /// A status without what changes by itself, to tell whether there is news.
    static func withoutHeartbeats(_ status: JSON) -> JSON {
        var status = status
        var conditions = status["conditions"]
        conditions.updateElements { _, condition in condition.removeValue(forKey: "lastHeartbeatTime") }
        status["conditions"] = conditions
        return status
    }
}
