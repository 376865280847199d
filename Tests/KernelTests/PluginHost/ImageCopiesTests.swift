import Glibc
import XCTest

@testable import Kernel

/// Which file is opened in place of one whose name the dynamic loader knows already.
final class ImageCopiesTests: XCTestCase {
    private func content(_ path: String) throws -> [UInt8] {
        let file = try XCTUnwrap(fopen(path, "r"), path)
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes[..<count])
    }

    /// Puts a new file in the place of another, as an installation does.
    private func replace(_ path: String, with text: String, in scratch: ScratchDirectory) throws {
        let new = try scratch.write("new.so", text)
        XCTAssertEqual(rename(new, path), 0)
    }

    func testNewContentUnderAKnownNameIsOpenedAsACopy() throws {
        let scratch = try ScratchDirectory()
        let path = try scratch.write("plugin.so", "first")
        let copies = "\(scratch.path)/data/libraries/plugin"
        XCTAssertEqual(mkdir("\(scratch.path)/data", 0o700), 0)
        XCTAssertEqual(try ImageCopies.path(for: path, directory: copies), path, "its first time")
        XCTAssertEqual(try ImageCopies.path(for: path, directory: copies), path, "the same file again")

        try replace(path, with: "second", in: scratch)
        let second = try ImageCopies.path(for: path, directory: copies)
        XCTAssertTrue(second.hasPrefix("\(copies)/"), "the loader knows the name, and not this content: \(second)")
        XCTAssertEqual(try content(second), Array("second".utf8))
        var facts = stat()
        XCTAssertEqual(stat(second, &facts), 0)
        XCTAssertEqual(facts.st_mode & 0o777, 0o700, "nobody else writes to what is opened")
        XCTAssertEqual(try ImageCopies.path(for: path, directory: copies), second, "one copy of one content")

        try replace(path, with: "third, which is longer", in: scratch)
        let third = try ImageCopies.path(for: path, directory: copies)
        XCTAssertNotEqual(third, second, "other content, another name")
        XCTAssertEqual(try content(third), Array("third, which is longer".utf8))
        XCTAssertEqual(try content(second), Array("second".utf8), "what may be mapped stays as it is")

        try replace(path, with: "second", in: scratch)
        XCTAssertEqual(
            try ImageCopies.path(for: path, directory: copies), second, "content that was there is the mapping of then")
    }

    func testACopyThatIsGoneIsMadeAgain() throws {
        let scratch = try ScratchDirectory()
        let path = try scratch.write("plugin.so", "first")
        let copies = "\(scratch.path)/copies"
        _ = try ImageCopies.path(for: path, directory: copies)
        try replace(path, with: "second", in: scratch)
        let copy = try ImageCopies.path(for: path, directory: copies)
        XCTAssertEqual(unlink(copy), 0)
        XCTAssertEqual(try ImageCopies.path(for: path, directory: copies), copy)
        XCTAssertEqual(try content(copy), Array("second".utf8))
    }

    func testWhereNoCopyCanBe() throws {
        let scratch = try ScratchDirectory()
        let path = try scratch.write("plugin.so", "first")
        XCTAssertEqual(
            try ImageCopies.path(for: "\(scratch.path)/none.so", directory: nil), "\(scratch.path)/none.so",
            "opening it says why")
        _ = try ImageCopies.path(for: path, directory: nil)
        try replace(path, with: "second", in: scratch)
        XCTAssertEqual(try ImageCopies.path(for: path, directory: nil), path, "before there is a data directory")
        let blocked = try scratch.write("blocked", "a file")
        XCTAssertThrowsError(try ImageCopies.path(for: path, directory: "\(blocked)/plugin")) {
            let failure = $0 as? PluginFailure
            XCTAssertEqual(failure?.step, .open)
            XCTAssertTrue(failure?.message.contains("cannot make \(blocked)") == true, "\($0)")
        }
    }
}
