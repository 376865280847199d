import Glibc
import Objects
import PluginKit

/// What a kubelet answers at /stats/summary: the use of the node, its pods and their containers at one moment.
/// See https://kubernetes.io/docs/reference/instrumentation/node-metrics/.
struct NodeSummary {
    let worker: PodWorker
    let runtime: any RuntimeProvider
    let dataDirectory: String
    let rates: UsageRates

    /// - Parameter isShort: Processors and memory alone.
    func json(isShort: Bool = false) throws -> JSON {
        let stats = try statistics()
        let pods = worker.allPods.filter { pod in
            worker.runtimeState.pod(pod.uid).sandboxes.values.contains(where: \.isReady)
        }
        var networks: [String: [NetworkInterfaceFigures]] = [:]
        if !isShort { networks = PodNetworks.read(Set(pods.map(namespace))) }
        let summaries = pods.map { pod in
            podSummary(pod, stats, networks[namespace(pod)] ?? [], isShort: isShort)
        }
        rates.forget(keeping: Set(stats.keys))
        return ["node": try node(isShort: isShort), "pods": .array(summaries)]
    }

    /// The runtime's figures by container ID.
    func statistics() throws -> [String: JSON] {
        let stats = try runtime.containerStats([:], deadline: WallClock.deadline(seconds: 10))["stats"].arrayValue
        var byID: [String: JSON] = [:]
        for entry in stats { if let id = entry["id"].stringValue { byID[id] = entry } }
        return byID
    }

    /// Path of the pod's network namespace; empty for the host's.
    func namespace(_ pod: Pod) -> String {
        worker.runtimeState.pod(pod.uid).sandboxes.values.filter(\.isReady).max { $0.attempt < $1.attempt }?
            .networkNamespace ?? ""
    }

    // MARK: - The node

    func node(isShort: Bool) throws -> JSON {
        let memory = HostFacts.meminfo(try Files.text("/proc/meminfo"))
        let available = memory["MemAvailable"] ?? 0
        let total = memory["MemTotal"] ?? 0
        let processor = HostProcessor(try Files.text("/proc/stat"))
        let precise = Timestamp.now().formatted(fraction: .nano)
        let time = JSON.string(precise)
        var cpu: JSON = ["time": time, "usageCoreNanoSeconds": .integer(processor.usedNanoseconds)]
        if let rate = rates.rate("", precise, processor.usedNanoseconds) { cpu["usageNanoCores"] = .integer(rate) }
        var node: JSON = [
            "nodeName": .string(worker.services.facts().nodeName),
            "startTime": .string(Timestamp(seconds: processor.bootSeconds).formatted(fraction: .none)),
            "cpu": cpu,
            "memory": [
                "time": time, "availableBytes": .integer(available),
                "usageBytes": .integer(total - (memory["MemFree"] ?? 0)),
                "workingSetBytes": .integer(total - available), "rssBytes": .integer(memory["AnonPages"] ?? 0),
            ],
            "swap": [
                "time": time, "swapAvailableBytes": .integer(memory["SwapFree"] ?? 0),
                "swapUsageBytes": .integer((memory["SwapTotal"] ?? 0) - (memory["SwapFree"] ?? 0)),
            ],
        ]
        guard !isShort else { return node }
        node["fs"] = Self.fileSystem(dataDirectory, time)
        let interfaces = NetworkInterfaceFigures.read(try Files.text("/proc/net/dev"))
        if !interfaces.isEmpty { node["network"] = NetworkInterfaceFigures.summary(interfaces, time: time) }
        node["rlimit"] = try Self.processes(time)
        var images = Self.fileSystem(dataDirectory, time)
        let used = try runtime.imageFilesystem([:], deadline: WallClock.deadline(seconds: 10))["usedBytes"]
        if used.exists { images["usedBytes"] = used }
        node["runtime"] = ["imageFs": images, "containerFs": images]
        return node
    }

