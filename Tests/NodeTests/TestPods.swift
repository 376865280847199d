import Objects

@testable import Node

/// Builders for pods and observations, so that a test's row shows only what it is about.
enum TestPods {
    static func pod(
        uid: String = "u1", name: String = "web", restartPolicy: String = "Always", containers: [String] = ["main"],
        initContainers: [JSON] = [], status: JSON = [:], metadata: JSONObject = [:], specification: JSONObject = [:],
        template: JSONObject = [:]
    ) -> Pod {
        var meta: JSONObject = ["name": .string(name), "namespace": "default", "uid": .string(uid)]
        for entry in metadata { meta[entry.key] = entry.value }
        var spec: JSONObject = [
            "restartPolicy": .string(restartPolicy), "terminationGracePeriodSeconds": 30,
            "containers": .array(
                containers.map { name in
                    var container: JSONObject = ["name": .string(name), "image": "busybox:1"]
                    for entry in template { container[entry.key] = entry.value }
                    return .object(container)
                }),
        ]
        if !initContainers.isEmpty { spec["initContainers"] = .array(initContainers) }
        for entry in specification { spec[entry.key] = entry.value }
        let object: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": .object(meta), "spec": .object(spec), "status": status,
        ]
        // SAFETY: the object is complete by construction.
        return Pod(object: object)!
    }

    static func sandbox(_ id: String = "s1", attempt: Int64 = 0, ready: Bool = true, uid: String = "u1")
        -> ObservedSandbox
    {
        let json: JSON = [
            "id": .string(id), "podUID": .string(uid), "name": "web", "namespace": "default",
            "attempt": .integer(attempt), "state": ready ? "ready" : "notReady", "createdAt": "2026-01-01T00:00:00Z",
            "networkNamespace": "/run/netns/x",
        ]
        // SAFETY: as above.
        return ObservedSandbox(json)!
    }

    static func container(
        _ name: String = "main", _ state: String, attempt: Int64 = 0, exitCode: Int64 = 0, sandbox: String = "s1",
        createdAt: String = "2026-01-01T00:00:00Z", finishedAt: String = "2026-01-01T00:00:10.5Z", reason: String = ""
    ) -> ObservedContainer {
        let json: JSON = [
            "id": .string("\(name)-\(attempt)"), "sandboxID": .string(sandbox), "name": .string(name),
            "attempt": .integer(attempt), "state": .string(state), "createdAt": .string(createdAt),
            "startedAt": state == "created" ? "" : "2026-01-01T00:00:01.25Z",
            "finishedAt": state == "exited" ? .string(finishedAt) : "", "exitCode": .integer(exitCode),
            "reason": .string(reason), "image": "busybox:1", "imageID": "sha256:1",
            "annotations": [ObservedContainer.imageAnnotation: "busybox:1"],
        ]
        // SAFETY: as above.
        return ObservedContainer(json)!
    }

    /// 2026-01-01T00:01:00Z.
    static let now = 1_767_225_660.0

    static func snapshot(
        _ pod: Pod, sandboxes: [ObservedSandbox] = [sandbox()], containers: [ObservedContainer] = [],
        now: Double = now
    ) -> PodSnapshot {
        PodSnapshot(
            pod: pod, sandboxes: sandboxes, containers: containers, health: [:], backOff: [:], retryAt: [:],
            stopping: [:], sandboxRetryAt: 0, isOrphan: false, startedAt: now - 60, now: now, attemptFloor: [:],
            isReleased: false)
    }
}
