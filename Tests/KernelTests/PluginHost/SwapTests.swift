import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

final class SwapTests: XCTestCase {
    private let state = SwapFixture.format

    func testTheNewGenerationTakesOverWithStateAndTheOldOneIsReleased() throws {
        let fixture = try SwapFixture([state])
        try fixture.start()
        defer { fixture.host.stop() }
        let table = try XCTUnwrap(fixture.host.interface(SwapFixture.role))
        _ = try fixture.call("add", [41])
        try fixture.build("second", [state, "-DVERSION=\"2\""])
        let answer = try fixture.swap(to: "second")
        XCTAssertEqual(answer["plugin"], "counter")
        XCTAssertEqual(answer["generation"], 2)
        XCTAssertEqual(answer["lastSwap"]["result"], "succeeded")
        XCTAssertEqual(answer["lastSwap"]["from"], ["library": "./counter.so", "version": "1"])
        XCTAssertEqual(answer["lastSwap"]["to"], ["library": "./second.so", "version": "2"])
        XCTAssertEqual(try fixture.number("total"), 41, "the state was handed over")
        XCTAssertTrue(try fixture.told().hasPrefix("2 1 1 "))
        XCTAssertEqual(fixture.host.interface(SwapFixture.role), table, "callers keep their table")
        XCTAssertEqual(fixture.listed["generation"], 2)
        XCTAssertEqual(fixture.listed["roles"][0]["selected"], true)
        XCTAssertTrue(fixture.listed["path"].stringValue?.hasSuffix("second.so") ?? false)
    }

    /// Every step can fail: the old one answers as before, keeps its count, and the reason is kept.
    func testAFailedSwapChangesNothing() throws {
        let rows: [(defines: [String], first: [String], step: PluginFailure.Step, part: String)] = [
            (["-DFAULT=CONFIGURE"], [], .configure, "the fixture fails here"),
            (["-DFAULT=ACTIVATE"], [], .activate, "the fixture fails here"),
            (["-DFAULT=IMPORT"], [], .importState, "the fixture fails here"),
            ([], ["-DFAULT=EXPORT"], .exportState, "the fixture fails here"),
            (
                ["-UFORMAT", "-DFORMAT=\"com.example.other.state/1\""], [], .importState,
                "the state has the format \"com.example.count.state/1\"; --discard-state swaps without it"
            ),
            (["-DROLE=\"com.example.other/1\""], [], .require, "com.example.count/1 would have no provider, and user"),
            (["-DREQUIRES=\"com.example.absent/1\""], [], .require, "requires com.example.absent/1"),
            (["-DHANDOVER=\"exclusive\"", "-DFAULT=ACTIVATE"], [], .activate, "the fixture fails here"),
            (["-DHANDOVER=\"exclusive\""], ["-DFAULT=DEACTIVATE"], .deactivate, "the fixture fails here"),
            (
                ["-DHANDOVER=\"sideways\""], [], .describe,
                "\"handover\" is \"sideways\"; allowed: overlap and exclusive"
            ),
        ]
        for row in rows {
            let directory = try ScratchDirectory()
            try SwapFixture.build(
                "user", ["-DNAME=\"user\"", "-DROLE=\"com.example.user/1\"", "-DREQUIRES=\"com.example.count/1\""],
                in: directory)
            let fixture = try SwapFixture(
                [state] + row.first,
                yaml: "plugins: [{name: counter, library: ./counter.so}, {name: user, library: ./user.so}]",
                directory: directory)
            try fixture.start()
            defer { fixture.host.stop() }
            _ = try fixture.call("add", [7])
            try fixture.build("second", [state] + row.defines + ["-DVERSION=\"2\""])
            let label = "\(row.defines) \(row.first)"
            XCTAssertThrowsError(try fixture.swap(to: "second"), label) { error in
                guard let failure = error as? PluginFailure else { return XCTFail(label) }
                XCTAssertEqual(failure.step, row.step, label)
                XCTAssertTrue(failure.message.contains(row.part), "\(label): \(failure.message)")
            }
            XCTAssertEqual(try fixture.number("total"), 7, label)
            XCTAssertTrue(try fixture.told().hasPrefix("1 "), label)
            XCTAssertEqual(fixture.listed["state"], "active", label)
            XCTAssertTrue(fixture.listed["path"].stringValue?.hasSuffix("counter.so") ?? false, label)
            XCTAssertEqual(fixture.host.entry("counter")?.lastSwap?.failure?.step, row.step, label)
            XCTAssertNil(fixture.host.entry("counter")?.previous, label)
        }
    }

    func testFilesThatAreNoPluginChangeNothing() throws {
        let fixture = try SwapFixture()
        try fixture.start()
        defer { fixture.host.stop() }
        try fixture.directory.write("text.so", "#!/bin/sh\n")
        let rows: [(JSON, PluginFailure.Step, String)] = [
            (["role": "com.example.count/1", "library": "./absent.so"], .find, "there is no file"),
            (["role": "com.example.count/1", "library": "absent"], .find, "plugins/absent.so"),
            (["role": "com.example.count/1", "library": "./text.so"], .open, "is not a shared library"),
            (["role": "com.example.coun/1", "library": "x"], .request, "did you mean com.example.count/1?"),
            (["plugin": "conter", "library": "x"], .request, "did you mean counter?"),
            (["plugin": "counter", "action": "rollback"], .request, "has not been swapped"),
            (["plugin": "counter", "libary": "x"], .request, "did you mean library?"),
            (["plugin": "counter", "options": ["counter": 10]], .options, "options.counter"),
        ]
        for (json, step, part) in rows {
            XCTAssertThrowsError(try fixture.request(json), part) { error in
                XCTAssertEqual((error as? PluginFailure)?.step, step, part)
                XCTAssertTrue("\(error)".contains(part), "\(error)")
            }
            XCTAssertEqual(fixture.listed["generation"], 1)
        }
    }

