import Objects
import XCTest

@testable import Controllers

final class PluginPlanTests: XCTestCase {
    private func plugin(_ changes: JSONObject = [:]) -> JSON {
        var plugin: JSONObject = [
            "name": "scheduler", "library": "scheduler", "isolation": "shared", "grants": [], "options": ["weight": 1],
            "state": "active", "version": "0.1.0", "path": "/opt/scheduler.so", "reason": "", "generation": 1,
            "roles": [["id": "hostd.scheduler/1", "selected": true, "calls": 7, "errors": 0, "inside": 1]],
        ]
        for (key, value) in changes { plugin[key] = value }
        return .object(plugin)
    }

    /// The object as the server would keep it after a plan's write.
    private func stored(_ plugin: JSON, generation: Int64 = 1) throws -> JSON {
        guard case .create(var object) = PluginPlan.of(nil, plugin, countsCalls: true) else {
            throw XCTSkip("not created")
        }
        object["metadata"]["generation"] = JSON(generation)
        guard case .updateStatus(let status) = PluginPlan.of(object, plugin, countsCalls: true) else {
            XCTFail("no status for a new object")
            return object
        }
        object["status"] = status
        return object
    }

    func testAnObjectIsMadeWithWhatIs() {
        guard case .create(let object) = PluginPlan.of(nil, plugin(), countsCalls: true) else {
            return XCTFail("not created")
        }
        XCTAssertEqual(object["spec"], ["library": "scheduler", "isolation": "shared", "options": ["weight": 1]])
        XCTAssertEqual(object.name, "scheduler")
    }

    func testTheStatusTellsWhatTheHostKnows() throws {
        let status = try stored(plugin())["status"]
        XCTAssertEqual(status["state"], "active")
        XCTAssertEqual(status["generation"], 1)
        XCTAssertEqual(status["observedGeneration"], 1)
        XCTAssertEqual(status["roles"], [["calls": 7, "errors": 0, "id": "hostd.scheduler/1", "selected": true]])
        XCTAssertFalse(status["reason"].exists)
    }

    func testNothingIsDoneTwice() throws {
        XCTAssertEqual(PluginPlan.of(try stored(plugin()), plugin(), countsCalls: true), .none)
    }

    func testCountersAloneWaitForTheirTime() throws {
        let object = try stored(plugin())
        let busy = plugin(["roles": [["id": "hostd.scheduler/1", "selected": true, "calls": 9, "errors": 1]]])
        XCTAssertEqual(PluginPlan.of(object, busy, countsCalls: false), .none)
        guard case .updateStatus(let status) = PluginPlan.of(object, busy, countsCalls: true) else {
            return XCTFail("counters are never written")
        }
        XCTAssertEqual(status["roles"][0]["calls"], 9)
        let failed = plugin(["state": "failed", "reason": "activate: no"])
        guard case .updateStatus = PluginPlan.of(object, failed, countsCalls: false) else {
            return XCTFail("a failure waits")
        }
    }

    func testAnEditIsOneSwap() throws {
        var object = try stored(plugin())
        object["spec"]["library"] = "scheduler-binpack"
        object["spec"].removeValue(forKey: "options")
        object["metadata"]["generation"] = 2
        guard case .swap(let request, let status) = PluginPlan.of(object, plugin(), countsCalls: false) else {
            return XCTFail("an edit is no swap")
        }
        XCTAssertEqual(
            request,
            [
                "action": "swap", "plugin": "scheduler", "trigger": "object", "library": "scheduler-binpack",
                "options": [:],
            ])
        XCTAssertEqual(status["observedGeneration"], 2)
        object["status"] = status
        // While it runs, and after it failed, the wish stays and is not tried again.
        XCTAssertEqual(PluginPlan.of(object, plugin(), countsCalls: false), .none)
        let failed = plugin(["lastSwap": ["result": "failed", "reason": "open: no such file"]])
        guard case .updateStatus(let after) = PluginPlan.of(object, failed, countsCalls: false) else {
            return XCTFail("the failure is not told")
        }
        XCTAssertEqual(after["lastSwap"]["reason"], "open: no such file")
        object["status"] = after
        XCTAssertEqual(PluginPlan.of(object, failed, countsCalls: false), .none)
        // Another edit is another try.
        object["spec"]["library"] = "/opt/other.so"
        object["metadata"]["generation"] = 3
        guard case .swap = PluginPlan.of(object, failed, countsCalls: false) else { return XCTFail("no second try") }
    }

    func testTheSpecificationFollowsOtherMeans() throws {
        let object = try stored(plugin())
        let swapped = plugin(["library": "scheduler-binpack", "options": [:], "generation": 2])
        XCTAssertEqual(
            PluginPlan.of(object, swapped, countsCalls: false),
            .follow(specification: ["library": "scheduler-binpack", "isolation": "shared"]))
    }

    /// The plugin changes again before the status has seen that the specification followed it: that was no wish, so it
    /// follows once more, also back to what the status knows.
    func testWhatWasFollowedIsNoWish() throws {
        var object = try stored(plugin())
        object["spec"] = ["library": "scheduler-binpack", "isolation": "process"]
        object["metadata"]["generation"] = 2
        object["metadata"]["annotations"] = .object([PluginPlan.followedAnnotation: "2"])
        for changes: JSONObject in [[:], ["isolation": "process"]] {
            guard case .follow(let specification) = PluginPlan.of(object, plugin(changes), countsCalls: false) else {
                return XCTFail("taken for a wish")
            }
            XCTAssertEqual(specification, PluginPlan.specification(of: plugin(changes)))
        }
        // What somebody writes after that is a wish again.
        object["metadata"]["generation"] = 3
        guard case .swap = PluginPlan.of(object, plugin(), countsCalls: false) else { return XCTFail("no swap") }
    }

    func testASwapThatWasDoneIsInTheStatus() throws {
        var object = try stored(plugin())
        object["spec"]["isolation"] = "process"
        object["metadata"]["generation"] = 2
        guard case .swap(_, let status) = PluginPlan.of(object, plugin(), countsCalls: false) else {
            return XCTFail("an edit is no swap")
        }
        object["status"] = status
        let swapped = plugin(["isolation": "process", "generation": 2, "lastSwap": ["result": "succeeded"]])
        guard case .updateStatus(let after) = PluginPlan.of(object, swapped, countsCalls: false) else {
            return XCTFail("the swap is not told")
        }
        XCTAssertEqual(after["generation"], 2)
        XCTAssertEqual(after["applied"]["isolation"], "process")
    }

    func testObjectsWithoutAPlugin() throws {
        XCTAssertEqual(PluginPlan.of(try stored(plugin()), nil, countsCalls: true), .delete)
        XCTAssertEqual(PluginPlan.of(nil, nil, countsCalls: true), .none)
        var made: JSON = ["metadata": ["name": "stranger", "generation": 1], "spec": ["library": "x"]]
        guard case .updateStatus(let status) = PluginPlan.of(made, nil, countsCalls: true) else {
            return XCTFail("not told")
        }
        XCTAssertEqual(status["state"], "unknown")
        made["status"] = status
        XCTAssertEqual(PluginPlan.of(made, nil, countsCalls: true), .none)
    }
}
