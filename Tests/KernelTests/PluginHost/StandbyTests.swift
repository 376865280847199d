import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

final class StandbyTests: XCTestCase {
    private static let yaml = """
        plugins:
          - {name: counter, library: ./counter.so}
          - {name: spare, library: ./spare.so, standby: true}
          - {name: other, library: ./other.so, optional: true}
        roles: {com.example.count/1: [counter, spare, other]}
        """

    private func fixture(_ spare: [String] = [], directory: ScratchDirectory? = nil) throws -> SwapFixture {
        let scratch = try directory ?? ScratchDirectory()
        try SwapFixture.build("spare", [SwapFixture.format, "-DVERSION=\"2\""] + spare, in: scratch)
        try SwapFixture.build("other", ["-DVERSION=\"3\""], in: scratch)
        let fixture = try SwapFixture([SwapFixture.format], yaml: Self.yaml, directory: scratch)
        try fixture.start()
        return fixture
    }

    private func state(_ fixture: SwapFixture, _ name: String) -> JSON {
        fixture.host.describe()["plugins"].arrayValue.first { $0["name"].stringValue == name }?["state"] ?? .null
    }

    private func swap(_ fixture: SwapFixture, to name: String) throws(PluginFailure) -> JSON {
        try fixture.request(["role": .string(SwapFixture.role), "library": .string(name), "trigger": "command"])
    }

    func testAPluginOnStandbyTakesOverAndTheOtherOneWaits() throws {
        let fixture = try fixture()
        defer { fixture.host.stop() }
        XCTAssertEqual(state(fixture, "spare"), "standby")
        XCTAssertEqual(fixture.host.activeProviders(of: SwapFixture.role), ["counter", "other"])
        _ = try fixture.call("add", [5])
        XCTAssertEqual(try swap(fixture, to: "spare")["plugin"], "spare")
        XCTAssertEqual(try fixture.number("total"), 5, "with its state")
        XCTAssertTrue(try fixture.told().hasPrefix("2 1 "))
        XCTAssertEqual(state(fixture, "counter"), "standby")
        XCTAssertEqual(state(fixture, "spare"), "active")
        XCTAssertThrowsError(try fixture.told(plugin: "counter"))
        _ = try fixture.request(["role": .string(SwapFixture.role), "action": "rollback"])
        XCTAssertEqual(try fixture.number("total"), 5)
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
        XCTAssertEqual(state(fixture, "spare"), "standby")
    }

    func testAnActivePluginIsOnlySelected() throws {
        let fixture = try fixture()
        defer { fixture.host.stop() }
        _ = try swap(fixture, to: "other")
        XCTAssertTrue(try fixture.told().hasPrefix("3 1 "))
        XCTAssertTrue(try fixture.told(plugin: "counter").hasPrefix("1 1 "), "both stay active")
        XCTAssertEqual(fixture.host.activeProviders(of: SwapFixture.role), ["other", "counter"])
    }

    func testOneThatFailsIsOnStandbyAgain() throws {
        let fixture = try fixture(["-DFAULT=ACTIVATE"])
        defer { fixture.host.stop() }
        for _ in 0..<2 {
            XCTAssertThrowsError(try swap(fixture, to: "spare")) { error in
                XCTAssertEqual((error as? PluginFailure)?.step, .activate)
            }
            XCTAssertEqual(state(fixture, "spare"), "standby")
            XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
        }
    }
}