    func testOptionsFollowThePluginsName() throws {
        let fixture = try SwapFixture(
            yaml: "plugins: [{name: counter, library: ./counter.so, options: {counter: 5}}]")
        try fixture.start()
        defer { fixture.host.stop() }
        try fixture.build("same", ["-DVERSION=\"2\""])
        try fixture.build("other", ["-DNAME=\"other\"", "-DVERSION=\"3\""])
        try fixture.swap(to: "same")
        XCTAssertTrue(try fixture.told().hasSuffix("{\"counter\":5}"))
        try fixture.swap(to: "same", ["options": ["counter": 6]])
        XCTAssertTrue(try fixture.told().hasSuffix("{\"counter\":6}"))
        try fixture.swap(to: "other")
        XCTAssertTrue(try fixture.told().hasSuffix("{\"other\":1}"))
        XCTAssertTrue(try fixture.told().hasPrefix("3 "))
        _ = try fixture.request(["role": .string(SwapFixture.role), "action": "rollback"])
        XCTAssertTrue(try fixture.told().hasPrefix("2 "))
        XCTAssertTrue(try fixture.told().hasSuffix("{\"counter\":6}"), "rollback brings the options back as well")
        XCTAssertEqual(fixture.host.entry("counter")?.lastSwap?.trigger, .rollback)
    }

    func testAnExclusiveSwapThatFailsActivatesTheOldOneAgain() throws {
        let fixture = try SwapFixture(["-DHANDOVER=\"exclusive\""])
        try fixture.start()
        defer { fixture.host.stop() }
        try fixture.build("second", ["-DFAULT=ACTIVATE"])
        XCTAssertThrowsError(try fixture.swap(to: "second"))
        XCTAssertTrue(try fixture.told().hasPrefix("1 2 "))
        XCTAssertEqual(fixture.listed["generation"], 3, "the second activation, and the attempt between")
    }

    func testWhenTheOldOneCannotComeBackBothReasonsAreTold() throws {
        let fixture = try SwapFixture(["-DHANDOVER=\"exclusive\"", "-DFAULT=SECOND_ACTIVATION"])
        try fixture.start()
        defer { fixture.host.stop() }
        try fixture.build("second", ["-DFAULT=ACTIVATE"])
        XCTAssertThrowsError(try fixture.swap(to: "second")) { error in
            XCTAssertTrue("\(error)".contains("could not be activated again: the fixture fails here"), "\(error)")
        }
        XCTAssertEqual(fixture.listed["state"], "failed")
        XCTAssertThrowsError(try fixture.told()) { error in
            XCTAssertEqual((error as? PluginHost.CallFailure)?.code, HOSTD_ERROR_UNAVAILABLE)
        }
        // A plugin that failed can be replaced.
        try fixture.build("third", ["-DVERSION=\"3\""])
        try fixture.swap(to: "third")
        XCTAssertTrue(try fixture.told().hasPrefix("3 1 1 "))
    }

    func testRoleWatchesAreToldOfEachGenerationOnce() throws {
        let fixture = try SwapFixture([state])
        try fixture.start()
        let seen = WatchMessages()
        let watch = try seen.watch(fixture.host)
        XCTAssertEqual(seen.wait(for: 2).filter { $0.contains("count/1") }.count, 1)
        try fixture.swap(to: "counter")
        try fixture.build("without", ["-DVERSION=\"2\""])
        try fixture.swap(to: "without")
        fixture.host.stop()
        let messages = seen.wait(for: 7).filter { $0.contains("count/1") }
        fixture.host.unwatchRoles(watch)
        let role = "{\"role\":\"com.example.count/1\",\"plugin\":\"counter\",\"state\":"
        XCTAssertEqual(
            messages,
            [
                "\(role)\"active\",\"generation\":1}", "\(role)\"active\",\"generation\":2,\"hasState\":true}",
                "\(role)\"active\",\"generation\":3}", "\(role)\"inactive\",\"generation\":3}",
            ])
    }

    func testAWatchThatBeginsDuringAnActivationSeesEachProviderOnce() throws {
        let watchers = RoleWatchers()
        let change = RoleWatchers.Change(role: "r/1", plugin: "p", isActive: true, generation: 1)
        watchers.announce([change])
        let seen = WatchMessages()
        let watch = try watchers.add(WatchMessages.sink, seen.context)
        watchers.announce([.init(role: "r/1", plugin: "p", isActive: false, generation: 1)])
        watchers.announce([.init(role: "r/1", plugin: "q", isActive: false, generation: 1)])
        XCTAssertEqual(seen.wait(for: 2).map { $0.contains("inactive") }, [false, true])
        watchers.remove(watch)
    }
}

/// Collects what a watch of roles tells.
final class WatchMessages: @unchecked Sendable {
    // SAFETY: the messages are under `monitor`.
    private let monitor = Monitor()
    private var messages: [String] = []

    var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    static let sink: hostd_sink = { context, _, data, size in
        guard let context, let data else { return }
        let seen = Unmanaged<WatchMessages>.fromOpaque(context).takeUnretainedValue()
        let text = String(decoding: UnsafeBufferPointer(start: data, count: Int(size)), as: UTF8.self)
        seen.monitor.locked {
            seen.messages.append(text)
            seen.monitor.broadcast()
        }
    }

    func watch(_ host: PluginHost) throws -> UInt64 { try host.watchRoles(Self.sink, context) }

    func wait(for count: Int) -> [String] {
        monitor.locked {
            let deadline = monotonicNow() + 60_000_000_000
            while messages.count < count, monitor.wait(until: deadline) {}
            return messages
        }
    }
}
