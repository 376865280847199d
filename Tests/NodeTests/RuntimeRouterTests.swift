import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import Node

/// Several runtimes on one node, of which a swap selects another one.
final class RuntimeRouterTests: XCTestCase {
    private let first = FakeRuntime("first-")
    private let second = FakeRuntime("second-")
    private let order = Order()

    /// Who is active, as the host would tell.
    private final class Order: Sendable {
        let names = Mutex(["first"])
        func set(_ names: String...) { self.names.withLock { $0 = names } }
    }

    private func router() -> RuntimeRouter {
        let (first, second, order) = (first, second, order)
        return RuntimeRouter(
            .init(
                names: { order.names.withLock { $0 } },
                client: { name in
                    if name == "first" { return first }
                    return second
                }))
    }

    private func sandbox(_ router: RuntimeRouter, pod: String = "u1") throws -> String {
        let config: JSON = ["podUID": .string(pod), "name": "pod", "namespace": "default", "attempt": 0]
        return try router.runSandbox(["config": config], deadline: 0)["sandbox"]["id"].stringValue ?? ""
    }

    private func container(_ router: RuntimeRouter, in sandbox: String) throws -> String {
        let request: JSON = [
            "sandboxID": .string(sandbox), "config": ["name": "main", "attempt": 0, "image": "busybox:1"],
        ]
        let id = try router.createContainer(request, deadline: 0)["id"].stringValue ?? ""
        _ = try router.startContainer(["id": .string(id)], deadline: 0)
        return id
    }

    /// A pod's own users are for a runtime that knows of them.
    func testUsersOfAPodsOwn() throws {
        let router = router()
        let config: JSON = [
            "podUID": "u1", "name": "pod", "namespace": "default", "userNamespace": ["hostID": 65_536, "size": 65_536],
        ]
        XCTAssertThrowsError(try router.runSandbox(["config": config], deadline: 0)) { error in
            XCTAssertTrue("\(error)".contains("runtime does not support user namespaces"), "\(error)")
        }
        XCTAssertEqual(first.calls, [])
        first.state.withLock { $0.hasUserNamespaces = true }
        XCTAssertNoThrow(try router.runSandbox(["config": config], deadline: 0))
    }

    func testWhatRunsStaysAndWhatIsNewGoesToTheSelected() throws {
        let router = router()
        let old = try sandbox(router)
        let kept = try container(router, in: old)
        order.set("second", "first")
        let new = try sandbox(router, pod: "u2")
        XCTAssertEqual(try container(router, in: new), "second-c2")
        // A restart of a container within the old sandbox.
        XCTAssertEqual(try container(router, in: old), "first-c3")
        _ = try router.execSync(["id": .string(kept), "command": ["a"]], deadline: 0)
        _ = try router.stopContainer(["id": .string(kept)], deadline: 0)
        _ = try router.removeContainer(["id": .string(kept)], deadline: 0)
        _ = try router.removeSandbox(["id": .string(old)], deadline: 0)
        XCTAssertEqual(
            first.calls,
            [
                "runSandbox", "create main", "start main", "create main", "start main", "exec a", "stop main", "remove",
                "removeSandbox",
            ])
        XCTAssertEqual(second.calls, ["runSandbox", "create main", "start main"])
        // And back.
        order.set("first", "second")
        XCTAssertEqual(try sandbox(router, pod: "u3"), "first-s4")
        _ = try router.removeSandbox(["id": .string(new)], deadline: 0)
        XCTAssertEqual(second.calls.last, "removeSandbox")
    }

    func testOwnersAreFoundAgainAfterARestart() throws {
        var router = router()
        let old = try sandbox(router)
        let kept = try container(router, in: old)
        order.set("second", "first")
        let new = try sandbox(router, pod: "u2")
        let other = try container(router, in: new)
        router = self.router()
        let state = RuntimeState()
        let watcher = RuntimeWatcher(runtime: router, state: state, onChange: { _ in })
        XCTAssertEqual(Set(try watcher.start().map(\.id)), [old, new])
        XCTAssertEqual(state.container(kept)?.state, .running)
        _ = try router.execSync(["id": .string(kept), "command": ["in-first"]], deadline: 0)
        _ = try router.execSync(["id": .string(other), "command": ["in-second"]], deadline: 0)
        XCTAssertEqual(first.calls.last, "exec in-first")
        XCTAssertEqual(second.calls.last, "exec in-second")
        // Events of both arrive.
        first.end("main", exitCode: 3)
        second.end("main", exitCode: 4)
        XCTAssertEqual(state.container(kept)?.exitCode, 3)
        XCTAssertEqual(state.container(other)?.exitCode, 4)
        try watcher.stop()
    }