    /// What processes there may be and are.
    private static func processes(_ time: JSON) throws -> JSON {
        let limit = Int64(try Files.text("/proc/sys/kernel/pid_max").prefix { $0.isNumber }) ?? 0
        let load = try Files.text("/proc/loadavg").split(separator: " ")
        let running = load.count > 3 ? Int64(load[3].split(separator: "/").last ?? "") ?? 0 : 0
        return ["time": time, "maxpid": .integer(limit), "curproc": .integer(running)]
    }

    static func fileSystem(_ path: String, _ time: JSON) -> JSON {
        var disk = statvfs()
        guard statvfs(path, &disk) == 0 else { return ["time": time] }
        let unit = Int64(disk.f_frsize)
        return [
            "time": time, "availableBytes": .integer(Int64(disk.f_bavail) * unit),
            "capacityBytes": .integer(Int64(disk.f_blocks) * unit),
            "usedBytes": .integer(Int64(disk.f_blocks - disk.f_bfree) * unit),
            "inodesFree": .integer(Int64(disk.f_ffree)), "inodes": .integer(Int64(disk.f_files)),
            "inodesUsed": .integer(Int64(disk.f_files) - Int64(disk.f_ffree)),
        ]
    }

    // MARK: - Pods

    private func podSummary(
        _ pod: Pod, _ stats: [String: JSON], _ interfaces: [NetworkInterfaceFigures], isShort: Bool
    ) -> JSON {
        let running = worker.runtimeState.pod(pod.uid).containers.values.filter { $0.state == .running }
        let measured = running.sorted { $0.name < $1.name }.compactMap { container in
            stats[container.id].map { (container, $0) }
        }
        var summary: JSON = [
            "podRef": ["name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid)],
            "containers": .array(measured.map { containerSummary($0, $1, isShort: isShort) }),
        ]
        if pod.status["startTime"].exists { summary["startTime"] = pod.status["startTime"] }
        // Without containers there is nothing to count.
        guard let first = measured.first else { return summary }
        let time = first.1["timestamp"]
        func sum(_ member: String) -> JSON {
            .integer(measured.reduce(0) { $0 + ($1.1[member].integerValue ?? 0) })
        }
        summary["cpu"] = ["time": time, "usageCoreNanoSeconds": sum("cpuUsageNanoseconds")]
        let rate = measured.compactMap { rates.known($0.0.id) }
        if rate.count == measured.count { summary["cpu"]["usageNanoCores"] = .integer(rate.reduce(0, +)) }
        summary["memory"] = [
            "time": time, "usageBytes": sum("memoryUsageBytes"), "workingSetBytes": sum("memoryWorkingSetBytes"),
            "rssBytes": sum("memoryRSSBytes"),
        ]
        guard !isShort else { return summary }
        summary["process_stats"] = ["process_count": sum("pids")]
        summary["ephemeral-storage"] = Self.fileSystem(dataDirectory, time)
        summary["ephemeral-storage"]["usedBytes"] = sum("writableLayerBytes")
        if !interfaces.isEmpty { summary["network"] = NetworkInterfaceFigures.summary(interfaces, time: time) }
        return summary
    }

    private func containerSummary(_ container: ObservedContainer, _ entry: JSON, isShort: Bool) -> JSON {
        let time = entry["timestamp"]
        var summary: JSON = [
            "name": .string(container.name), "startTime": .string(WallClock.withoutFraction(container.startedAt)),
            "cpu": ["time": time, "usageCoreNanoSeconds": entry["cpuUsageNanoseconds"]],
            "memory": [
                "time": time, "usageBytes": entry["memoryUsageBytes"],
                "workingSetBytes": entry["memoryWorkingSetBytes"], "rssBytes": entry["memoryRSSBytes"],
            ],
        ]
        let rate = rates.rate(
            container.id, time.stringValue ?? "", entry["cpuUsageNanoseconds"].integerValue ?? 0)
        if let rate { summary["cpu"]["usageNanoCores"] = .integer(rate) }
        guard !isShort else { return summary }
        summary["rootfs"] = Self.fileSystem(dataDirectory, time)
        summary["rootfs"]["usedBytes"] = entry["writableLayerBytes"]
        summary["logs"] = Self.fileSystem(dataDirectory, time)
        // What it has written is not counted for this.
        summary["logs"].removeValue(forKey: "usedBytes")
        return summary
    }
}
