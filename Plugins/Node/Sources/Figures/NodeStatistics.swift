import Objects
import PluginKit

/// What the node answers under its own proxy path: figures, pods, settings and health, as a kubelet does.
final class NodeStatistics: Sendable {
    private let worker: PodWorker
    private let runtime: any RuntimeProvider
    private let dataDirectory: String
    private let host: Host
    private let machine: HostFacts
    private let probes: ProbeManager
    private let rates = UsageRates()

    init(
        worker: PodWorker, runtime: any RuntimeProvider, dataDirectory: String, host: Host, machine: HostFacts,
        probes: ProbeManager
    ) {
        self.host = host
        self.machine = machine
        self.probes = probes
        self.worker = worker
        self.runtime = runtime
        self.dataDirectory = dataDirectory
    }

    func serve(_ path: String, _ query: JSON = [:]) throws -> JSON {
        switch path.split(separator: "/").joined(separator: "/") {
        case "stats/summary": return answer(try summary.json(isShort: query.isFlagSet("only_cpu_and_memory")))
        case "pods":
            return answer(
                ["kind": "PodList", "apiVersion": "v1", "metadata": [:], "items": .array(worker.allPods.map(\.object))])
        case "runningpods":
            return answer(["kind": "PodList", "apiVersion": "v1", "metadata": [:], "items": runningPods])
        case "configz": return answer(["kubeletconfig": settings])
        case "metrics": return metrics(String(decoding: try host.metrics().collect().array, as: UTF8.self))
        case "metrics/resource": return metrics(ResourceMetrics(summary: shortSummary()).text)
        case "metrics/cadvisor": return metrics(try containers().text)
        case "metrics/probes": return metrics(probes.metrics.text(startSeconds: Self.processStart))
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

    private var summary: NodeSummary {
        NodeSummary(worker: worker, runtime: runtime, dataDirectory: dataDirectory, rates: rates)
    }

    /// Null, with a warning in the log, when it cannot be had: the page says so.
    private func shortSummary() -> JSON {
        do {
            return try summary.json(isShort: true)
        } catch {
            worker.services.log.warning("containers cannot be measured", ["error": .string("\(error)")])
            return .null
        }
    }

    private func containers() throws -> ContainerMetrics {
        let summary = summary
        let stats = try summary.statistics()
        let pods = worker.allPods
        let networks = PodNetworks.read(Set(pods.map(summary.namespace)))
        var entries: [ContainerMetrics.Entry] = []
        for pod in pods {
            let record = worker.runtimeState.pod(pod.uid)
            guard let sandbox = record.sandboxes.values.filter(\.isReady).max(by: { $0.attempt < $1.attempt }) else {
                continue
            }
            entries.append(
                ContainerMetrics.Entry(
                    id: sandbox.id, namespace: pod.namespace, pod: pod.name, startedAt: sandbox.createdAt,
                    interfaces: networks[sandbox.networkNamespace] ?? []))
            for container in record.containers.values.filter({ $0.state == .running }).sorted(by: { $0.name < $1.name })
            {
                entries.append(
                    ContainerMetrics.Entry(
                        id: container.id, name: container.name, image: container.image, namespace: pod.namespace,
                        pod: pod.name, startedAt: container.startedAt, usage: stats[container.id] ?? .null,
                        resources: pod.container(named: container.name)?.object["resources"] ?? .null))
            }
        }
        return ContainerMetrics(
            processors: machine.cpus, memoryBytes: machine.memoryBytes, kernel: machine.kernelVersion,
            system: machine.osImage, node: try summary.node(isShort: true), entries: entries)
    }

    /// When this process was started, in seconds since 1970; nil where /proc does not say.
    static var processStart: Double? {
        guard let stat = try? Files.text("/proc/self/stat"), let end = stat.lastIndex(of: ")"),
            let boot = try? HostProcessor(Files.text("/proc/stat")).bootSeconds
        else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        // The 22nd field, of which two stand before the parenthesis; in hundredths of a second.
        return fields.count > 19 ? Double(fields[19]).map { Double(boot) + $0 / 100 } : nil
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