    func testAProviderThatIsNotActiveKeepsItsPods() throws {
        let router = router()
        let state = RuntimeState()
        let watcher = RuntimeWatcher(runtime: router, state: state, onChange: { _ in })
        let old = try sandbox(router)
        let kept = try container(router, in: old)
        _ = try watcher.start()
        order.set("second")
        try watcher.restart()
        XCTAssertEqual(state.sandboxIDs, [old], "it still runs")
        XCTAssertThrowsError(try router.stopContainer(["id": .string(kept)], deadline: 0)) { error in
            XCTAssertTrue("\(error)".contains("the plugin first"), "\(error)")
        }
        XCTAssertThrowsError(try router.createContainer(["sandboxID": .string(old)], deadline: 0))
        // Back again, but it has lost everything: now it is gone.
        order.set("second", "first")
        first.state.withLock { $0.sandboxes = [:] }
        try watcher.restart()
        XCTAssertEqual(state.sandboxIDs, [])
        order.set()
        XCTAssertThrowsError(try sandbox(router)) { XCTAssertTrue("\($0)".contains("hostd.runtime/1"), "\($0)") }
    }

    func testHandlesOfProvidersDoNotMeet() throws {
        let router = router()
        let old = try container(router, in: try sandbox(router))
        order.set("second", "first")
        let new = try container(router, in: try sandbox(router, pod: "u2"))
        let ends = [try DescriptorPipe(), try DescriptorPipe()]
        let done = Mutex(0)
        var handles: [UInt64] = []
        for (id, pipe) in zip([old, new], ends) {
            handles.append(
                try router.exec(
                    ["id": .string(id), "command": ["x", "0"]], standardInput: pipe.takeReader(), standardOutput: -1,
                    standardError: -1, completion: { _ in done.withLock { $0 += 1 } }))
        }
        XCTAssertNotEqual(handles[0], handles[1], "the fakes both answer 7")
        try router.execResize(handles[0], width: 1, height: 2)
        try router.execResize(handles[1], width: 3, height: 4)
        try router.execCancel(handles[1])
        XCTAssertEqual(first.calls.last, "resize 1x2")
        XCTAssertEqual(Array(second.calls.suffix(2)), ["resize 3x4", "cancel"])
        for pipe in ends { pipe.closeWriter() }
        let end = WallClock.now() + 60
        while done.withLock({ $0 }) < 2, WallClock.now() < end { usleep(1000) }
        XCTAssertEqual(done.withLock { $0 }, 2)
        XCTAssertNoThrow(try router.execCancel(handles[0]))
        XCTAssertThrowsError(try router.execResize(handles[0], width: 1, height: 1))
        XCTAssertEqual(first.calls.last, "resize 1x2", "it has completed")
    }

    func testImagesAreLookedForWhereTheContainerIsMade() throws {
        let router = router()
        let old = try sandbox(router)
        order.set("second", "first")
        first.state.withLock { $0.images = ["only-first:1"] }
        let request: JSON = ["image": "only-first:1"]
        XCTAssertFalse(try router.imageStatus(request, deadline: 0)["image"].exists)
        XCTAssertTrue(try router.provider(ofSandbox: old).imageStatus(request, deadline: 0)["image"].exists)
    }
}

/// A pipe whose reading end is given away.
private final class DescriptorPipe {
    private var ends: [Int32] = [-1, -1]

    init() throws {
        if pipe(&ends) != 0 { throw PluginError.system("make", "a pipe", errno: errno) }
    }

    func takeReader() -> Int32 { ends[0] }

    func closeWriter() {
        close(ends[1])
    }
}
