import Objects
import PluginKit
import XCTest

@testable import Controllers

final class SchedulingMailboxTests: XCTestCase {
    private typealias Change = SchedulingMailbox.Change

    private static let waiting: JSON = ["metadata": ["name": "waiting", "namespace": "n"], "spec": [:]]
    private static let placed: JSON = ["metadata": ["name": "placed", "namespace": "n"], "spec": ["nodeName": "a"]]

    private func started() -> SchedulingMailbox {
        var mailbox = SchedulingMailbox()
        mailbox.start(with: [])
        return mailbox
    }

    func testNothingIsTakenBeforeTheStart() {
        var mailbox = SchedulingMailbox()
        XCTAssertFalse(mailbox.put(.storage))
        mailbox.start(with: [.started])
        XCTAssertEqual(mailbox.take().count, 1)
    }

    func testWhatCallsTheWorkerThatIsAtRest() throws {
        let item = SchedulingQueue.Item(key: "n/waiting", uid: "u", priority: 0)
        let rows: [(Change, Bool, String)] = [
            (.pod(Self.waiting), true, "it wants a node"),
            (.pod(Self.placed), false, "it has a node, and nobody waits for that"),
            (.podGone(Self.placed), false, "what it leaves free nobody waits for"),
            (.node(["metadata": ["name": "a"]]), true, "a node may be what a pod that comes at this moment lacks"),
            (.nodeGone("a"), true, "it must not be chosen"),
            (.storage, true, "a pod may wait for its volumes although it is placed"),
            (.providerChanged, true, "the new one may have to be fed"),
            (.bindingFailed(Self.waiting, item, message: "no"), true, "the pod is to be tried again"),
            (.preemptionFailed(victim: "v", message: "no"), true, "the pod is to be tried again"),
        ]
        for (change, calls, reason) in rows {
            var mailbox = started()
            mailbox.rest()
            XCTAssertEqual(mailbox.put(change), calls, reason)
            XCTAssertEqual(mailbox.take().count, 1, "\(reason): it is not lost")
            XCTAssertTrue(mailbox.put(change), "\(reason): who is at work looks again before it rests")
        }
    }

    func testAWorkerIsNotAtRestWhenSomethingHasCome() {
        var mailbox = started()
        mailbox.rest()
        _ = mailbox.take()
        XCTAssertTrue(mailbox.put(.podGone(Self.placed)))
        mailbox.rest()
        XCTAssertTrue(mailbox.put(.podGone(Self.placed)), "the first may free what a pod was parked for meanwhile")
        XCTAssertEqual(mailbox.take().count, 2)
    }

    func testPatienceEnds() {
        var mailbox = started()
        mailbox.rest()
        let calls = (0..<SchedulingMailbox.patientLimit).map { _ in mailbox.put(.podGone(Self.placed)) }
        XCTAssertEqual(calls.firstIndex(of: true), SchedulingMailbox.patientLimit - 1)
        XCTAssertEqual(mailbox.take().count, SchedulingMailbox.patientLimit)
    }

    func testWhatASchedulerKnowsOfAPodThatItPlaced() {
        let chosen: JSON = [
            "metadata": ["labels": ["app": "web"]],
            "spec": ["containers": [["name": "main"]], "priority": 1], "status": ["phase": "Pending"],
        ]
        func changed(_ change: (inout JSON) -> Void) -> JSON {
            var pod = chosen
            pod["spec"]["nodeName"] = "a"
            change(&pod)
            return pod
        }
        let rows: [(JSON, Bool, String)] = [
            (changed { _ in }, true, "the node alone is new"),
            (changed { $0["status"]["phase"] = "Running" }, true, "a status says nothing of what it needs"),
            (changed { $0["metadata"]["resourceVersion"] = "7" }, true, "nor does a revision"),
            (changed { $0["metadata"]["labels"]["zone"] = "b" }, false, "a binding may add labels"),
            (changed { $0["spec"]["containers"][0]["resources"] = ["requests": ["cpu": "1"]] }, false, "resized"),
            (changed { $0["spec"].removeValue(forKey: "priority") }, false, "what is missing has changed too"),
        ]
        for (placed, isSame, reason) in rows {
            XCTAssertEqual(SchedulerInput.isSamePlaced(chosen, placed), isSame, reason)
        }
    }
}
