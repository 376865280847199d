import PluginKit
import XCTest

@testable import Containers
@testable import Runtime

final class TarReaderTests: XCTestCase {
    private func read(_ bytes: [UInt8]) throws -> [(entry: TarEntry, content: [UInt8])] {
        let reader = TarReader(MemorySource(bytes), archive: "archive")
        var result: [(entry: TarEntry, content: [UInt8])] = []
        while let entry = try reader.next() {
            var content: [UInt8] = []
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 1)
            defer { buffer.deallocate() }
            while true {
                let count = try reader.readContent(into: buffer)
                if count == 0 { break }
                content += buffer[0..<count]
            }
            result.append((entry, content))
        }
        return result
    }

    func testKinds() throws {
        let bytes = TarWriter.directory { tar in
            tar.add("dir/", type: "5", mode: 0o1777)
            tar.add("dir/file", content: Array("hello".utf8), mode: 0o4755, user: 12, group: 34, modified: 99)
            tar.add("link", type: "2", link: "dir/file")
            tar.add("hard", type: "1", link: "dir/file")
            tar.add("char", type: "3", major: 1, minor: 3)
            tar.add("block", type: "4", major: 8, minor: 1)
            tar.add("pipe", type: "6")
            tar.add("old/", type: "\u{0}")
            tar.add("name", content: [], prefix: "some/prefix")
        }
        let found = try read(bytes)
        XCTAssertEqual(
            found.map(\.entry.kind),
            [.directory, .file, .symbolicLink, .hardLink, .characterDevice, .blockDevice, .pipe, .directory, .file])
        XCTAssertEqual(found[1].content, Array("hello".utf8))
        XCTAssertEqual(found[1].entry.mode, 0o4755)
        XCTAssertEqual([found[1].entry.user, found[1].entry.group], [12, 34])
        XCTAssertEqual(found[1].entry.modified, 99)
        XCTAssertEqual(found[2].entry.link, Array("dir/file".utf8))
        XCTAssertEqual([found[5].entry.major, found[5].entry.minor], [8, 1])
        XCTAssertEqual(found[8].entry.displayPath, "some/prefix/name")
    }

    func testExtendedHeaders() throws {
        let long = String(repeating: "d/", count: 200) + "file"
        let bytes = TarWriter.directory { tar in
            tar.addExtended([("mtime", "7.25"), ("uid", "4000000000")], type: "g")
            tar.addExtended([
                ("path", long), ("SCHILY.xattr.user.a", "v"), ("gid", "3"), ("size", "3"), ("comment", "ignored"),
                ("mtime", "8.5"),
            ])
            tar.add("short", content: [1, 2, 3])
            tar.add("second")
            tar.add("././@LongLink", type: "L", content: Array(long.utf8) + [0])
            tar.add("././@LongLink", type: "K", content: Array(("t" + long).utf8) + [0])
            tar.add("cut", type: "2", link: "cut")
        }
        let found = try read(bytes)
        XCTAssertEqual(found[0].entry.path, Array(long.utf8))
        XCTAssertEqual(found[0].content, [1, 2, 3])
        XCTAssertEqual(found[0].entry.user, 4_000_000_000)
        XCTAssertEqual(found[0].entry.group, 3)
        XCTAssertEqual(found[0].entry.modified, 8)
        XCTAssertEqual(found[0].entry.modifiedNanoseconds, 500_000_000)
        XCTAssertEqual(found[0].entry.attributes, [.init(name: "user.a", value: Array("v".utf8))])
        XCTAssertEqual(found[1].entry.displayPath, "second", "an extended header is for one member")
        XCTAssertEqual(found[1].entry.modifiedNanoseconds, 250_000_000, "a global one for all")
        XCTAssertEqual(found[2].entry.path, Array(long.utf8))
        XCTAssertEqual(found[2].entry.link, Array(("t" + long).utf8))
    }

    func testNumbers() throws {
        let rows: [(field: [UInt8], expected: Int64?)] = [
            (Array("0000644\u{0}".utf8), 0o644), (Array("   644 \u{0}".utf8), 0o644),
            (Array("\u{0}\u{0}\u{0}\u{0}".utf8), 0),
            ([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], 256), ([0xff, 0xff, 0xff, 0xff], -1),
            ([0x80, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Int64.max),
            ([0x80, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], nil),
            (Array("12x4567\u{0}".utf8), nil), (Array("12 4567\u{0}".utf8), nil), (Array("9999999\u{0}".utf8), nil),
        ]
        for row in rows {
            if let expected = row.expected {
                XCTAssertEqual(try TarHeader.number(row.field[...], "a"), expected, "\(row.field)")
            } else {
                XCTAssertThrowsError(try TarHeader.number(row.field[...], "a"), "\(row.field)")
            }
        }
    }

    func testRefused() {
        var sparse = TarWriter()
        sparse.addExtended([("GNU.sparse.major", "1")])
        sparse.add("x")
        var badRecord = TarWriter()
        badRecord.add("h", type: "x", content: Array("99 path=a\n".utf8))
        badRecord.add("x")
        var hugeHeader = TarWriter()
        hugeHeader.add("h", type: "x", size: 1 << 30)
        var negative = TarWriter()
        negative.addExtended([("size", "-5")])
        negative.add("x")
        var unknown = TarWriter()
        unknown.add("x", type: "V")
        var hugeName = TarWriter()
        hugeName.add("n", type: "L", content: [UInt8](repeating: 0x61, count: 5000))
        hugeName.add("x")
        let rows: [(name: String, bytes: [UInt8])] = [
            ("no tar at all", Array(repeating: 0x41, count: 1024)), ("sparse", sparse.bytes),
            ("bad record", badRecord.bytes),
            ("huge header", hugeHeader.bytes), ("negative size", negative.bytes), ("unknown type", unknown.bytes),
            ("huge name", hugeName.bytes),
        ]
        for row in rows { XCTAssertThrowsError(try read(row.bytes), row.name) }
    }

    /// Every cut and every single changed byte ends in entries or an error, never in a trap or an endless loop.
    func testDamageIsSurvived() throws {
        let whole = TarWriter.directory { tar in
            tar.addExtended([("path", "long/name"), ("mtime", "1.5"), ("SCHILY.xattr.user.a", "b")])
            tar.add("a", content: [UInt8](repeating: 7, count: 700))
            tar.add("n", type: "L", content: Array("other\u{0}".utf8))
            tar.add("b", type: "1", link: "a")
        }
        for length in stride(from: 1, to: whole.count - 1024, by: 13) {
            let cut = Array(whole[0..<length])
            do { _ = try read(cut) } catch { XCTAssertTrue("\(error)".contains("archive"), "\(error)") }
        }
        var generator = SystemRandomNumberGenerator()
        for index in 0..<2048 {
            var changed = whole
            changed[index] = UInt8.random(in: 0...255, using: &generator)
            _ = try? read(changed)
        }
    }

    func testTruncationIsSaid() {
        let whole = TarWriter.directory { $0.add("a", content: [UInt8](repeating: 7, count: 700)) }
        XCTAssertThrowsError(try read(Array(whole[0..<900]))) { XCTAssertTrue("\($0)".contains("truncated"), "\($0)") }
    }
}
