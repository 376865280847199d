import XCTest

@testable import Node

final class EnvironmentFileTests: XCTestCase {
    func testValues() throws {
        let rows: [(text: String, value: String?, reason: String)] = [
            ("A=1", "1", "without a line end"), ("B=2\nA=1\n", "1", "further down"),
            ("A=1\nA=2", "1", "the first counts"),
            ("", nil, "empty"), ("B=1", nil, "another name"), ("AA=1", nil, "a longer name"),
            ("# A=0\n\n  A = x y \t\n", "x y", "comments, blank lines, blanks around"),
            ("A=", "", "no value"), ("A=a=b#c", "a=b#c", "what else may stand in a value"),
            ("A='it is # \"so\" '\n", "it is # \"so\" ", "single quotes keep all"),
            ("B='1\nA=0'\nA='2'", "2", "a quoted value may hold lines"),
            ("A=\"a \\\"b\\\" \\\\ \\n\"", "a \"b\" \\ \\n", "double quotes know two escapes"),
            ("A='x' # said\n", "x", "what follows the quotes does not count"),
            ("A=größe\r\n", "größe", "line ends of other systems"),
        ]
        for row in rows {
            XCTAssertEqual(
                try EnvironmentFile.value(of: "A", in: Array(row.text.utf8), path: "f"), row.value, row.reason)
        }
    }

    func testLinesThatDeclareNothing() {
        for (text, message) in [
            ("B=1\nnothing\nA=1", "line 2 of the environment file \"f\" is not NAME=VALUE"),
            ("=1", "line 1 of the environment file \"f\" is not NAME=VALUE"),
            ("\nB='1", "line 2 of the environment file \"f\" has quotes that are not closed"),
            ("B='1\n2'\nx", "line 3 of the environment file \"f\" is not NAME=VALUE"),
        ] {
            XCTAssertThrowsError(try EnvironmentFile.value(of: "A", in: Array(text.utf8), path: "f"), text) {
                XCTAssertEqual(($0 as? ContainerConfigurationError)?.message, message)
            }
        }
    }

    /// The node reads as root what a container has written: nothing outside of the volume.
    func testAFileIsReadWithinItsVolume() throws {
        let directory = try TemporaryDirectory()
        let root = "\(directory.path)/volume"
        try Files.makeDirectories("\(root)/d")
        try Files.write(Array("in".utf8), to: "\(root)/d/f", mode: 0o600)
        try Files.write(Array("out".utf8), to: "\(directory.path)/secret", mode: 0o600)
        for (link, target) in [("inside", "d/f"), ("up", "../secret"), ("away", "\(directory.path)/secret")] {
            XCTAssertEqual(symlink(target, "\(root)/\(link)"), 0)
        }
        func read(_ path: String, limit: Int = 10) throws -> String? {
            try VolumeFile.read(path, below: root, limit: limit).map { String(decoding: $0, as: UTF8.self) }
        }
        XCTAssertEqual(try read("d/f"), "in")
        XCTAssertEqual(try read("inside"), "in", "a link that stays inside")
        XCTAssertNil(try read("d/none"))
        XCTAssertNil(try read("d/f/below"))
        XCTAssertFalse(try Files.list("\(root)/d").contains("none"), "nothing is made")
        for path in ["up", "away", "d", "../secret"] { XCTAssertThrowsError(try read(path), path) }
        XCTAssertThrowsError(try read("d/f", limit: 1), "too large")
    }
}
