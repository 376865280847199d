import Objects
import PluginKit
import XCTest

@testable import Controllers

final class SchedulingTests: XCTestCase {
    func testQueueOrder() {
        var queue = SchedulingQueue()
        queue.add(key: "n/low1", uid: "low1", priority: 0)
        queue.add(key: "n/low2", uid: "low2", priority: 0)
        queue.add(key: "n/high", uid: "high", priority: 10)
        queue.add(key: "n/low1", uid: "low1", priority: 0)
        XCTAssertEqual((0..<4).map { _ in queue.take(now: 0)?.uid }, ["high", "low1", "low2", nil])
    }

    /// A resize that the node can never grant must not keep others from it; one that waits is held a place for.
    func testWhatAResizeCounts() throws {
        func pod(_ reason: String) -> JSON {
            let wanted: JSON = ["name": "main", "resources": ["requests": ["cpu": "900"]]]
            let present: JSON = ["name": "main", "resources": ["requests": ["cpu": "1"]]]
            return [
                "spec": ["containers": [wanted], "nodeName": "n"],
                "status": [
                    "conditions": [["type": "PodResizePending", "status": "True", "reason": .string(reason)]],
                    "containerStatuses": [present],
                ],
            ]
        }
        for (reason, milli) in [("Infeasible", 1000), ("Deferred", 900_000)] as [(String, Int64)] {
            XCTAssertEqual(try SchedulerInput.pod(SchedulerInput.counted(pod(reason))).milli_cpu, milli, reason)
        }
        XCTAssertFalse(SchedulerInput.isSamePod(pod("Deferred"), pod("Infeasible")), "the scheduler is told")
    }

    func testParkedPodsWakeOnlyForWhatHelps() throws {
        var queue = SchedulingQueue()
        queue.add(key: "n/a", uid: "a", priority: 0)
        let item = try XCTUnwrap(queue.take(now: 0))
        queue.park(item, helping: .helping("Insufficient cpu"))
        queue.wake(.storage)
        queue.wake(.podPlaced)
        XCTAssertNil(queue.take(now: .max / 2))
        queue.wake(.podGone)
        XCTAssertNil(queue.take(now: SchedulingQueue.firstBackoff - 1), "the back-off counts from the attempt")
        XCTAssertEqual(queue.nextDue, SchedulingQueue.firstBackoff)
        XCTAssertEqual(queue.take(now: SchedulingQueue.firstBackoff)?.attempts, 2)
    }

    func testAChangeDuringTheAttemptIsNotMissed() throws {
        var queue = SchedulingQueue()
        queue.add(key: "n/a", uid: "a", priority: 0)
        let item = try XCTUnwrap(queue.take(now: 0))
        queue.wake(.node)
        queue.park(item, helping: .node)
        XCTAssertNotNil(queue.nextDue)
    }

    func testRemovedPodsDoNotComeBack() throws {
        var queue = SchedulingQueue()
        queue.add(key: "n/a", uid: "a", priority: 0)
        let item = try XCTUnwrap(queue.take(now: 0))
        queue.remove(uid: "a")
        queue.park(item, helping: .any)
        queue.wake(.any)
        XCTAssertNil(queue.take(now: .max / 2))
        XCTAssertEqual(queue.count, 0)
    }

    func testBackoffDoublesToItsLimit() throws {
        var queue = SchedulingQueue()
        queue.add(key: "n/a", uid: "a", priority: 0)
        var now: UInt64 = 0
        var waits: [UInt64] = []
        for _ in 0..<10 {
            let item = try XCTUnwrap(queue.take(now: now))
            queue.retry(item)
            let due = try XCTUnwrap(queue.nextDue)
            waits.append(due - now)
            now = due
        }
        XCTAssertEqual(waits[0], 100_000_000)
        XCTAssertEqual(waits[1], 200_000_000)
        XCTAssertEqual(waits.last, 10_000_000_000)
    }

    func testHelpingChanges() {
        XCTAssertEqual(ClusterChanges.helping("node(s) had untolerated taint {a: b}"), .node)
        XCTAssertEqual(ClusterChanges.helping("Insufficient nvidia.com/gpu"), [.node, .podGone])
        XCTAssertEqual(
            ClusterChanges.helping("node(s) didn't match pod affinity rules"), [.node, .podGone, .podPlaced])
        XCTAssertEqual(ClusterChanges.helping("a third party's reason"), .any)
    }

    func testMessages() {
        let refusals = [
            SchedulingRefusal(reason: "node(s) had untolerated taint {k: v}", nodes: 2),
            SchedulingRefusal(reason: "Insufficient cpu", nodes: 3),
        ]
        XCTAssertEqual(
            SchedulingMessage.text(nodes: 5, refusals: refusals),
            "0/5 nodes are available: 2 node(s) had untolerated taint {k: v}, 3 Insufficient cpu.")
        XCTAssertEqual(SchedulingMessage.text(nodes: 0, refusals: []), "no nodes available to schedule pods")
    }

