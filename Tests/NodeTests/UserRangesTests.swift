import Glibc
import Objects
import PluginKit
import XCTest

@testable import Node

final class UserRangesTests: XCTestCase {
    func testEachPodHasItsOwnAndKeepsIt() throws {
        let directory = try TemporaryDirectory()
        let paths = NodePaths(data: directory.path)
        let ranges = UserRanges(paths: paths)
        XCTAssertEqual(try ranges.range(of: "a"), ["hostID": 65_536, "size": 65_536])
        XCTAssertEqual(try ranges.range(of: "b")["hostID"], 131_072)
        XCTAssertEqual(try ranges.range(of: "a")["hostID"], 65_536, "it stays")
        XCTAssertEqual(try UserRanges(paths: paths).range(of: "b")["hostID"], 131_072, "over a restart")
        XCTAssertEqual(try UserRanges(paths: paths).range(of: "c")["hostID"], 196_608)
        try FileTree.remove(paths.pod("a"))
        XCTAssertEqual(try ranges.range(of: "d")["hostID"], 65_536, "what is free is given again")
    }
}
