import CStateStore
import PluginAPI
import XCTest

@testable import Kernel

final class FrameSearchTests: XCTestCase {
    private let head = FileHead(magic: LogFormat.segmentMagic, number: 1)

    private func frame(_ payload: [UInt8], distance: UInt32 = 0) -> [UInt8] {
        var frame = FrameHead(
            size: UInt32(payload.count), count: 1, sequence: 7, revision: 7, batchDistance: distance, time: 1)
        frame.checksum = store_crc32c(frame.headChecksum(salt: head.salt), payload, payload.count)
        return withUnsafeBytes(of: frame) { Array($0) } + payload
    }

    private func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255) } }

    func testAChecksumIsPutTogetherFromItsParts() {
        for size in [0, 1, 7, 8, 100, 511, 4096, 70_000] {
            let bytes = random(size)
            let begun = UInt32.random(in: 0 ... .max)
            XCTAssertEqual(
                store_crc32c(begun, bytes, size),
                store_crc32c_shift(begun, UInt64(size)) ^ store_crc32c(0, bytes, size), "\(size) bytes")
        }
    }

    /// It finds what reading at each place in turn finds.
    func testAFrameIsFoundWhereverItStands() {
        let rows: [(before: Int, payload: Int, after: Int, why: String)] = [
            (8, 0, 0, "an empty one at the end"), (8, 64, 4096, "a short one"),
            (8, 1024, 8, "the longest that is summed directly"), (504, 1032, 0, "one longer than that, at the end"),
            (4096, 100_000, 5000, "one over many steps"), (512, 512 * 9 - 48, 512, "one that begins and ends at steps"),
        ]
        for row in rows {
            var bytes = random(row.before) + frame(random(row.payload), distance: 8) + random(row.after)
            bytes.withUnsafeBytes { bytes in
                var search = FrameSearch(bytes, head: head)
                XCTAssertTrue(search.finds(from: 8, ofBatchAfter: -1), row.why)
                XCTAssertTrue(search.finds(from: 8, ofBatchAfter: row.before - 9), row.why)
                XCTAssertFalse(search.finds(from: 8, ofBatchAfter: row.before - 8), "not of a later batch: \(row.why)")
                XCTAssertFalse(search.finds(from: row.before + 8, ofBatchAfter: -1), "behind it: \(row.why)")
            }
            let flipped = row.before + 4 + Int.random(in: 0..<(44 + row.payload))
            bytes[flipped] ^= 4
            bytes.withUnsafeBytes { bytes in
                var search = FrameSearch(bytes, head: head)
                XCTAssertFalse(search.finds(from: 8, ofBatchAfter: -1), "byte \(flipped) is another: \(row.why)")
            }
        }
    }

    /// Bytes that somebody chose: as many heads as there is room for, each of a frame that reaches to the end.
    private func heads(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for offset in stride(from: 0, to: count, by: 16) {
            let size = UInt32(max(0, (count - offset - FrameHead.size) & ~7))
            for word in [LogFormat.frameMagic, 0, size, 0] { withUnsafeBytes(of: word) { bytes += $0 } }
        }
        return bytes
    }

    func testHeadsWithoutFramesCostLinearTime() {
        for count in [128 << 10, 1 << 20] {
            heads(count).withUnsafeBytes { bytes in
                var search = FrameSearch(bytes, head: head)
                XCTAssertFalse(search.finds(from: 8, ofBatchAfter: -1))
                // Half of the rest at each head would be count / 32 times.
                XCTAssertLessThan(search.work, 70 * count, "of \(count) bytes")
            }
        }
    }

    func testAStoreOpensBehindABatchOfSuchBytes() throws {
        let directory = TemporaryDirectory()
        var options = StateStoreOptions()
        options.firstSegmentSize = 4 << 20
        let store = try StateStore(directory: directory.path, options: options)
        try store.put("pods/d/kept", "value")
        var log = directory.read(LogFormat.segmentName(1))
        store.close()
        let end = try log.withUnsafeBytes { bytes in
            let head = try FileHead(bytes, magic: LogFormat.segmentMagic, path: "log")
            let first = try XCTUnwrap(FrameHead.read(bytes, at: LogFormat.headSize, salt: head.salt))
            return LogFormat.headSize + FrameHead.size + Int(first.size)
        }
        // What a transaction of eight megabytes' worth of them leaves when the power goes: a part.
        let torn = heads(2 << 20)
        log.replaceSubrange(end..<(end + torn.count), with: torn)
        directory.write(LogFormat.segmentName(1), log)
        let lines = LogLines()
        options.log = lines.log
        let again = try StateStore(directory: directory.path, options: options)
        defer { again.close() }
        XCTAssertEqual(try again.value("pods/d/kept").value, "value")
        XCTAssertTrue(lines.all.contains { $0.contains("dropped") && $0.contains("offset=\(end)") }, "\(lines.all)")
    }
}
