import Glibc
import Objects
import XCTest

@testable import Node

final class NodeEndpointTests: XCTestCase {
    func testLogFiles() throws {
        let directory = try TemporaryDirectory()
        let root = "\(directory.path)/logs"
        try Files.makeDirectories("\(root)/pods/a<b")
        try Files.write(Array("x".utf8), to: "\(root)/pods/0.log", mode: 0o644)
        try Files.write(Array("secret".utf8), to: "\(directory.path)/outside", mode: 0o600)
        XCTAssertEqual(symlink("\(directory.path)/outside", "\(root)/link"), 0)
        let files = NodeLogFiles(root: root)
        XCTAssertEqual(
            try files.find("/pods/"),
            .directory("<!doctype html>\n<pre>\n<a href=\"0.log\">0.log</a>\n<a href=\"a&lt;b/\">a&lt;b/</a>\n</pre>\n")
        )
        XCTAssertEqual(try files.find("/pods/0.log"), .file("\(root)/pods/0.log"))
        XCTAssertEqual(try NodeLogFiles(root: "\(root)/none").find(""), .directory(NodeLogFiles.page([])))
        for (path, code) in [("/../outside", 400), ("/pods/../../outside", 400), ("/link", 404), ("/nothing", 404)] {
            XCTAssertThrowsError(try files.find(path), path) {
                XCTAssertEqual(($0 as? EndpointError)?.code, code, path)
            }
        }
    }
}
