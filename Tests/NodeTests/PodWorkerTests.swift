import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import Node

/// A worker over fakes, driven by hand.
final class Bench {
    let directory: TemporaryDirectory
    let runtime = FakeRuntime()
    let network = FakeNetwork()
    let api = FakeAPI()
    let objects = FakeObjects()
    let events = FakeEvents()
    let runtimeState = RuntimeState()
    let operations = OperationPool(maximum: 4)
    let probes: ProbeManager
    let worker: PodWorker
    let watcher: RuntimeWatcher
    let queued = Queue()

    init() throws {
        directory = try TemporaryDirectory()
        let paths = NodePaths(data: directory.path)
        try Files.makeDirectories(paths.pods)
        let client = APIClient(api)
        probes = try ProbeManager(runtime: runtime, operations: operations) { _ in }
        let volumes = VolumeManager(
            paths: paths, mounts: FakeMounts(), objects: objects, tokens: TokenCache(api: client),
            drivers: NoDrivers())
        let facts = NodeFacts(
            nodeName: "alpha", addresses: ["10.244.0.1"], memoryBytes: 1 << 30,
            allocatable: .init(cpuMilli: 2000, memoryBytes: 1 << 30))
        let queued = queued
        worker = PodWorker(
            services: PodWorkerServices(
                runtime: runtime, network: network, api: client, objects: objects, volumes: volumes,
                devices: DeviceAllocator(), events: events, operations: operations, endings: operations,
                services: { _ in [] }, isolate: { _, _ in },
                facts: { facts }, metrics: nil, log: NodeLog { _, _, _ in }),
            runtimeState: runtimeState, probes: probes, enqueue: { uid, delay in queued.add(uid, delay) })
        watcher = RuntimeWatcher(runtime: runtime, state: runtimeState, onChange: { queued.add($0, 0) })
        _ = try watcher.start()
    }

    static func with(_ body: (Bench) throws -> Void) throws {
        let bench = try Bench()
        defer { bench.stop() }
        try body(bench)
    }

    func give(_ pod: Pod) {
        api.pods.withLock { $0[pod.name] = pod.object }
        worker.podChanged(pod.object)
    }

    @discardableResult
    func sync() throws -> Requeue { try worker.sync("u1") }

    /// Works until a status satisfies; background work may still come in. Fails after a minute.
    func syncUntil(_ reason: String, _ matches: (Bench) -> Bool) throws {
        let end = WallClock.now() + 60
        while WallClock.now() < end {
            try sync()
            if matches(self) { return }
            queued.wait()
        }
        XCTFail("never: \(reason)")
    }

    var lastStatus: JSON { api.statuses.last ?? .null }
    func stop() {
        probes.stop()
        operations.close()
    }

    final class Queue: Sendable {
        private let keys = Mutex<[String]>([])
        func add(_ key: String, _ delay: UInt64) { if delay == 0 { keys.withLock { $0.append(key) } } }
        /// Until something is queued, at most a tenth of a second.
        func wait() {
            for _ in 0..<100 {
                if keys.withLock({ !$0.isEmpty }) { break }
                poll(nil, 0, 1)
            }
            keys.withLock { $0.removeAll() }
        }
    }
    final class FakeObjects: ObjectReader {
        let all = Mutex<[String: JSON]>([:])
        func object(_ key: String) throws -> JSON? { all.withLock { $0[key] } }
    }
    final class FakeEvents: PodEvents {
        let all = Mutex<[String]>([])
        func record(_ pod: Pod, warning: Bool, reason: String, message: String, container: PodContainer?) {
            all.withLock { $0.append("\(reason): \(message)") }
        }
        func has(_ reason: String) -> Bool { all.withLock { $0.contains { $0.hasPrefix("\(reason):") } } }
    }
    struct FakeMounts: Mounts {
        func mountMemory(at path: String, sizeBytes: Int64, mode: Int) throws {}
        func bind(descriptor: Int32, to path: String) throws {}
        func bind(_ source: String, to path: String, readOnly: Bool) throws {}
        func unmount(_ path: String) throws {}
        func isMountPoint(_ path: String) throws -> Bool { true }
    }
    struct NoDrivers: VolumeDrivers {
        func driver(named name: String) throws -> any VolumeProvider { throw VolumeError(message: "no driver \(name)") }
    }
}

final class PodWorkerTests: XCTestCase {
    private func withBench(_ body: (Bench) throws -> Void) throws { try Bench.with(body) }

