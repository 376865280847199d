import CStateStore
import Glibc
import Objects
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// Who wrote what when, and the state at a time: over batches, restarts, snapshots and updates of the format.
final class StoreHistoryTests: XCTestCase {
    /// A wall clock that a test sets.
    private final class Clock: Sendable {
        let milliseconds = Mutex<UInt64>(1_800_000_000_000)
        func set(_ value: UInt64) { milliseconds.withLock { $0 = value } }
        func advance(_ value: UInt64) { milliseconds.withLock { $0 += value } }
    }

    private func open(
        _ path: String, _ clock: Clock, _ change: (inout StateStoreOptions) -> Void = { _ in }
    ) throws -> StateStore {
        var options = smallOptions()
        options.wallClock = { clock.milliseconds.withLock { $0 } }
        change(&options)
        return try StateStore(directory: path, options: options)
    }

    private func versions(_ store: StateStore, _ key: String, limit: Int = 0) throws -> [String] {
        let json = try Array(key.utf8).withUnsafeBytes { try store.history(of: $0, limit: limit) }
        return json["versions"].arrayValue.map { version in
            let what = version["text"].stringValue ?? version["value"].serializedString()
            return "\(version["revision"].integerValue ?? 0) \(version["kind"].stringValue ?? "") "
                + "\(version["time"].stringValue ?? "") \(version["user"].stringValue ?? "")"
                + "/\(version["manager"].stringValue ?? "") \(what)"
        }
    }

    func testEachVersionTellsTimeAndWriterAlsoAfterARestart() throws {
        let directory = TemporaryDirectory()
        let clock = Clock()
        var store = try open(directory.path, clock)
        try store.write(by: "alice\0kubectl", operation(HOSTD_STORE_CREATE, "pods/d/a", "one"))
        clock.advance(1500)
        try store.write(by: "system:hostd\0node", operation(HOSTD_STORE_UPDATE, "pods/d/a", "{\"n\":2}"))
        clock.advance(1)
        try store.remove("pods/d/a")
        clock.advance(60_000)
        try store.write(by: "alice\0kubectl", operation(HOSTD_STORE_CREATE, "pods/d/a", "again"))
        let expected = [
            "1 put 2027-01-15T08:00:00.000Z alice/kubectl one",
            "2 put 2027-01-15T08:00:01.500Z system:hostd/node {\"n\":2}",
            "3 delete 2027-01-15T08:00:01.501Z / null",
            "4 put 2027-01-15T08:01:01.501Z alice/kubectl again",
        ]
        for _ in 0..<3 {
            XCTAssertEqual(try versions(store, "pods/d/a"), expected)
            XCTAssertEqual(try versions(store, "pods/d/a", limit: 2), Array(expected[2...]))
            store.close()
            store = try open(directory.path, clock)
        }
        assertFails(HOSTD_ERROR_NOT_FOUND, naming: "pods/d/b") { try versions(store, "pods/d/b") }
        store.close()
    }

    func testTheRevisionAtATimeIsTheNewestThatWasWrittenBy() throws {
        let directory = TemporaryDirectory()
        let clock = Clock()
        var store = try open(directory.path, clock)
        let start: UInt64 = 1_800_000_000_000
        for number in 0..<10 {
            clock.set(start + UInt64(number) * 1000)
            try store.put("pods/d/a", "\(number)")
        }
        try store.compact(to: 3)
        let cases: [(time: UInt64, revision: UInt64?, reason: String)] = [
            (start + 9000, 10, "the time of the last one"), (start + 90_000, 10, "after all of them"),
            (start + 5500, 6, "between two"), (start + 3000, 4, "just then"), (start + 2999, 3, "the compacted one"),
            (start + 2000, 3, "just when the history begins"), (start + 1999, nil, "before the history"),
            (0, nil, "in the beginning"),
        ]
        for _ in 0..<2 {
            for (time, revision, reason) in cases {
                if let revision {
                    XCTAssertEqual(try store.revision(at: time), revision, reason)
                } else {
                    assertFails(HOSTD_ERROR_COMPACTED, naming: "2027-01-15T08:00:02.000Z") {
                        try store.revision(at: time)
                    }
                }
            }
            store.close()
            store = try open(directory.path, clock)
        }
        store.close()
    }

