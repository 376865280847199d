import CStateStore
import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class RecoveryTests: XCTestCase {
    private func open(_ path: String, _ change: (inout StateStoreOptions) -> Void = { _ in }) throws -> StateStore {
        var options = smallOptions()
        change(&options)
        return try StateStore(directory: path, options: options)
    }

    /// A store that ends as after kill -9: everything acknowledged, no mark of an orderly end.
    private func abandoned(_ directory: TemporaryDirectory, writes: Int) throws -> [UInt8] {
        let store = try open(directory.path)
        for number in 1...writes { try store.put("pods/d/\(number)", "value \(number)") }
        let log = directory.read(LogFormat.segmentName(1))
        store.close()
        directory.write(LogFormat.segmentName(1), log)
        return log
    }

    /// Where the frames of a segment begin, and where the last one ends.
    private func frameOffsets(_ log: [UInt8]) throws -> [Int] {
        try log.withUnsafeBytes { bytes in
            let head = try FileHead(bytes, magic: LogFormat.segmentMagic, path: "log")
            var offsets = [LogFormat.headSize]
            while let frame = FrameHead.read(bytes, at: offsets.last!, salt: head.salt) {
                offsets.append(offsets.last! + FrameHead.size + Int(frame.size))
            }
            return offsets
        }
    }

    func testEverythingIsThereAgain() throws {
        let directory = TemporaryDirectory()
        var store = try open(directory.path)
        for number in 0..<500 { try store.put("pods/d/\(number % 50)", "value \(number)", index: ["n": "\(number)"]) }
        for number in 0..<10 { try store.remove("pods/d/\(number)") }
        let names = try store.names()
        let status = store.status()
        store.close()
        store = try open(directory.path)
        defer { store.close() }
        XCTAssertEqual(try store.names(), names)
        XCTAssertEqual(store.status(), status)
        XCTAssertEqual(try store.value("pods/d/20", at: 400).value, "value 370")
        XCTAssertEqual(try store.names(selector: "n=499"), ["pods/d/49"])
        XCTAssertEqual(try store.value("pods/d/49").version, 10)
        XCTAssertEqual(try store.put("pods/d/x"), 511)
    }

    func testALogCutAtEachByteOfItsLastFrameLosesOnlyThat() throws {
        let directory = TemporaryDirectory()
        let log = try abandoned(directory, writes: 4)
        let offsets = try frameOffsets(log)
        let (start, end) = (offsets[3], offsets[4])
        for cut in start..<end {
            var torn = log
            for position in cut..<end { torn[position] = 0 }
            let changed = torn != log
            directory.write(LogFormat.segmentName(1), torn)
            let lines = LogLines()
            let store = try open(directory.path) { $0.log = lines.log }
            XCTAssertEqual(try store.names().count, changed ? 3 : 4, "cut at \(cut)")
            XCTAssertEqual(
                lines.all.contains { $0.contains("dropped") && $0.contains("offset=\(start)") },
                changed && cut > start, "cut at \(cut): \(lines.all)")
            XCTAssertEqual(try store.put("pods/d/new"), changed ? 4 : 5)
            store.close()
            let again = try open(directory.path)
            XCTAssertEqual(try again.names().count, changed ? 4 : 5)
            again.close()
            for name in directory.names("log-") where name != LogFormat.segmentName(1) {
                unlink(directory.path + "/" + name)
            }
        }
    }

    func testAFileThatEndsEarlyIsATornTail() throws {
        let directory = TemporaryDirectory()
        let log = try abandoned(directory, writes: 4)
        let offsets = try frameOffsets(log)
        for cut in [offsets[3], offsets[3] + 1, offsets[3] + 39, offsets[3] + 41, offsets[4] - 1] {
            directory.write(LogFormat.segmentName(1), Array(log[..<cut]))
            let store = try open(directory.path)
            XCTAssertEqual(try store.names().count, 3)
            try store.put("pods/d/new", String(repeating: "x", count: 1000))
            store.close()
            let again = try open(directory.path)
            XCTAssertEqual(try again.names().count, 4)
            again.close()
            for name in directory.names("log-") where name != LogFormat.segmentName(1) {
                unlink(directory.path + "/" + name)
            }
        }
    }

    func testAFlippedBitBeforeTheLastBatchRefusesToStart() throws {
        let directory = TemporaryDirectory()
        let log = try abandoned(directory, writes: 5)
        let offsets = try frameOffsets(log)
        for position in offsets[2]..<offsets[3] {
            var damaged = log
            damaged[position] ^= 1 << UInt8(position % 8)
            directory.write(LogFormat.segmentName(1), damaged)
            let error = assertFails(HOSTD_ERROR_DATA_LOSS, naming: "offset \(offsets[2])") {
                try StateStore(directory: directory.path, options: smallOptions())
            }
            XCTAssertTrue(error?.message.contains(LogFormat.segmentName(1)) ?? false)
            XCTAssertTrue(
                error?.message.contains("hostd store restore BACKUP --data \(directory.path) --replace") ?? false)
            XCTAssertEqual(directory.read(LogFormat.segmentName(1)), damaged, "nothing is changed by a refused start")
        }
    }

    func testAFlippedBitInTheLastBatchIsFoundAfterAnOrderlyEnd() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory.path)
        try store.put("pods/d/a", "value")
        store.close()
        var log = directory.read(LogFormat.segmentName(1))
        log[LogFormat.headSize + 60] ^= 4
        directory.write(LogFormat.segmentName(1), log)
        assertFails(HOSTD_ERROR_DATA_LOSS) { try StateStore(directory: directory.path, options: smallOptions()) }
    }

    /// A frame whose checksum is right and that no store wrote: found by fuzzing.
    func testAFrameThatContradictsItselfIsDamageThatIsNamed() throws {
        func record(_ key: String, index: String = "", revision: UInt64 = 5) throws -> [UInt8] {
            let (key, index) = (Array(key.utf8), Array(index.utf8))
            let record = try key.withUnsafeBytes { key in
                try index.withUnsafeBytes { try Record.make(kind: Record.Kind.put, key: key, index: $0) }
            }
            defer { record.release() }
            record.head.pointee.revision = revision
            return Array(record.raw)
        }
        let rows: [(payload: [UInt8], batchDistance: UInt32, reason: String, why: String)] = [
            (try record("pods/d/a"), 1 << 20, "cannot be read", "a batch that begins before the file"),
            (try record("pods"), 0, "RESOURCE/NAMESPACE/NAME", "a key that is none"),
            (try record("pods/d/a", index: "a"), 0, "pairs", "an index that is none"),
            (try record("pods/d/a", revision: 4), 0, "", "the revision of the one before"),
            (try record("pods/d/a", revision: 3), 0, "between 4 and 5", "a revision that was there before"),
            (try record("pods/d/a", revision: 6), 0, "between 4 and 5", "a revision after the frame's"),
            (Array(try record("pods/d/a").dropLast(8)), 0, "cannot be read", "a record that is cut off"),
        ]
        for row in rows {
            let directory = TemporaryDirectory()
            var log = try abandoned(directory, writes: 4)
            let end = try frameOffsets(log)[4]
            let salt = log.withUnsafeBytes { $0.loadUnaligned(as: FileHead.self).salt }
            var frame = FrameHead(
                size: UInt32(row.payload.count), count: 1, sequence: 5, revision: 5, batchDistance: row.batchDistance,
                time: 1)
            frame.checksum = store_crc32c(frame.headChecksum(salt: salt), row.payload, row.payload.count)
            let bytes = withUnsafeBytes(of: frame) { Array($0) } + row.payload
            log.replaceSubrange(end..<(end + bytes.count), with: bytes)
            directory.write(LogFormat.segmentName(1), log)
            if row.reason.isEmpty {
                XCTAssertNoThrow(try open(directory.path).close(), row.why)
                continue
            }
            XCTAssertThrowsError(try open(directory.path), row.why) { error in
                let error = error as? StoreError
                XCTAssertEqual(error?.code, HOSTD_ERROR_DATA_LOSS, row.why)
                XCTAssertTrue(error?.message.contains(row.reason) == true, "\(row.why): \(error?.message ?? "")")
                XCTAssertTrue(error?.message.contains("offset") == true, "\(row.why): \(error?.message ?? "")")
            }
        }
    }

    func testDamageInAnEarlierSegmentAndAMissingOneAreNamed() throws {
        let directory = TemporaryDirectory()
        var store = try open(directory.path)
        let value = String(repeating: "v", count: 4000)
        for number in 0..<60 { try store.put("pods/d/\(number)", value) }
        store.close()
        XCTAssertGreaterThan(directory.names("log-").count, 3)
        let second = LogFormat.segmentName(2)
        let bytes = directory.read(second)
        var damaged = bytes
        damaged[30_000] ^= 0x10
        directory.write(second, damaged)
        assertFails(HOSTD_ERROR_DATA_LOSS, naming: second) {
            try StateStore(directory: directory.path, options: smallOptions())
        }
        damaged = bytes
        damaged[3] ^= 1
        directory.write(second, damaged)
        assertFails(HOSTD_ERROR_DATA_LOSS, naming: "offset 0") {
            try StateStore(directory: directory.path, options: smallOptions())
        }
        unlink(directory.path + "/" + second)
        assertFails(HOSTD_ERROR_DATA_LOSS, naming: second) {
            try StateStore(directory: directory.path, options: smallOptions())
        }
        directory.write(second, bytes)
        store = try open(directory.path)
        XCTAssertEqual(try store.names().count, 60)
        store.close()
    }

    func testANewerFormatIsRefused() throws {
        let directory = TemporaryDirectory()
        try open(directory.path).close()
        var log = directory.read(LogFormat.segmentName(1))
        log[8] = UInt8(LogFormat.version) + 1
        directory.write(LogFormat.segmentName(1), log)
        assertFails(HOSTD_ERROR_VERSION, naming: "version \(LogFormat.version + 1)") {
            try StateStore(directory: directory.path, options: smallOptions())
        }
    }

    func testSnapshotReplacesOldLogAndSurvivesReopening() throws {
        let directory = TemporaryDirectory()
        let snapshots = Mutex(0)
        let change: (inout StateStoreOptions) -> Void = { options in
            options.historyCount = 20
            options.snapshotThreshold = 128 << 10
            options.log = { _, message, _ in if message.contains("snapshot written") { snapshots.withLock { $0 += 1 } }
            }
        }
        var store = try open(directory.path, change)
        let lease = try store.grantLease(timeToLive: 3_600_000)
        try store.create("leased//a", lease: lease)
        let value = String(repeating: "v", count: 2000)
        var written = 0
        while snapshots.withLock({ $0 }) < 3 && written < 20_000 {
            try store.put("pods/d/\(written % 40)", "\(written) \(value)")
            written += 1
        }
        XCTAssertGreaterThanOrEqual(snapshots.withLock { $0 }, 3)
        let names = try store.names()
        let last = try store.value("pods/d/\((written - 1) % 40)")
        for _ in 0..<3 {
            store.close()
            store = try open(directory.path, change)
            XCTAssertEqual(try store.names(), names)
            XCTAssertEqual(try store.value("pods/d/\((written - 1) % 40)"), last)
            try store.keepAlive(lease: lease)
            XCTAssertEqual(directory.names("snapshot-").count, 1)
            XCTAssertLessThan(directory.names("log-").count, 10)
            try store.put("nodes//x")
            try store.remove("nodes//x")
        }
        XCTAssertGreaterThan(try store.grantLease(timeToLive: 1000), lease)
        store.close()

        let name = directory.names("snapshot-")[0]
        let bytes = directory.read(name)
        for position in stride(from: 4096, to: bytes.count, by: bytes.count / 50) {
            var damaged = bytes
            damaged[position] ^= 0x80
            directory.write(name, damaged)
            assertFails(HOSTD_ERROR_DATA_LOSS, naming: name) {
                try StateStore(directory: directory.path, options: smallOptions())
            }
        }
        directory.write(name, Array(bytes.dropLast(30)))
        assertFails(HOSTD_ERROR_DATA_LOSS, naming: name) {
            try StateStore(directory: directory.path, options: smallOptions())
        }
        unlink(directory.path + "/" + name)
        assertFails(HOSTD_ERROR_DATA_LOSS, naming: "snapshot") {
            try StateStore(directory: directory.path, options: smallOptions())
        }
    }

    func testABackupIsAStore() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory.path + "/a")
        for number in 0..<300 { try store.put("pods/d/\(number)", "value \(number)") }
        try store.remove("pods/d/7")
        mkdir(directory.path + "/b", 0o700)
        let path = directory.path + "/b/" + LogFormat.snapshotName(301)
        let result = try store.backup(to: Glibc.open(path, O_CREAT | O_WRONLY, 0o600))
        XCTAssertEqual(result.revision, 301)
        let names = try store.names()
        store.close()
        let restored = try open(directory.path + "/b")
        defer { restored.close() }
        XCTAssertEqual(try restored.names(), names)
        XCTAssertEqual(try restored.put("pods/d/x"), 302)
        assertFails(HOSTD_ERROR_INTERNAL) { try restored.backup(to: -1) }
    }

    func testAFailedSynchronizationStopsAcknowledging() throws {
        let directory = TemporaryDirectory()
        let fails = Mutex(false)
        var store = try open(directory.path) { options in
            options.files.synchronize = { descriptor in
                if fails.withLock({ $0 }) {
                    errno = EIO
                    return -1
                }
                return fdatasync(descriptor)
            }
        }
        try store.put("pods/d/a", "safe")
        fails.withLock { $0 = true }
        assertFails(HOSTD_ERROR_UNAVAILABLE, naming: "fdatasync") { try store.put("pods/d/b") }
        fails.withLock { $0 = false }
        assertFails(HOSTD_ERROR_UNAVAILABLE, naming: "restart") { try store.put("pods/d/c") }
        XCTAssertEqual(try store.names(), ["pods/d/a"])
        XCTAssertTrue(store.status().contains("\"healthy\":false"))
        XCTAssertTrue(store.status().contains("fdatasync"))
        store.close()
        store = try open(directory.path)
        XCTAssertTrue(try store.names().contains("pods/d/a"))
        store.close()
    }

    func testAWriteThatFindsNoSpaceChangesNothingAndTheNextMaySucceed() throws {
        let directory = TemporaryDirectory()
        let isFull = Mutex(false)
        let store = try open(directory.path) { options in
            options.files.write = { descriptor, vectors, count, offset in
                guard isFull.withLock({ $0 }), vectors[0].holdsFrames else {
                    return pwritev(descriptor, vectors, count, offset)
                }
                // Part of the batch reaches the disk before it is full.
                var part = vectors[0]
                if part.iov_len > FrameHead.size { part.iov_len /= 2 }
                let written = pwritev(descriptor, &part, 1, offset)
                XCTAssertTrue(written == part.iov_len || errno == EINVAL, "or the disk has larger blocks")
                errno = ENOSPC
                return -1
            }
        }
        try store.put("pods/d/a", "1")
        isFull.withLock { $0 = true }
        for _ in 0..<3 {
            let error = assertFails(HOSTD_ERROR_NO_SPACE) { try store.put("pods/d/a", "2") }
            XCTAssertEqual(error?.isRetryable, true)
        }
        XCTAssertEqual(try store.value("pods/d/a").value, "1")
        isFull.withLock { $0 = false }
        XCTAssertEqual(try store.put("pods/d/a", "3"), 2)
        store.close()
        let again = try open(directory.path)
        defer { again.close() }
        XCTAssertEqual(try again.value("pods/d/a").value, "3")
        XCTAssertEqual(try again.value("pods/d/a", at: 1).value, "1")
    }

    func testARecycledSegmentsOldBytesAreNeitherReadNorTakenForDamage() throws {
        let directory = TemporaryDirectory()
        let change: (inout StateStoreOptions) -> Void = { options in
            options.historyCount = 5
            options.snapshotThreshold = 64 << 10
        }
        let value = String(repeating: "v", count: 3000)
        for round in 0..<12 {
            let store = try open(directory.path, change)
            if round > 0 { XCTAssertEqual(try store.value("pods/d/0").value, "\(round - 1) 0 \(value)") }
            for number in stride(from: 60, through: 0, by: -1) {
                try store.put("pods/d/\(number)", "\(round) \(number) \(value)")
            }
            XCTAssertEqual(try store.names().count, 61)
            store.close()
        }
    }
}
