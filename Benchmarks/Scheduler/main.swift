// Processor time per decision of the scheduler's core, for growing clusters, and of handing its state over. Run: swift run -c release SchedulerBenchmark
import Glibc
import Objects
import Scheduler

/// Of this thread's processor time: what else the machine does is not counted.
func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func cluster(_ count: Int) -> Placement {
    var placement = Placement()
    for index in 0..<count {
        placement.setNode(
            NodeDescription(
                name: "node-\(index)",
                labels: ["kubernetes.io/hostname": "node-\(index)", "zone": "zone-\(index % 3)"],
                allocatable: Amounts(
                    milliCPU: 64_000, memory: 256 << 30, ephemeralStorage: 1 << 40, pods: 250)))
    }
    return placement
}

func pod(_ spec: JSON) throws -> PodDescription {
    var spec = spec
    spec["containers"] = [["name": "main", "resources": ["requests": ["cpu": "100m", "memory": "128Mi"]]]]
    return try PodDescription(["metadata": ["namespace": "default", "labels": ["app": "web"]], "spec": spec])
}

let spread: JSON = [
    "topologySpreadConstraints": [
        [
            "maxSkew": 5, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": ["matchLabels": ["app": "web"]],
        ]
    ]
]
/// What pods of a service get that say nothing themselves.
let usual: JSON = [
    "topologySpreadConstraints": .array(
        [("kubernetes.io/hostname", 3), ("zone", 5)].map { key, skew in
            [
                "maxSkew": .integer(skew), "topologyKey": .string(key), "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": ["matchLabels": ["app": "web"]],
            ]
        })
]
let kinds: [(String, JSON, Int)] = [
    ("plain", [:], 5_000), ("node selector", ["nodeSelector": ["zone": "zone-1"]], 5_000),
    ("topology spread", spread, 500), ("usual spread", usual, 5_000),
]
for nodes in [1, 100, 1_000, 5_000] {
    for (name, spec, decisions) in kinds {
        var placement = cluster(nodes)
        let request = try pod(spec)
        var times: [UInt64] = []
        var placed = 0
        for index in 0..<decisions {
            let uid = "pod-\(index)"
            let start = nanoseconds()
            if case .placed = placement.schedule(uid: uid, request) { placed += 1 }
            times.append(nanoseconds() - start)
        }
        times.sort()
        let median = Double(times[times.count / 2]) / 1000
        let tail = Double(times[times.count * 99 / 100]) / 1000
        print("\(nodes) nodes, \(name): p50 \(median) µs, p99 \(tail) µs, \(placed) of \(decisions) placed")
    }
}

for pods in [1_000, 10_000] {
    var placement = cluster(100)
    let request = try pod([:])
    for index in 0..<pods { _ = placement.schedule(uid: "00000000-0000-4000-8000-\(100_000_000_000 + index)", request) }
    var exports: [UInt64] = []
    var imports: [UInt64] = []
    for _ in 0..<11 {
        let start = nanoseconds()
        let state = placement.exported(revision: 1)
        let exported = nanoseconds()
        let copy = try state.withUnsafeBytes {
            try Placement.imported(
                UnsafeRawBufferPointer(rebasing: $0.dropFirst("hostd.scheduler.state/1\n".utf8.count)))
        }
        imports.append(nanoseconds() - exported)
        exports.append(exported - start)
        precondition(copy.placement.podCount == placement.podCount)
    }
    let (export, take) = (Double(exports.sorted()[5]) / 1e6, Double(imports.sorted()[5]) / 1e6)
    print("state of \(pods) pods: export \(export) ms, import \(take) ms")
}
