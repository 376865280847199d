// Measures the object model: parsing, writing and copying of a pod and of a list of pods, and the schema's passes over
// a pod. Run: swift run -c release ObjectsBenchmark [PREFIX OF A MEASUREMENT'S NAME]

import Glibc
import ObjectSchema
import Objects

/// CPU time of this thread, which other load disturbs less than wall time.
func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The best of several rounds, each long enough to be timed, in nanoseconds a call.
func measure(_ body: () throws -> Void) rethrows -> Double {
    var best = Double.infinity
    var count = 1
    for _ in 0..<12 {
        let start = nanoseconds()
        for _ in 0..<count { try body() }
        let elapsed = Double(nanoseconds() - start)
        if elapsed < 30_000_000 { count *= 2 } else { best = min(best, elapsed / Double(count)) }
    }
    for _ in 0..<8 {
        let start = nanoseconds()
        for _ in 0..<count { try body() }
        best = min(best, Double(nanoseconds() - start) / Double(count))
    }
    return best
}

func residentKilobytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, 128, file) != nil else { return 0 }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (Int(text.split(separator: " ").dropFirst().first ?? "0") ?? 0) * 4
}

let only = CommandLine.arguments.dropFirst().first ?? ""

func report(_ name: String, _ time: @autoclosure () throws -> Double, bytes: Int? = nil) rethrows {
    guard name.hasPrefix(only) else { return }
    let time = try time()
    let micros = (time / 10).rounded() / 100
    let rate = bytes.map { "  \(Int(Double($0) / time * 1000)) MB/s" } ?? ""
    print("\(name): \(micros) µs\(rate)")
}

func pod(_ index: Int) -> JSON {
    let name = "web-7d9c5b8f6d-\(index)"
    let container: JSON = [
        "name": "web", "image": "registry.example.com/team/web:1.2.3", "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c"], "args": ["exec /usr/bin/web --port=8080 --message=\"hello\\nworld\""],
        "ports": [
            ["containerPort": 8080, "name": "http", "protocol": "TCP"],
            ["containerPort": 9090, "name": "metrics", "protocol": "TCP"],
        ],
        "env": [
            ["name": "POD_NAME", "valueFrom": ["fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.name"]]],
            ["name": "GREETING", "value": "Grüße"],
            ["name": "TOKEN", "valueFrom": ["secretKeyRef": ["key": "token", "name": "web"]]],
        ],
        "resources": ["limits": ["cpu": "500m", "memory": "256Mi"], "requests": ["cpu": "100m", "memory": "128Mi"]],
        "volumeMounts": [
            ["mountPath": "/etc/web", "name": "config", "readOnly": true],
            [
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access-x7k2p",
                "readOnly": true,
            ],
        ],
        "readinessProbe": [
            "failureThreshold": 3, "httpGet": ["path": "/healthz", "port": "http", "scheme": "HTTP"],
            "periodSeconds": 5,
            "successThreshold": 1, "timeoutSeconds": 1, "initialDelaySeconds": 2,
        ],
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    ]
    let condition = { (type: String) -> JSON in
        [
            "type": .string(type), "status": "True", "lastProbeTime": nil, "lastTransitionTime": "2026-01-02T03:04:05Z",
            "observedGeneration": 1,
        ]
    }
    return [
        "apiVersion": "v1", "kind": "Pod",
        "metadata": [
            "name": .string(name), "generateName": "web-7d9c5b8f6d-", "namespace": "default",
            "uid": "0b8f2c9e-3a55-4a6e-9d59-5f0f9d7d1c11", "resourceVersion": "123456",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": ["app.kubernetes.io/name": "web", "pod-template-hash": "7d9c5b8f6d", "tier": "frontend"],
            "annotations": [
                "kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z",
                "example.com/note": "a note of some length, as they are",
            ],
            "ownerReferences": [
                [
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9c5b8f6d",
                    "uid": "f4b8f6f0-74d0-4f8c-8f0a-0f6b2f4e8a10",
                    "controller": true, "blockOwnerDeletion": true,
                ]
            ],
        ],
        "spec": [
            "containers": [container], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "web", "serviceAccount": "web", "nodeName": "node-12", "securityContext": [:],
            "schedulerName": "default-scheduler", "enableServiceLinks": true, "priority": 0,
            "preemptionPolicy": "PreemptLowerPriority",
            "tolerations": [
                [
                    "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 300,
                ],
                [
                    "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 300,
                ],
            ],
            "volumes": [
                ["name": "config", "configMap": ["name": "web", "defaultMode": 420]],
                [
                    "name": "kube-api-access-x7k2p",
                    "projected": [
                        "defaultMode": 420,
                        "sources": [
                            ["serviceAccountToken": ["expirationSeconds": 3607, "path": "token"]],
                            [
                                "configMap": [
                                    "name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]],
                                ]
                            ],
                        ],
                    ],
                ],
            ],
        ],
        "status": [
            "phase": "Running", "podIP": "10.244.0.17", "podIPs": [["ip": "10.244.0.17"]], "hostIP": "192.0.2.12",
            "qosClass": "Burstable",
            "startTime": "2026-01-02T03:04:05Z",
            "conditions": [
                condition("PodScheduled"), condition("Initialized"), condition("ContainersReady"), condition("Ready"),
            ],
            "containerStatuses": [
                [
                    "name": "web", "ready": true, "started": true, "restartCount": 0,
                    "image": "registry.example.com/team/web:1.2.3",
                    "imageID":
                        "registry.example.com/team/web@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
                    "containerID": "hostd://fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
                    "state": ["running": ["startedAt": "2026-01-02T03:04:06Z"]], "lastState": [:],
                ]
            ],
        ],
    ]
}

