import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

final class SwapPersistenceTests: XCTestCase {
    private let yaml = """
        plugins:
          - {name: counter, library: ./counter.so, options: {counter: 2}}
          - {name: spare, library: ./spare.so, standby: true}
        """

    private func restarted(_ directory: ScratchDirectory, _ yaml: String) throws -> SwapFixture {
        try SwapFixture.build("spare", ["-DVERSION=\"9\""], in: directory)
        let fixture = try SwapFixture(yaml: yaml, directory: directory, swaps: true)
        try fixture.start()
        return fixture
    }

    func testASwapOutlivesHostdUntilTheConfigurationChanges() throws {
        let directory = try ScratchDirectory()
        try SwapFixture.build("second", ["-DVERSION=\"2\""], in: directory)
        var fixture = try restarted(directory, yaml)
        try fixture.swap(to: "second", ["options": ["counter": 7]])
        fixture.host.stop()
        fixture = try restarted(directory, yaml)
        XCTAssertEqual(try fixture.told(), "2 1 1 {\"counter\":7}")
        XCTAssertEqual(fixture.listed["previous"], ["library": "./counter.so", "version": "1"])
        _ = try fixture.request(["plugin": "counter", "action": "rollback"])
        XCTAssertEqual(try fixture.told().suffix(13), "{\"counter\":2}")
        try fixture.swap(to: "second")
        fixture.host.stop()
        fixture = try restarted(directory, yaml.replacingAll("counter: 2", by: "counter: 3"))
        defer { fixture.host.stop() }
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "), "the file counts again")
        XCTAssertEqual(try fixture.told().suffix(13), "{\"counter\":3}")
    }

    func testSelectionAndStandbyOutliveHostd() throws {
        let directory = try ScratchDirectory()
        var fixture = try restarted(directory, yaml)
        _ = try fixture.request(["role": .string(SwapFixture.role), "library": "spare", "trigger": "command"])
        fixture.host.stop()
        fixture = try restarted(directory, yaml)
        defer { fixture.host.stop() }
        XCTAssertTrue(try fixture.told().hasPrefix("9 1 "))
        XCTAssertEqual(fixture.listed["state"], "standby")
        _ = try fixture.request(["role": .string(SwapFixture.role), "action": "rollback"])
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
    }

    func testALibraryThatIsGoneFallsBackToTheConfiguration() throws {
        let directory = try ScratchDirectory()
        try SwapFixture.build("second", ["-DVERSION=\"2\""], in: directory)
        var fixture = try restarted(directory, yaml)
        try fixture.swap(to: "second")
        fixture.host.stop()
        unlink("\(directory.path)/second.so")
        fixture = try restarted(directory, yaml)
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
        fixture.host.stop()
        try directory.write("swaps.json", "{\"format\":")
        fixture = try restarted(directory, yaml)
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "), "a damaged file is left out")
        fixture.host.stop()
    }
}

extension String {
    /// This text with every occurrence of a part replaced.
    func replacingAll(_ part: String, by other: String) -> String {
        split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
    }
}
