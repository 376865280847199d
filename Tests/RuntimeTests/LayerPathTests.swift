import XCTest

@testable import Containers
@testable import Runtime

final class LayerPathTests: XCTestCase {
    func testPaths() throws {
        let rows: [(given: String, expected: String)] = [
            ("a/b", "a/b"), ("./a//b/", "a/b"), ("/etc/passwd", "etc/passwd"), ("./", ""), (".", ""), ("a/./b", "a/b"),
            ("..a/b..", "..a/b.."),
        ]
        for row in rows {
            XCTAssertEqual(try LayerPath(Array(row.given.utf8), layer: "l").display, row.expected, row.given)
        }
        for refused in ["..", "../x", "a/../b", "a/..", "/../x", String(repeating: "x", count: 300)] {
            XCTAssertThrowsError(try LayerPath(Array(refused.utf8), layer: "l"), refused)
        }
    }

    func testWhiteouts() {
        let rows: [(name: String, expected: Whiteout)] = [
            ("file", .none), (".wh.file", .entry(Array("file".utf8))), (".wh..wh..opq", .opaque),
            (".wh..wh.plnk", .ignored),
            (".wh.", .ignored), (".wh..", .ignored), (".wh...", .ignored), (".whx", .none),
            (".wh..hidden", .entry(Array(".hidden".utf8))),
        ]
        for row in rows { XCTAssertEqual(Whiteout.of(Array(row.name.utf8)), row.expected, row.name) }
    }
}