let one = pod(1)
let bytes = one.serialized()
let list: JSON = [
    "apiVersion": "v1", "kind": "PodList", "metadata": ["resourceVersion": "1"], "items": .array((0..<500).map(pod)),
]
let listBytes = list.serialized()
var sink = 0

print("pod: \(bytes.count) bytes, list: \(listBytes.count) bytes")
try report("parse pod", try measure { sink &+= try JSON(parsing: bytes).count }, bytes: bytes.count)
try report("parse list of 500", try measure { sink &+= try JSON(parsing: listBytes).count }, bytes: listBytes.count)
report("write pod", measure { sink &+= one.serialized().count }, bytes: bytes.count)
report("write list of 500", measure { sink &+= list.serialized().count }, bytes: listBytes.count)
try report(
    "compare pods",
    try {
        let other = try JSON(parsing: bytes); return measure { sink &+= other == one ? 1 : 0 }
    }())
report("read spec.nodeName", measure { sink &+= one["spec"]["nodeName"].stringValue?.utf8.count ?? 0 })
let selector = try LabelSelector(parsing: "app.kubernetes.io/name=web,tier in (frontend,backend)")
report("match a selector", measure { sink &+= selector.matches(labels: one.labels) ? 1 : 0 })
try report("parse a quantity", try measure { sink &+= Int(try Quantity(parsing: "256Mi").value) })

if ["parse", "write", "compare", "read", "match"].contains(where: only.hasPrefix) { exit(sink == 0 ? 1 : 0) }
var start = nanoseconds()
let beforeSchema = residentKilobytes()
let schema = Schema.shared
report("open the schema", Double(nanoseconds() - start))
start = nanoseconds()
// SAFETY: the table in the image has pods.
guard let node = schema.kind(of: one) else { fatalError("the table has no Pod") }
var first = one
_ = try schema.prune(&first, as: node)
schema.applyDefaults(&first, as: node)
precondition(schema.validate(first, as: node).isEmpty, "\(schema.validate(first, as: node))")
report("first pod through the schema", Double(nanoseconds() - start))
print("schema in memory after the first pod: \(residentKilobytes() - beforeSchema) KB")
try report(
    "prune pod",
    try measure {
        var copy = one; sink &+= try schema.prune(&copy, as: node).count
    })
report(
    "default pod",
    measure {
        var copy = one; schema.applyDefaults(&copy, as: node); sink &+= copy.count
    })
report("validate pod", measure { sink &+= schema.validate(one, as: node).count })
let patch: JSON = ["spec": ["containers": [["name": "web", "image": "web:2"]]]]
try report(
    "strategic merge patch", try measure { sink &+= try StrategicMergePatch.apply(patch, to: one, schema: node).count })
start = nanoseconds()
let document = OpenAPIDocument.v3(group: "", version: "v1")
report("OpenAPI document of v1 (\(document.count) bytes)", Double(nanoseconds() - start))

let beforeCache = residentKilobytes()
let cache = try (0..<5000).map { try JSON(parsing: pod($0).serialized()) }
print("5000 parsed pods in memory: \((residentKilobytes() - beforeCache) * 1024 / 5000) bytes each")
sink &+= cache.count
if sink == 0 { print("") }