    func testReasonsAreWrittenOnce() {
        let rows: [(PendingReason, String)] = [
            (.unschedulable("m"), "Unschedulable"), (.schedulerError("m"), "SchedulerError"),
            (.gated, "SchedulingGated"),
        ]
        for (reason, word) in rows {
            let patch = reason.patch(of: ["status": ["phase": "Pending"]], now: Make.now)
            XCTAssertEqual(patch?["status"]["conditions"][0]["reason"].stringValue, word)
            let marked: JSON = ["status": ["conditions": patch?["status"]["conditions"] ?? .null]]
            XCTAssertNil(reason.patch(of: marked, now: Make.now), word)
            let other = PendingReason.unschedulable("other").patch(of: marked, now: Make.now)
            XCTAssertEqual(other?["status"]["conditions"][0]["message"], "other", "another reason replaces it")
        }
    }

    func testAnOutageIsToldOnceItHasLasted() {
        var outage = SchedulerOutage()
        XCTAssertNil(outage.reason(now: .max))
        XCTAssertTrue(outage.began(now: 1, .unavailable("first")))
        XCTAssertFalse(outage.began(now: 2, .unavailable("last")))
        XCTAssertNil(outage.reason(now: SchedulerOutage.patience))
        XCTAssertEqual(outage.reason(now: 1 + SchedulerOutage.patience), "the scheduler does not answer: last")
        XCTAssertTrue(outage.mustTell("a"))
        XCTAssertFalse(outage.mustTell("a"), "each pod once")
        outage.ended()
        XCTAssertNil(outage.reason(now: .max))
        XCTAssertTrue(outage.mustTell("a"))
    }

    private func claim(_ phase: String, volume: String = "", storageClass: String = "local") -> JSON {
        [
            "metadata": ["name": "data"], "status": ["phase": .string(phase)],
            "spec": ["volumeName": .string(volume), "storageClassName": .string(storageClass)],
        ]
    }

    func testPodVolumes() {
        let pod: JSON = [
            "metadata": ["name": "p"],
            "spec": ["volumes": [["name": "v", "persistentVolumeClaim": ["claimName": "data"]]]],
        ]
        let delayed: JSON = ["volumeBindingMode": "WaitForFirstConsumer"]
        let terms: JSON = [["matchExpressions": [["key": "h", "operator": "In", "values": ["a"]]]]]
        let volume: JSON = ["spec": ["nodeAffinity": ["required": ["nodeSelectorTerms": terms]]]]
        func look(_ claim: JSON?, _ storageClass: JSON? = nil, isInUse: Bool = false) -> PodVolumes {
            PodVolumes(
                pod, claim: { _ in claim }, volume: { _ in volume }, storageClass: { _ in storageClass },
                isInUse: { _ in isInUse })
        }
        var alone = claim("Bound", volume: "pv")
        XCTAssertEqual(look(alone, isInUse: true), look(alone), "several pods may use it")
        alone["spec"]["accessModes"] = ["ReadWriteOncePod"]
        XCTAssertEqual(look(alone), .ready(affinity: [terms.arrayValue], unbound: []))
        XCTAssertEqual(
            look(alone, isInUse: true),
            .blocked(
                "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
                until: .podGone))
        XCTAssertEqual(look(nil), .blocked("persistentvolumeclaim \"data\" not found"))
        XCTAssertEqual(look(claim("Pending"), delayed), .ready(affinity: [], unbound: ["data"]))
        XCTAssertEqual(look(claim("Pending")), .blocked("pod has unbound immediate PersistentVolumeClaims"))
        XCTAssertEqual(look(claim("Bound", volume: "pv")), .ready(affinity: [terms.arrayValue], unbound: []))
        let constrained = PodVolumes.constrain(pod, to: [terms.arrayValue, terms.arrayValue])
        let required = constrained["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        XCTAssertEqual(required["nodeSelectorTerms"].arrayValue.count, 1)
        XCTAssertEqual(required["nodeSelectorTerms"][0]["matchExpressions"].arrayValue.count, 2)
    }

    func testNodeInput() throws {
        let node: JSON = [
            "metadata": ["name": "a", "labels": [:]], "spec": ["unschedulable": true],
            "status": [
                "allocatable": ["cpu": "2", "memory": "1Gi", "pods": "110", "ephemeral-storage": "10Gi"],
                "conditions": [["type": "Ready", "status": "True", "lastHeartbeatTime": "a"]],
            ],
        ]
        let input = try SchedulerInput.node(node)
        XCTAssertEqual(input.milli_cpu, 2000)
        XCTAssertEqual(input.memory_bytes, 1 << 30)
        XCTAssertEqual(input.pods, 110)
        XCTAssertEqual(input.flags, 3)
        var beat = node
        beat["status"]["conditions"][0]["lastHeartbeatTime"] = "b"
        XCTAssertTrue(SchedulerInput.isSameNode(node, beat))
        beat["spec"]["unschedulable"] = false
        XCTAssertFalse(SchedulerInput.isSameNode(node, beat))
    }
}
