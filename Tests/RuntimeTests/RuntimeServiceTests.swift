import Glibc
import Objects
import PluginKit
import XCTest

@testable import Runtime

/// Real containers, end to end. Root only.
final class RuntimeServiceTests: XCTestCase {
    private var fixture: RuntimeFixture!

    override func setUpWithError() throws { fixture = try RuntimeFixture() }
    override func tearDown() { fixture?.close() }

    func testRunsAndLogs() throws {
        let (end, output) = try fixture.run("echo out; echo err >&2; hostname; exit 3")
        XCTAssertEqual(end["state"].stringValue, "exited")
        XCTAssertEqual(end["exitCode"].integerValue, 3)
        XCTAssertEqual(end["reason"].stringValue, "Error")
        XCTAssertEqual(Set(output), ["out", "err", "pod-host"])
    }
}
