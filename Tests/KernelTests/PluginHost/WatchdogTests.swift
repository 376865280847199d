import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// What the host notices of plugins that are slow or untidy.
final class WatchdogTests: XCTestCase {
    private var scratch: ScratchDirectory?
    private var file: Int32 = -1

    override func setUpWithError() throws {
        let made = try ScratchDirectory()
        scratch = made
        file = open("\(made.path)/log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    }

    override func tearDown() { close(file) }

    private func lines(_ part: String) throws -> [Substring] {
        let path = try XCTUnwrap(scratch).path
        return String(decoding: try ScratchDirectory.contents("\(path)/log"), as: UTF8.self)
            .split(separator: "\n").filter { $0.contains(part) }
    }

    private func fixture(_ defines: [String]) throws -> SwapFixture {
        let fixture = try SwapFixture(
            defines, directory: try XCTUnwrap(scratch), log: Log(format: .json, level: .warning, descriptor: file))
        try fixture.start()
        return fixture
    }

    func testACallThatOutrunsItsCostIsNamedWhileItIsInside() throws {
        let fixture = try fixture(["-DCOSTS=\"stay:500ms;add:30s\""])
        defer { fixture.host.stop() }
        let (host, left) = (fixture.host, Flag())
        try KernelThread(name: "stays") {
            let result = try? host.call(
                role: SwapFixture.role, plugin: nil, slot: "stay", arguments: [0], files: [], deadline: 0)
            left.set(result != nil)
        }.detach()
        let deadline = monotonicNow() + 60_000_000_000
        while try lines("longer than it should take").isEmpty, monotonicNow() < deadline { usleep(20_000) }
        let told = try lines("a call is inside a plugin longer than it should take")
        XCTAssertEqual(told.count, 1)
        XCTAssertTrue(
            told.first?.contains("\"plugin\":\"counter\",\"role\":\"com.example.count/1\",\"slot\":\"stay\"") ?? false)
        _ = try fixture.call("stay", [1])
        XCTAssertTrue(left.wait())
        _ = try fixture.call("add", [1])
        let target = try XCTUnwrap(fixture.host.instance("counter")?.targets[SwapFixture.role])
        XCTAssertEqual(target.figures().slow, 1)
        XCTAssertEqual(try lines("took longer").count, 0, "it was told of once, within a minute")
    }

    func testWhatAPluginForgetsIsNamedAndEnded() throws {
        let fixture = try fixture(["-DFORGETS"])
        try fixture.swap(to: "counter")
        let told = try lines("did not end what it had begun")
        XCTAssertEqual(told.count, 1)
        XCTAssertTrue(
            told.first?.contains("\"service\":\"hostd.roles/1\",\"slot\":\"watch\",\"count\":1") ?? false,
            "\(told)")
        fixture.host.stop()
        XCTAssertEqual(try lines("did not end what it had begun").count, 2)
        // A message to a watch that was left open would run code of a plugin that is gone.
        fixture.host.watchers.announce([.init(role: "r/1", plugin: "p", isActive: true, generation: 1)])
    }

    func testCostsAreRead() throws {
        XCTAssertEqual(
            try SlotCosts(parsing: "get:10ms;put:2s;see:5us").limits,
            ["get": 10_000_000, "put": 2_000_000_000, "see": 5000])
        XCTAssertEqual(try SlotCosts(parsing: "").limits, [:])
        for text in ["get", "get:", "get:10", "get:0ms", ":10ms", "get:10ms:1", "get:-1s"] {
            XCTAssertThrowsError(try SlotCosts(parsing: text), text)
        }
        for (role, text) in RoleCatalog.costs {
            let slots = try SlotDescriptor(try XCTUnwrap(RoleCatalog.slots(role))).names
            XCTAssertTrue(Set(slots).isSuperset(of: try SlotCosts(parsing: text).limits.keys), role)
        }
    }
}