    func testAPodRunsWithOneStatusWrite() throws {
        try withBench { bench in
            bench.give(TestPods.pod())
            try bench.sync()
            XCTAssertEqual(bench.runtime.calls, ["runSandbox", "create main", "start main"])
            XCTAssertEqual(bench.api.statuses.count, 1)
            XCTAssertEqual(bench.lastStatus["phase"], "Running")
            XCTAssertEqual(bench.lastStatus["podIP"], "10.244.0.5")
            try bench.sync()
            XCTAssertEqual(bench.api.statuses.count, 1, "nothing changed, nothing is written")
            let hosts = try Files.text("\(bench.directory.path)/pods/u1/etc-hosts")
            XCTAssertTrue(hosts.contains("10.244.0.5\tweb\n"), hosts)
            XCTAssertTrue(bench.events.has("Started"))
        }
    }

    func testDeletionEndsInTheAPI() throws {
        try withBench { bench in
            bench.give(TestPods.pod())
            try bench.sync()
            bench.give(
                TestPods.pod(metadata: ["deletionTimestamp": "2026-01-01T00:01:30Z", "deletionGracePeriodSeconds": 30]))
            try bench.syncUntil("finalized") { $0.worker.entry("u1") == nil }
            XCTAssertTrue(bench.runtime.calls.contains("stop main"))
            XCTAssertTrue(bench.runtime.calls.contains("removeSandbox"))
            XCTAssertEqual(bench.network.calls.withLock { $0 }, ["attach", "detach"])
            let last = bench.api.requests.withLock { $0.last }
            XCTAssertEqual(last?.method, "DELETE")
            XCTAssertEqual(last?.body["gracePeriodSeconds"], 0)
            XCTAssertEqual(last?.body["preconditions"]["uid"], "u1")
            XCTAssertEqual(try Files.list("\(bench.directory.path)/pods"), [])
            XCTAssertTrue(bench.events.has("Killing"))
        }
    }

