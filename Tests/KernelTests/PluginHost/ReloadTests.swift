import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

final class ReloadTests: XCTestCase {
    private let start = """
        plugins:
          - {name: counter, library: ./counter.so}
          - {name: old, library: ./user.so, optional: true}
        """

    private func fixture(_ yaml: String) throws -> SwapFixture {
        let directory = try ScratchDirectory()
        try SwapFixture.build("second", ["-DVERSION=\"2\""], in: directory)
        try SwapFixture.build("broken", ["-DFAULT=ACTIVATE"], in: directory)
        try SwapFixture.build(
            "user", ["-DNAME=\"user\"", "-DROLE=\"com.example.user/1\"", "-DREQUIRES=\"com.example.count/1\""],
            in: directory)
        let fixture = try SwapFixture(yaml: yaml, directory: directory)
        try fixture.start()
        return fixture
    }

    private func reload(_ fixture: SwapFixture, _ yaml: String) throws -> PluginHost.ReloadOutcome {
        try fixture.host.reload(
            try HostConfiguration(text: Array(yaml.utf8), file: "\(fixture.directory.path)/h.yaml"))
    }

    private func names(_ fixture: SwapFixture) -> [String] {
        fixture.host.describe()["plugins"].arrayValue.compactMap { $0["name"].stringValue }
    }

    func testEveryKindOfChangeIsTakenIntoUse() throws {
        let fixture = try fixture(start)
        defer { fixture.host.stop() }
        let outcome = try reload(
            fixture,
            """
            settings: {listen: "127.0.0.1:7000"}
            plugins:
              - {name: new, library: ./counter.so}
              - {name: waiting, library: ./second.so, standby: true}
              - {name: counter, library: ./second.so, optional: true, options: {counter: 4}}
            roles: {com.example.count/1: [new, counter]}
            """)
        XCTAssertEqual(
            outcome.applied,
            [
                "plugins.new: added", "plugins.waiting: added", "plugins.counter.optional: true",
                "plugins.counter: swapped", "roles.com.example.count/1: new and counter", "plugins.old: removed",
            ])
        XCTAssertEqual(outcome.failed.count, 0, "\(outcome.failed)")
        XCTAssertEqual(outcome.atNextStart, ["settings.listen: 127.0.0.1:6443 becomes 127.0.0.1:7000"])
        XCTAssertEqual(names(fixture), ["new", "waiting", "counter"])
        XCTAssertEqual(try fixture.told(plugin: "counter"), "2 1 2 {\"counter\":4}")
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "), "new is preferred now")
        XCTAssertNil(fixture.host.providerTable(of: "com.example.user/1", plugin: "old"))
    }

    func testNothingToDoIsNothingDone() throws {
        let fixture = try fixture(start)
        defer { fixture.host.stop() }
        let outcome = try reload(fixture, start)
        XCTAssertTrue(outcome.applied.isEmpty && outcome.failed.isEmpty && outcome.atNextStart.isEmpty)
        XCTAssertEqual(fixture.listed["generation"], 1)
    }

    func testWhatFailsStaysAsItWasAndIsTriedAgain() throws {
        let fixture = try fixture(start)
        defer { fixture.host.stop() }
        let wanted = """
            plugins:
              - {name: counter, library: ./broken.so}
              - {name: old, library: ./user.so, optional: true}
              - {name: extra, library: ./absent.so}
              - {name: bad, library: ./broken.so}
              - {name: odd, library: ./counter.so, options: {counter: 70}}
            """
        for _ in 0..<2 {
            let outcome = try reload(fixture, wanted)
            XCTAssertEqual(outcome.applied, [])
            XCTAssertEqual(outcome.failed.map(\.plugin), ["extra", "odd", "bad", "counter"])
            XCTAssertEqual(
                outcome.failed.map { $0.reason.prefix { $0 != ":" } }, ["find", "options", "activate", "activate"])
            XCTAssertEqual(names(fixture), ["counter", "old"])
            XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
        }
        // A plugin that others require is not removed.
        let outcome = try reload(fixture, "plugins: [{name: old, library: ./user.so, optional: true}]")
        XCTAssertEqual(outcome.failed.map(\.plugin), ["counter"])
        XCTAssertTrue(outcome.failed[0].reason.contains("com.example.count/1 would have no provider, and old requires"))
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
    }

    func testASwapByCommandStaysUntilTheEntryChanges() throws {
        let fixture = try fixture(start)
        defer { fixture.host.stop() }
        try fixture.swap(to: "second")
        XCTAssertEqual(try reload(fixture, start + "\n").applied, [])
        XCTAssertTrue(try fixture.told().hasPrefix("2 "))
        let outcome = try reload(
            fixture, start.replacingAll("./counter.so}", by: "./counter.so, options: {counter: 6}}"))
        XCTAssertEqual(outcome.applied, ["plugins.counter: swapped"])
        XCTAssertEqual(try fixture.told().suffix(13), "{\"counter\":6}")
        XCTAssertTrue(try fixture.told().hasPrefix("1 "))
    }
}
