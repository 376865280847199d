import Glibc
import XCTest

@testable import Network
@testable import PodNetworking

/// Building and reading netlink messages.
final class NetlinkTests: XCTestCase {
    private func message(_ type: UInt16, flags: UInt16 = 0, sequence: UInt32 = 0, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        func append(_ number: some FixedWidthInteger) { withUnsafeBytes(of: number) { bytes += $0 } }
        append(UInt32(16 + payload.count))
        append(type)
        append(flags)
        append(sequence)
        append(UInt32(0))
        return bytes + payload + [UInt8](repeating: 0, count: (4 - payload.count % 4) % 4)
    }

    func testBatchesArePaddedAndNested() {
        var batch = NetlinkBatch()
        batch.message(7, NetlinkFlag.NLM_F_ACK, label: "one")
        batch.append(UInt32(1))
        batch.nested(3) { $0.attribute(1, text: "abc") }
        batch.end()
        batch.message(8, 0, label: "two")
        batch.end()
        XCTAssertEqual(batch.bytes.count, 48)
        XCTAssertEqual(batch.bytes[0], 32)
        XCTAssertEqual(batch.bytes[6], UInt8(NetlinkFlag.NLM_F_ACK | NetlinkFlag.NLM_F_REQUEST))
        XCTAssertEqual(Array(batch.bytes[20..<32]), [12, 0, 3, 0x80, 8, 0, 1, 0, 97, 98, 99, 0])
        XCTAssertEqual(batch.bytes[40], 1, "the second message's number")
        XCTAssertEqual(batch.labels, ["one", "two"])
    }

    func testAttributesAreReadWithinTheirBounds() {
        let rows: [([UInt8], [UInt16: [UInt8]], String)] = [
            ([5, 0, 1, 0, 9, 0, 0, 0, 4, 0, 2, 0], [1: [9], 2: []], "two"),
            ([3, 0, 1, 0], [:], "shorter than its head"), ([9, 0, 1, 0, 1, 2, 3, 4], [:], "longer than the rest"),
            ([5, 0], [:], "cut off"), ([5, 0, 1, 0x80, 9], [1: [9]], "nested bit"),
        ]
        for (bytes, expected, reason) in rows {
            let attributes = NetlinkAttributes(bytes[...])
            for type in UInt16(0)...3 { XCTAssertEqual(attributes[type].map(Array.init), expected[type], reason) }
        }
        XCTAssertNil(NetlinkAttributes([5, 0, 1, 0, 9][...]).number(1, as: UInt32.self))
        XCTAssertNil(NetlinkAttributes([5, 0, 1, 0, 9][...]).address(1))
    }

    func testTheFirstErrorIsKeptWithTheKernelsWords() {
        func number(_ value: Int32) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
        let words: [UInt8] = [12, 0, 1, 0] + Array("bad MTU".utf8) + [0]
        let request = message(16, sequence: 1, [])
        var collector = ReplyCollector(labels: ["first", "second"], tolerated: [ENOENT])
        collector.take(message(2, sequence: 0, number(0) + request)[...])
        collector.take(message(2, sequence: 0, number(-ENOENT) + request)[...])
        XCTAssertNil(collector.error)
        let flags = NetlinkFlag.NLM_F_CAPPED | NetlinkFlag.NLM_F_ACK_TLVS
        collector.take(message(2, flags: flags, sequence: 1, number(-EINVAL) + request + words)[...])
        collector.take(message(2, sequence: 0, number(-EPERM) + request)[...])
        XCTAssertEqual(collector.error?.code, EINVAL)
        XCTAssertEqual(collector.error?.request, "second")
        XCTAssertEqual(collector.error?.explanation, "bad MTU")
        var others = ReplyCollector(labels: [], tolerated: [])
        others.take((message(16, [1, 2, 3, 4]) + message(3, [0, 0, 0, 0]) + [200, 0, 0, 0])[...])
        XCTAssertEqual(others.replies.map(\.payload), [[1, 2, 3, 4]])
        others.take(message(2, sequence: 99, number(-EPERM))[...])
        XCTAssertEqual(others.error?.request, "netlink request")
    }

    func testMounts() {
        XCTAssertEqual(
            Mounts.parse("cgroup2 /sys/fs/cgroup\\040two cgroup2 rw 0 0\n"),
            Mounts.Entry(path: "/sys/fs/cgroup two", type: "cgroup2"))
        XCTAssertNil(Mounts.parse("short line"))
        XCTAssertEqual(Mounts.parse("a b\\9 c")?.path, "b\\9")
    }
}