    func testTimesAndWritersOutliveSnapshotsAndBackups() throws {
        let directory = TemporaryDirectory()
        let clock = Clock()
        let snapshots = Mutex(0)
        let change: (inout StateStoreOptions) -> Void = { options in
            options.historyCount = 20
            options.snapshotThreshold = 128 << 10
            options.log = { _, message, _ in
                if message.contains("snapshot written") { snapshots.withLock { $0 += 1 } }
            }
        }
        var store = try open(directory.path + "/a", clock, change)
        try store.write(by: "carol\0first", operation(HOSTD_STORE_CREATE, "pods/d/old", "kept"))
        let value = String(repeating: "v", count: 2000)
        var written = 1
        while snapshots.withLock({ $0 }) < 2 && written < 20_000 {
            clock.advance(10)
            try store.write(
                by: "user-\(written % 7)\0filler", operation(HOSTD_STORE_PUT, "pods/d/\(written % 40)", value))
            written += 1
        }
        XCTAssertGreaterThanOrEqual(snapshots.withLock { $0 }, 2)
        mkdir(directory.path + "/b", 0o700)
        let copy = directory.path + "/b/" + LogFormat.snapshotName(UInt64(written))
        _ = try store.backup(to: Glibc.open(copy, O_CREAT | O_WRONLY, 0o600))
        let last = try versions(store, "pods/d/\((written - 1) % 40)").last
        XCTAssertTrue(last?.contains("user-\((written - 1) % 7)/filler") ?? false, last ?? "")
        store.close()
        for place in ["/a", "/a", "/b", "/b"] {
            store = try open(directory.path + place, clock, change)
            XCTAssertEqual(
                try versions(store, "pods/d/old"), ["1 put 2027-01-15T08:00:00.000Z carol/first kept"], place)
            XCTAssertEqual(try versions(store, "pods/d/\((written - 1) % 40)").last, last, place)
            let now = clock.milliseconds.withLock { $0 }
            XCTAssertEqual(try store.revision(at: now), UInt64(written), place)
            store.close()
        }
    }

    /// The format of before times and writers: read, and gone on with in a segment of this version.
    func testALogOfVersionOneIsReadAndGoneOnWith() throws {
        let directory = TemporaryDirectory()
        let clock = Clock()
        var store = try open(directory.path, clock)
        for number in 1...5 { try store.put("pods/d/\(number)", "value \(number)") }
        store.close()
        let name = LogFormat.segmentName(1)
        directory.write(name, try versionOne(directory.read(name)))
        store = try open(directory.path, clock)
        XCTAssertEqual(try store.names(), (1...5).map { "pods/d/\($0)" })
        XCTAssertEqual(try versions(store, "pods/d/3"), ["3 put  / value 3"])
        assertFails(HOSTD_ERROR_COMPACTED) { try store.revision(at: 1) }
        XCTAssertEqual(directory.names("log-").count, 2)
        try store.write(by: "dora", operation(HOSTD_STORE_PUT, "pods/d/3", "new"))
        for _ in 0..<2 {
            XCTAssertEqual(
                try versions(store, "pods/d/3"),
                ["3 put  / value 3", "6 put 2027-01-15T08:00:00.000Z dora/ new"])
            store.close()
            store = try open(directory.path, clock)
        }
        store.close()
        // Damage of an old segment is found as before.
        var bytes = directory.read(name)
        bytes[LogFormat.headSize + 50] ^= 1
        directory.write(name, bytes)
        assertFails(HOSTD_ERROR_DATA_LOSS, naming: name) { try open(directory.path, clock) }
    }

    /// Writes the frames of a log as version 1 had them.
    private func versionOne(_ log: [UInt8]) throws -> [UInt8] {
        var old = [UInt8](repeating: 0, count: log.count)
        try log.withUnsafeBytes { log in
            var head = try FileHead(log, magic: LogFormat.segmentMagic, path: "log")
            head.version = 1
            head.checksum = withUnsafeBytes(of: head) { store_crc32c(0, $0.baseAddress!, FileHead.checkedSize) }
            withUnsafeBytes(of: head) { old.replaceSubrange(0..<$0.count, with: $0) }
            var (from, to) = (LogFormat.headSize, LogFormat.headSize)
            while var frame = FrameHead.read(log, at: from, salt: head.salt) {
                let payload = log[(from + FrameHead.size)..<(from + FrameHead.size + Int(frame.size))]
                frame.checksum = payload.withUnsafeBytes {
                    store_crc32c(frame.headChecksum(salt: head.salt, version: 1), $0.baseAddress!, $0.count)
                }
                withUnsafeBytes(of: frame) { old.replaceSubrange(to..<(to + 40), with: $0[..<40]) }
                old.replaceSubrange((to + 40)..<(to + 40 + payload.count), with: payload)
                from += FrameHead.size + payload.count
                to += 40 + payload.count
            }
        }
        return old
    }

