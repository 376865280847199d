import Glibc
import Objects
import XCTest

@testable import Node

final class LogTests: XCTestCase {
    private func line(_ second: Int, _ text: String, stream: String = "stdout", tag: String = "F") -> String {
        "2026-01-01T00:00:0\(second).000000000Z \(stream) \(tag) \(text)\n"
    }

    private func format(_ text: String, _ query: JSON = [:], chunk: Int = 7) throws -> String {
        var formatter = LogFormatter(
            try LogOptions(query: query, now: try Timestamp(parsing: "2026-01-01T00:00:10Z")))
        var output: [UInt8] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: chunk) {
            output += formatter.format(bytes[start..<min(start + chunk, bytes.count)])
        }
        return String(decoding: output, as: UTF8.self)
    }

    func testFormatting() throws {
        let log =
            line(1, "one") + line(2, "bad", stream: "stderr") + line(3, "par", tag: "P") + line(3, "tial") + line(4, "")
        let rows: [(query: JSON, expected: String, reason: String)] = [
            ([:], "one\nbad\npartial\n\n", "everything"),
            (["stream": ["Stderr"]], "bad\n", "one stream"),
            (["stream": ["Stdout"]], "one\npartial\n\n", "the other stream"),
            (["sinceSeconds": ["8"]], "bad\npartial\n\n", "since, inclusive"),
            (["sinceTime": ["2026-01-01T00:00:03Z"]], "partial\n\n", "since a time"),
            (["limitBytes": ["6"]], "one\nba", "limit"),
            (
                ["timestamps": ["true"]],
                "2026-01-01T00:00:01.000000000Z one\n2026-01-01T00:00:02.000000000Z bad\n"
                    + "2026-01-01T00:00:03.000000000Z partial\n2026-01-01T00:00:04.000000000Z \n", "times, once a line"
            ),
        ]
        for row in rows {
            for chunk in [1, 7, 4096] {
                XCTAssertEqual(try format(log, row.query, chunk: chunk), row.expected, row.reason)
            }
        }
        XCTAssertEqual(try format("garbage\n" + line(1, "x") + "2026-01-01T00:00:01Z stdout F cut"), "x\n")
    }

    func testOptionsThatAreWrong() {
        for query: JSON in [
            ["tailLines": ["-1"]], ["tailLines": ["x"]], ["limitBytes": ["0"]], ["sinceTime": ["yesterday"]],
            ["sinceSeconds": ["0"]], ["stream": ["Both"]],
            ["sinceSeconds": ["1"], "sinceTime": ["2026-01-01T00:00:00Z"]],
        ] { XCTAssertThrowsError(try LogOptions(query: query, now: Timestamp.now()), query.serializedString()) }
    }

    func testTailReadsBackwards() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/0.log"
        let long = String(repeating: "x", count: 100_000)
        let text =
            line(1, "one") + line(2, long) + line(3, "a", tag: "P") + line(3, "b") + line(4, "four")
        try Files.write(Array(text.utf8), to: path, mode: 0o644)
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        let size = text.utf8.count
        let expected: [(lines: Int, text: String, found: Int)] = [
            (0, "", 0), (1, line(4, "four"), 1), (2, line(3, "a", tag: "P") + line(3, "b") + line(4, "four"), 2),
            (3, String(text.dropFirst(line(1, "one").count)), 3), (4, text, 4), (9, text, 4),
        ]
        for row in expected {
            let (offset, found) = try LogTail.offset(descriptor, size: size, lines: row.lines)
            XCTAssertEqual(size - offset, row.text.utf8.count, "\(row.lines) lines")
            XCTAssertEqual(found, row.found, "\(row.lines) lines")
        }
        let (empty, none) = try LogTail.offset(descriptor, size: 0, lines: 3)
        XCTAssertEqual(empty, 0)
        XCTAssertEqual(none, 0)
        XCTAssertEqual(
            String(decoding: try LogTail.lastLines(path, lines: 2, limitBytes: 100), as: UTF8.self), "ab\nfour\n")
    }

    func testALastLineWithoutALineBreakIsALine() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/0.log"
        let text = line(1, "one") + line(2, "a", tag: "P") + line(2, "b", tag: "P")
        try Files.write(Array(text.utf8), to: path, mode: 0o644)
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        for (lines, expected) in [(1, line(2, "a", tag: "P") + line(2, "b", tag: "P")), (2, text), (3, text)] {
            let (offset, found) = try LogTail.offset(descriptor, size: text.utf8.count, lines: lines)
            XCTAssertEqual(text.utf8.count - offset, expected.utf8.count, "\(lines) lines")
            XCTAssertEqual(found, min(lines, 2), "\(lines) lines")
        }
        XCTAssertEqual(
            String(decoding: try LogTail.lastLines(path, lines: 80, limitBytes: 100), as: UTF8.self), "one\nab")
        XCTAssertEqual(String(decoding: try LogTail.lastLines(path, lines: 1, limitBytes: 100), as: UTF8.self), "ab")
    }

    func testSenderReadsRotatedFilesInOrder() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/0.log"
        try Files.write(
            Array((line(1, "one") + line(2, "two")).utf8), to: "\(path).20260101-000002.000000000", mode: 0o644)
        try Files.write(Array(line(3, "three").utf8), to: path, mode: 0o644)
        for (query, expected) in [
            ([:] as JSON, "one\ntwo\nthree\n"), (["tailLines": ["2"]], "two\nthree\n"),
            (["tailLines": ["1"]], "three\n"),
        ] {
            let (client, stream) = try Self.packets()
            let sender = LogSender(
                path: path, options: try LogOptions(query: query, now: Timestamp.now()), stream: PacketStream(stream),
                exit: nil)
            try sender.run()
            XCTAssertEqual(try Self.receive(client, count: expected.utf8.count), expected)
            close(client)
        }
    }

    func testFollowSeesNewLinesRotationAndTheEnd() throws { try checkFollowing { try DirectoryWatcher($0) } }

    /// Where nobody may watch one more directory, the log is followed all the same.
    func testFollowWithoutAWatcher() throws { try checkFollowing { throw SystemError("watch", $0, code: EMFILE) } }

    private func checkFollowing(_ watch: @escaping @Sendable (String) throws -> DirectoryWatcher) throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/0.log"
        try Files.write(Array(line(1, "one").utf8), to: path, mode: 0o644)
        let (client, stream) = try Self.packets()
        defer { close(client) }
        let exit = try ExitSignal()
        let options = try LogOptions(query: ["follow": ["true"]], now: Timestamp.now())
        let thread = NodeThread(name: "follow")
        thread.start {
            let sender = LogSender(
                path: path, options: options, stream: PacketStream(stream), exit: exit, watch: watch)
            do { try sender.run() } catch { XCTFail("\(error)") }
        }
        XCTAssertEqual(try Self.receive(client, count: 4), "one\n")
        try append(line(2, "two"), to: path)
        XCTAssertEqual(try Self.receive(client, count: 4), "two\n")
        XCTAssertEqual(rename(path, "\(path).20260101-000002.000000000"), 0)
        try Files.write(Array(line(3, "three").utf8), to: path, mode: 0o644)
        XCTAssertEqual(try Self.receive(client, count: 6), "three\n")
        try append(line(4, "last"), to: path)
        exit.signal()
        XCTAssertEqual(try Self.receive(client, count: 5), "last\n")
        thread.join()
        XCTAssertEqual(try Self.receive(client, count: 1), "", "the stream is closed")
    }

    func testFollowEndsWhenTheClientGoes() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/0.log"
        try Files.write([], to: path, mode: 0o644)
        let (client, stream) = try Self.packets()
        let exit = try ExitSignal()
        let thread = NodeThread(name: "follow")
        thread.start {
            var options = LogOptions()
            options.follow = true
            let sender = LogSender(path: path, options: options, stream: PacketStream(stream), exit: exit)
            do { try sender.run() } catch { XCTAssertTrue(error is StreamClosed) }
        }
        close(client)
        thread.join()
    }

    func testRotationKeepsFiveFiles() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/0.log"
        var time = try Timestamp(parsing: "2026-01-01T00:00:00Z")
        for round in 0..<8 {
            try Files.write([], to: path, mode: 0o644)
            XCTAssertFalse(try LogFiles.rotate(path, now: time), "a small file stays")
            XCTAssertEqual(truncate(path, off_t(LogFiles.maximumBytes)), 0)
            XCTAssertTrue(try LogFiles.rotate(path, now: time))
            time = time.adding(seconds: 60)
            XCTAssertEqual(try LogFiles.all(path).count - 1, min(round + 1, LogFiles.maximumFiles - 1))
        }
        XCTAssertFalse(try LogFiles.rotate("\(directory.path)/none.log", now: time))
    }

    private func append(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_APPEND)
        defer { close(descriptor) }
        try Files.writeAll(Array(text.utf8), to: descriptor, path: path)
    }

    static func packets() throws -> (client: Int32, stream: Int32) {
        var ends: [Int32] = [-1, -1]
        XCTAssertEqual(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends), 0)
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return (ends[0], ends[1])
    }

    /// Receives until `count` bytes are there or the stream ends.
    static func receive(_ descriptor: Int32, count: Int) throws -> String {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while text.count < count {
            let got = recv(descriptor, &buffer, buffer.count, 0)
            if got <= 0 { break }
            text += buffer[..<got]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
