import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

final class FilesTests: XCTestCase {
    private var root = ""

    override func setUpWithError() throws {
        root = "/tmp/hostd-files-\(makeUID())"
        try AtomicFile.makeDirectory("\(root)/a/b")
    }

    override func tearDownWithError() throws { try FileTree.remove(root) }

    func testWriteReplacesWhole() throws {
        let path = "\(root)/file"
        try AtomicFile.write(Array("one".utf8), to: path)
        try AtomicFile.write(Array("two".utf8), to: path, isDurable: false)
        XCTAssertEqual(try AtomicFile.read(path), Array("two".utf8))
        XCTAssertNotEqual(access("\(path).new", F_OK), 0)
    }

    func testReadIsBounded() throws {
        try AtomicFile.write([UInt8](repeating: 1, count: 100), to: "\(root)/file")
        XCTAssertThrowsError(try AtomicFile.read("\(root)/file", limit: 99)) {
            XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_RESOURCE_EXHAUSTED)
        }
    }

    func testFailureNamesThePath() {
        XCTAssertThrowsError(try AtomicFile.read("\(root)/none")) { error in
            XCTAssertEqual((error as? PluginError)?.code, HOSTD_ERROR_NOT_FOUND)
            XCTAssertTrue("\(error)".contains("\(self.root)/none"), "\(error)")
        }
        XCTAssertThrowsError(try AtomicFile.write([1], to: "\(root)/none/file"))
    }

    func testRemoveDoesNotFollowLinks() throws {
        try AtomicFile.write([1], to: "\(root)/a/kept")
        try AtomicFile.makeDirectory("\(root)/tree/deep/deeper")
        XCTAssertEqual(symlink("\(root)/a", "\(root)/tree/deep/link"), 0)
        try FileTree.remove("\(root)/tree")
        XCTAssertNotEqual(access("\(root)/tree", F_OK), 0)
        XCTAssertEqual(access("\(root)/a/kept", F_OK), 0)
        try FileTree.remove("\(root)/tree")
    }

    func testWalkVisitsChildrenFirst() throws {
        try AtomicFile.write([1], to: "\(root)/a/b/file")
        var seen: [String] = []
        try FileTree.walk(root) { entry throws(PluginError) in seen.append(entry.name) }
        XCTAssertEqual(seen, ["file", "b", "a"])
    }
}