    func testWritersAreKeptOnceAndForgottenWhenNothingNamesThem() throws {
        let directory = TemporaryDirectory()
        let clock = Clock()
        var store = try open(directory.path, clock) { $0.historyCount = 1 }
        let before = directory.read(LogFormat.segmentName(1))
        for number in 0..<50 {
            try store.write(by: "somebody-with-a-name\0manager", operation(HOSTD_STORE_PUT, "pods/d/a", "\(number)"))
        }
        let log = String(decoding: directory.read(LogFormat.segmentName(1)), as: UTF8.self)
        XCTAssertEqual(log.components("somebody-with-a-name"), 1, "the log names a writer once")
        XCTAssertFalse(String(decoding: before, as: UTF8.self).contains("somebody"))
        try store.write(by: "other", operation(HOSTD_STORE_PUT, "pods/d/a", "x"))
        XCTAssertEqual(store.parts.writers.all.definitions.map(\.text), ["somebody-with-a-name\0manager", "other"])
        XCTAssertEqual(store.parts.writers.all.last, 2)
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT, naming: "512") {
            try store.write(by: String(repeating: "w", count: 513), operation(HOSTD_STORE_PUT, "pods/d/a", "x"))
        }
        store.close()
        store = try open(directory.path, clock)
        XCTAssertEqual(store.parts.writers.all.last, 2)
        try store.write(by: "third", operation(HOSTD_STORE_PUT, "pods/d/a", "x"))
        XCTAssertEqual(store.parts.writers.all.last, 3, "numbers are given once")
        store.close()
    }

    /// A writer whose first write finds the disk full is defined again by the next one.
    func testAWriterOfARefusedBatchIsDefinedByTheNext() throws {
        let directory = TemporaryDirectory()
        let clock = Clock()
        let isFull = Mutex(false)
        var store = try open(directory.path, clock) { options in
            options.files.write = { descriptor, vectors, count, offset in
                guard isFull.withLock({ $0 }), vectors[0].holdsFrames else {
                    return pwritev(descriptor, vectors, count, offset)
                }
                errno = ENOSPC
                return -1
            }
        }
        isFull.withLock { $0 = true }
        assertFails(HOSTD_ERROR_NO_SPACE) {
            try store.write(by: "eve", operation(HOSTD_STORE_PUT, "pods/d/a", "x"))
        }
        isFull.withLock { $0 = false }
        try store.write(by: "eve", operation(HOSTD_STORE_PUT, "pods/d/a", "y"))
        store.close()
        store = try open(directory.path, clock)
        XCTAssertEqual(try versions(store, "pods/d/a"), ["1 put 2027-01-15T08:00:00.000Z eve/ y"])
        store.close()
    }

    func testHistoryAgesAcrossARestart() throws {
        let directory = TemporaryDirectory()
        let clock = Clock()
        var store = try open(directory.path, clock)
        for number in 0..<5 { try store.put("pods/d/a", "\(number)") }
        store.close()
        clock.advance(700_000)
        store = try open(directory.path, clock) { $0.historySeconds = 600 }
        try store.put("pods/d/a", "new")
        XCTAssertEqual(try versions(store, "pods/d/a").map { $0.prefix(1) }, ["5", "6"], "what is too old goes")
        store.close()
    }

    /// What a record costs beyond its own bytes.
    func testAnObjectCostsAtMost250BytesBesidesItsOwn() {
        XCTAssertLessThanOrEqual(MemoryLayout<store_block>.size + Record.headSize + 8 + 16, 250)
        XCTAssertEqual(MemoryLayout<store_block>.size, 32)
    }
}

extension String {
    /// How often a text is in it.
    fileprivate func components(_ text: String) -> Int {
        var count = 0
        var rest = Substring(self)
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}

extension StateStore {
    /// A transaction by a writer, waited for.
    @discardableResult
    func write(by writer: String, _ operations: [UInt8]) throws -> UInt64 {
        let writer = try Array(writer.utf8).withUnsafeBytes { try Writer($0) }
        let write = try operations.withUnsafeBytes { try Write(operations: $0, limits: parts.options.writeLimits) }
        write.writer = writer?.text
        return try perform(write).revision
    }
}
