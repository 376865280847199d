import Objects
import PluginKit

/// What the node answers under its own proxy path: figures, pods, settings and health, as a kubelet does.
final class NodeStatistics: Sendable {
    private let worker: PodWorker
    private let runtime: any RuntimeProvider
    private let dataDirectory: String
    private let host: Host

    init(worker: PodWorker, runtime: any RuntimeProvider, dataDirectory: String, host: Host) {
        self.host = host
        self.worker = worker
        self.runtime = runtime
        self.dataDirectory = dataDirectory
    }

    func serve(_ path: String, _ query: JSON = [:]) throws -> JSON {
        switch path.split(separator: "/").joined(separator: "/") {
        case "stats/summary": return answer(try summary())
        case "pods":
            return answer(
                ["kind": "PodList", "apiVersion": "v1", "metadata": [:], "items": .array(worker.allPods.map(\.object))])
        case "runningpods":
            return answer(["kind": "PodList", "apiVersion": "v1", "metadata": [:], "items": runningPods])
        case "configz": return answer(["kubeletconfig": settings])
        case "metrics": return metrics(String(decoding: try host.metrics().collect().array, as: UTF8.self))
        case "metrics/resource": return metrics(ResourceMetrics(summary: try summary()).resource)
        case "metrics/cadvisor": return metrics(ResourceMetrics(summary: try summary()).cadvisor)
        case "healthz" where query["verbose"].exists:
            return health(Self.checks.map { "[+]\($0) ok\n" }.joined() + "healthz check passed\n")
        case "healthz", "healthz/ping", "healthz/log", "healthz/syncloop": return health("ok")
        case let other:
            throw EndpointError(
                code: 404, reason: "NotFound",
                message: "the node serves no path \"/\(other)\"; it has /attach, /configz, /containerLogs, /exec, "
                    + "/healthz, /logs/, /metrics, /metrics/cadvisor, /metrics/probes, /metrics/resource, /pods, /portForward, "
                    + "/run, /runningpods and /stats/summary")
        }
    }

    /// The checks behind /healthz.
    private static let checks = ["ping", "log", "syncloop"]

    private func health(_ text: String) -> JSON {
        [
            "status": 200,
            "headers": ["Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"],
            "stream": false, "body": .string(text),
        ]
    }

    private func metrics(_ text: String) -> JSON {
        [
            "status": 200, "headers": ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"], "stream": false,
            "body": .string(text),
        ]
    }

    /// Pods whose sandbox stands: what there is of them in the runtime.
    private var runningPods: JSON {
        .array(
            worker.allPods.compactMap { pod in
                let record = worker.runtimeState.pod(pod.uid)
                guard record.sandboxes.values.contains(where: \.isReady) else { return nil }
                let containers = record.containers.values.filter { $0.state == .running }.map { container -> JSON in
                    ["name": .string(container.name), "image": .string(container.image), "resources": [:]]
                }
                return [
                    "metadata": [
                        "name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid),
                    ], "spec": ["containers": .array(containers)], "status": [:],
                ]
            })
    }

    /// How the node behaves, in the terms of a kubelet's configuration.
    private var settings: JSON {
        let facts = worker.services.facts()
        return [
            "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "clusterDomain": .string(facts.clusterDomain), "clusterDNS": [.string(facts.clusterDNS)],
            "maxPods": .integer(NodeStatusBuilder.podLimit), "seccompDefault": true,
            "nodeLeaseDurationSeconds": .integer(NodeRegistration.leaseSeconds),
            "nodeStatusReportFrequency": .string("\(Int(NodeRegistration.heartbeatSeconds) / 60)m0s"),
            "allowedUnsafeSysctls": JSON(worker.services.sysctls.allowed),
            "systemReserved": ["memory": .string("\(NodeStatusBuilder.reservedMemoryBytes >> 20)Mi")],
        ]
    }

    private func answer(_ body: JSON) -> JSON {
        [
            "status": 200, "headers": ["Content-Type": "application/json"], "stream": false,
            "body": .string(body.serializedString()),
        ]
    }

    private func summary() throws -> JSON {
        let stats = try runtime.containerStats([:], deadline: WallClock.deadline(seconds: 10))["stats"].arrayValue
        var byID: [String: JSON] = [:]
        for entry in stats { if let id = entry["id"].stringValue { byID[id] = entry } }
        let pods = worker.allPods.map { podSummary($0, byID) }
        let memory = HostFacts.meminfo(try Files.text("/proc/meminfo"))
        let available = memory["MemAvailable"] ?? 0
        let processor = HostProcessor(try Files.text("/proc/stat"))
        let time = Timestamp.now()
        return [
            "node": [
                "nodeName": .string(worker.services.facts().nodeName),
                "startTime": .string(Timestamp(seconds: processor.bootSeconds).formatted(fraction: .none)),
                "cpu": [
                    "time": .string(time.formatted(fraction: .nano)),
                    "usageCoreNanoSeconds": .integer(processor.usedNanoseconds),
                ],
                "memory": [
                    "time": .string(WallClock.timestamp()), "availableBytes": .integer(available),
                    "workingSetBytes": .integer((memory["MemTotal"] ?? 0) - available),
                ],
                "fs": ["capacityBytes": .integer(HostPressure.diskBytes(dataDirectory))],
            ],
            "pods": .array(pods),
        ]
    }

    private func podSummary(_ pod: Pod, _ stats: [String: JSON]) -> JSON {
        let containers = worker.runtimeState.pod(pod.uid).containers.values.filter { $0.state == .running }
        let entries = containers.compactMap { container -> JSON? in
            guard let entry = stats[container.id] else { return nil }
            return [
                "name": .string(container.name), "startTime": .string(WallClock.withoutFraction(container.startedAt)),
                "cpu": ["time": entry["timestamp"], "usageCoreNanoSeconds": entry["cpuUsageNanoseconds"]],
                "memory": [
                    "time": entry["timestamp"], "usageBytes": entry["memoryUsageBytes"],
                    "workingSetBytes": entry["memoryWorkingSetBytes"], "rssBytes": entry["memoryRSSBytes"],
                ],
                "rootfs": ["usedBytes": entry["writableLayerBytes"]],
            ]
        }
        return [
            "podRef": ["name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid)],
            "containers": .array(entries),
        ]
    }
}

/// How long the machine's processors have worked, from /proc/stat (proc_stat(5)).
struct HostProcessor: Equatable {
    /// Time in user and kernel mode since the start, of all cores; idle time, waiting for disks and stolen time do not count.
    var usedNanoseconds: Int64 = 0
    /// When the machine was started, in seconds since 1970.
    var bootSeconds: Int64 = 0

    init(_ text: String) {
        // USER_HZ is 100 on every architecture that this runs on.
        let tick: Int64 = 10_000_000
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.first == "cpu" {
                let ticks = fields.dropFirst().map { Int64($0) ?? 0 }
                // user, nice, system, idle, iowait, irq, softirq, …
                for index in [0, 1, 2, 5, 6] where index < ticks.count { usedNanoseconds += ticks[index] * tick }
            } else if fields.first == "btime", fields.count > 1 {
                bootSeconds = Int64(fields[1]) ?? 0
            }
        }
    }
}