    func testCrashIsRestartedOnceAndThenWaits() throws {
        try withBench { bench in
            bench.give(TestPods.pod())
            try bench.sync()
            bench.runtime.end("main", exitCode: 1)
            try bench.sync()
            XCTAssertEqual(bench.lastStatus["containerStatuses"][0]["restartCount"], 1)
            XCTAssertEqual(bench.lastStatus["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1)
            let before = monotonicNanoseconds()
            bench.runtime.end("main", exitCode: 2, reason: "OOMKilled")
            guard case .after(let delay) = try bench.sync() else { return XCTFail("no wake-up") }
            let passed = Double(monotonicNanoseconds() - before) / 1e9
            XCTAssertTrue((9.9 - passed...10.1).contains(Double(delay) / 1e9), "\(delay) ns, after \(passed) s")
            let container = bench.lastStatus["containerStatuses"][0]
            XCTAssertEqual(container["state"]["waiting"]["reason"], "CrashLoopBackOff")
            XCTAssertEqual(container["lastState"]["terminated"]["reason"], "OOMKilled")
            XCTAssertEqual(bench.lastStatus["phase"], "Running")
            XCTAssertTrue(bench.events.has("BackOff"))
        }
    }

    func testFinishedPod() throws {
        try withBench { bench in
            bench.give(TestPods.pod(restartPolicy: "Never"))
            try bench.sync()
            try Files.write(
                Array("bye".utf8), to: "\(bench.directory.path)/pods/u1/containers/main/0.termination", mode: 0o644)
            bench.runtime.end("main", exitCode: 0)
            try bench.syncUntil("released") { $0.worker.entry("u1")?.read { $0.isReleased } ?? false }
            XCTAssertEqual(bench.lastStatus["phase"], "Succeeded")
            XCTAssertEqual(bench.lastStatus["containerStatuses"][0]["state"]["terminated"]["message"], "bye")
            XCTAssertTrue(bench.runtime.calls.contains("stopSandbox"))
            XCTAssertFalse(bench.runtime.calls.contains("removeSandbox"), "records stay for logs")
        }
    }

    func testMissingConfigMapIsNamedAndHealsWhenItAppears() throws {
        try withBench { bench in
            let source: JSON = ["configMapKeyRef": ["name": "c", "key": "k"]]
            bench.give(TestPods.pod(template: ["env": [["name": "K", "valueFrom": source]]]))
            try bench.sync()
            let waiting = bench.lastStatus["containerStatuses"][0]["state"]["waiting"]
            XCTAssertEqual(waiting["reason"], "CreateContainerConfigError")
            XCTAssertEqual(waiting["message"], "configmap \"c\" not found")
            XCTAssertEqual(bench.lastStatus["phase"], "Pending")
            bench.objects.all.withLock { $0["configmaps/default/c"] = ["data": ["k": "v"]] }
            bench.worker.objectChanged("configmaps/default/c")
            try bench.sync()
            XCTAssertEqual(bench.lastStatus["phase"], "Running")
        }
    }

    func testMissingVolumeKeepsThePodWaiting() throws {
        try withBench { bench in
            let volumes: JSON = [["name": "v", "configMap": ["name": "c"]]]
            bench.give(TestPods.pod(specification: ["volumes": volumes]))
            try bench.sync()
            XCTAssertEqual(
                bench.lastStatus["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating")
            XCTAssertTrue(bench.events.has("FailedMount"))
            bench.objects.all.withLock { $0["configmaps/default/c"] = ["data": ["k": "v"]] }
            bench.worker.objectChanged("configmaps/default/c")
            try bench.sync()
            XCTAssertEqual(bench.lastStatus["phase"], "Running")
            let file = "\(bench.directory.path)/pods/u1/volumes/kubernetes.io~configmap/v/k"
            XCTAssertEqual(try Files.text(file), "v")
            bench.objects.all.withLock { $0["configmaps/default/c"] = ["data": ["k": "w"]] }
            bench.worker.objectChanged("configmaps/default/c")
            try bench.sync()
            XCTAssertEqual(try Files.text(file), "w", "an edit reaches the file")
        }
    }

    func testCommandThatCannotBeStarted() throws {
        try withBench { bench in
            bench.runtime.state.withLock { _ = $0.failingCommands.insert("nope") }
            bench.give(TestPods.pod(restartPolicy: "Never", template: ["command": ["nope"]]))
            try bench.sync()
            let container = bench.lastStatus["containerStatuses"][0]
            XCTAssertEqual(container["state"]["terminated"]["reason"], "StartError")
            XCTAssertEqual(container["state"]["terminated"]["exitCode"], 128)
            XCTAssertEqual(bench.lastStatus["phase"], "Failed")
        }
    }

    func testImageIsPulled() throws {
        try withBench { bench in
            bench.give(TestPods.pod(template: ["image": "other:1"]))
            try bench.sync()
            XCTAssertEqual(
                bench.lastStatus["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating")
            let pull = bench.runtime.state.withLock { $0.pulls.removeFirst() }
            pull.completion(.failure(.notSupported("no registries")))
            try bench.sync()
            let waiting = bench.lastStatus["containerStatuses"][0]["state"]["waiting"]
            XCTAssertEqual(waiting["reason"], "ErrImagePull")
            XCTAssertEqual(waiting["message"], "failed to pull image \"other:1\": no registries")
        }
    }

    func testImageThatMayNotBePulled() throws {
        try withBench { bench in
            bench.give(TestPods.pod(template: ["image": "other:1", "imagePullPolicy": "Never"]))
            try bench.sync()
            XCTAssertEqual(
                bench.lastStatus["containerStatuses"][0]["state"]["waiting"]["reason"], "ErrImageNeverPull")
        }
    }

    func testImageWhoseNameIsNone() throws {
        try withBench { bench in
            bench.give(TestPods.pod(template: ["image": "a//b"]))
            try bench.sync()
            XCTAssertEqual(
                bench.lastStatus["containerStatuses"][0]["state"]["waiting"]["reason"], "InvalidImageName")
            XCTAssertTrue(bench.events.has("InspectFailed"))
        }
    }

    /// An image as a volume is there before the container is made, whatever the policies, and the runtime mounts it.
    func testImagesAsVolumes() throws {
        let volumes: JSON = [
            ["name": "i", "image": ["reference": "data:1", "pullPolicy": "IfNotPresent"]],
            ["name": "unused", "image": ["reference": "none:1", "pullPolicy": "Never"]],
        ]
        let mount: JSON = ["name": "i", "mountPath": "/data", "subPath": "a/b"]
        let pod = TestPods.pod(
            specification: ["volumes": volumes], template: ["imagePullPolicy": "Always", "volumeMounts": [mount]])
        try withBench { bench in
            bench.give(pod)
            try bench.sync()
            for image in ["busybox:1", "data:1"] {
                let pull = bench.runtime.state.withLock { $0.pulls.removeFirst() }
                XCTAssertEqual(pull.request["image"].stringValue, image)
                XCTAssertFalse(bench.runtime.calls.contains("create main"))
                bench.runtime.state.withLock { _ = $0.images.insert(image) }
                pull.completion(.success([:]))
                try bench.sync()
            }
            XCTAssertEqual(bench.lastStatus["phase"], "Running")
            let mounts = bench.runtime.state.withLock { $0.configurations.values.first?["mounts"].arrayValue ?? [] }
            XCTAssertEqual(
                mounts.first { $0["containerPath"] == "/data" },
                ["containerPath": "/data", "image": "data:1", "imagePath": "a/b", "readOnly": true])
        }
        try withBench { bench in
            bench.runtime.state.withLock { state in
                state.mountsImages = false
                state.images.insert("data:1")
            }
            bench.give(pod)
            try bench.sync()
            let waiting = bench.lastStatus["containerStatuses"][0]["state"]["waiting"]
            XCTAssertEqual(waiting["reason"], "CreateContainerError")
            XCTAssertEqual(waiting["message"], "the runtime fake of this pod mounts no images as volumes")
        }
    }

    func testPreStopHookRunsBeforeTheStop() throws {
        try withBench { bench in
            let lifecycle: JSON = ["preStop": ["exec": ["command": ["bye"]]]]
            bench.give(TestPods.pod(template: ["lifecycle": lifecycle]))
            try bench.sync()
            bench.give(
                TestPods.pod(
                    metadata: ["deletionTimestamp": "2100-01-01T00:01:30Z", "deletionGracePeriodSeconds": 30],
                    template: ["lifecycle": lifecycle]))
            try bench.syncUntil("stopped") { $0.worker.entry("u1") == nil }
            let calls = bench.runtime.calls
            let hook = try XCTUnwrap(calls.firstIndex(of: "exec bye"))
            let stop = try XCTUnwrap(calls.firstIndex(of: "stop main"))
            XCTAssertLessThan(hook, stop)
        }
    }

    func testPostStartFailureKillsTheContainer() throws {
        try withBench { bench in
            bench.runtime.state.withLock { $0.execExitCode = 1 }
            bench.give(
                TestPods.pod(
                    restartPolicy: "Never", template: ["lifecycle": ["postStart": ["exec": ["command": ["x"]]]]]))
            try bench.syncUntil("failed") { $0.lastStatus["phase"] == "Failed" }
            XCTAssertTrue(bench.events.has("FailedPostStartHook"))
        }
    }

    func testAdoptionAfterARestart() throws {
        try withBench { first in
            first.give(TestPods.pod())
            try first.sync()
            let status = first.lastStatus
            // A second process finds what the first one left.
            try withBench { second in
                second.runtime.state.withLock { state in
                    first.runtime.state.withLock { old in
                        state.sandboxes = old.sandboxes
                        state.containers = old.containers
                        state.next = old.next
                    }
                }
                _ = try second.watcher.start()
                second.give(TestPods.pod(status: status))
                try second.sync()
                XCTAssertEqual(second.runtime.calls, [], "nothing is made anew")
                XCTAssertEqual(second.api.statuses.count, 0, "and nothing is written: \(second.lastStatus)")
            }
        }
    }

    func testOrphansAreRemoved() throws {
        try withBench { bench in
            bench.runtime.state.withLock { state in
                state.sandboxes["s9"] = [
                    "id": "s9", "podUID": "u1", "name": "gone", "namespace": "default", "attempt": 0, "state": "ready",
                    "networkNamespace": "/x",
                ]
            }
            bench.worker.adoptOrphans(try bench.watcher.start())
            try bench.syncUntil("forgotten") { $0.worker.entry("u1") == nil }
            XCTAssertTrue(bench.runtime.calls.contains("removeSandbox"))
            XCTAssertNil(bench.worker.entry("u1"))
            XCTAssertFalse(bench.api.requests.withLock { $0.contains { $0.method == "DELETE" } })
        }
    }

    func testLeftoversOfForgottenPodsAreRemoved() throws {
        try withBench { bench in
            bench.give(TestPods.pod())
            try bench.sync()
            let data = bench.directory.path
            try Files.makeDirectories("\(data)/pods/u9/volumes")
            try Files.makeDirectories("\(data)/logs/pods/default_gone_u9")
            try bench.worker.removeLeftovers()
            XCTAssertEqual(try Files.list("\(data)/pods"), ["u1"])
            XCTAssertEqual(try Files.list("\(data)/logs/pods"), ["default_web_u1"])
        }
    }

    func testServiceAccountTokenIsAskedForOnce() throws {
        try withBench { bench in
            let volumes: JSON = [
                ["name": "t", "projected": ["sources": [["serviceAccountToken": ["path": "token"]]]]]
            ]
            bench.give(TestPods.pod(specification: ["volumes": volumes, "serviceAccountName": "sa"]))
            try bench.sync()
            try bench.sync()
            let tokens = bench.api.requests.withLock { $0.filter { $0.path.hasSuffix("/serviceaccounts/sa/token") } }
            XCTAssertEqual(tokens.count, 1)
            XCTAssertEqual(tokens[0].body["spec"]["boundObjectRef"]["uid"], "u1")
            let file = "\(bench.directory.path)/pods/u1/volumes/kubernetes.io~projected/t/token"
            XCTAssertEqual(try Files.text(file), "abc")
        }
    }
}
