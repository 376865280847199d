import CStateStore
import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class LogFileTests: XCTestCase {
    private static let size = 2 << 20

    /// How the disk under a log file behaves.
    private struct Disk {
        var reason: String
        var open: @Sendable (_ flags: Int32) -> Int32? = { _ in nil }
        /// What a write gives instead of being done whole: an error number, or how many bytes it takes.
        var write: @Sendable (_ call: Int, _ isDirect: Bool) -> (error: Int32, limit: Int) = { _, _ in (0, .max) }
    }

    private static let disks = [
        Disk(reason: "as it is"),
        Disk(reason: "no direct access", open: { $0 & FileOperations.direct != 0 ? EINVAL : nil }),
        Disk(reason: "other blocks than ours", write: { _, isDirect in (isDirect ? EINVAL : 0, .max) }),
        Disk(
            reason: "other blocks, seen late", write: { call, isDirect in (isDirect && call > 20 ? EINVAL : 0, .max) }),
        Disk(reason: "interrupted", write: { call, _ in (call % 3 == 0 ? EINTR : 0, .max) }),
        Disk(reason: "short by blocks", write: { call, _ in (0, call % 3 == 0 ? .max : 512) }),
    ]

    private func files(_ disk: Disk) -> FileOperations {
        var files = FileOperations.system
        let calls = Mutex(0)
        let directs = Mutex<Set<Int32>>([])
        files.open = { path, flags in
            if let number = disk.open(flags) {
                errno = number
                return -1
            }
            let descriptor = FileOperations.system.open(path, flags)
            let isDirect = flags & FileOperations.direct != 0
            directs.withLock { if isDirect { $0.insert(descriptor) } else { $0.remove(descriptor) } }
            return descriptor
        }
        files.write = { descriptor, vectors, count, offset in
            let isDirect = directs.withLock { $0.contains(descriptor) }
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            let (error, limit) = disk.write(call, isDirect)
            if error != 0 {
                errno = error
                return -1
            }
            guard limit < vectors[0].iov_len else { return pwritev(descriptor, vectors, count, offset) }
            var part = iovec(iov_base: vectors[0].iov_base, iov_len: limit)
            return pwritev(descriptor, &part, 1, offset)
        }
        return files
    }

    /// Appends of all sizes, one behind the other, leave what they say and zeros behind it, whatever the disk does.
    func testAppendsLeaveWhatTheySay() throws {
        for disk in Self.disks {
            let scratch = TemporaryDirectory()
            let directory = try StoreDirectory(scratch.path, files: files(disk))
            defer { directory.unlock() }
            var file = try make(Self.size, in: directory)
            try file.erase(from: 0, to: Self.size)
            var model = [UInt8](repeating: 0, count: Self.size)
            var end = 4096
            for (round, size) in [100, 40, 4096, 3860, 8192, 1, 7, 300_000, 64, 262_144, 5000, 4095, 1].enumerated() {
                if round % 4 == 3 { file = try LogFile("log", size: Self.size, in: directory) }  // As after a restart.
                var first = (0..<size / 3).map { UInt8(truncatingIfNeeded: $0 &+ round &* 7 | 1) }
                var second = (0..<size - size / 3).map { UInt8(truncatingIfNeeded: $0 &* 3 &+ round | 1) }
                try append(&first, &second, to: file, at: end)
                try file.synchronize()
                model.replaceSubrange(end..<end + size, with: first + second)
                end += size
            }
            try file.erase(from: end - 5, to: end + 10)
            model.replaceSubrange(end - 5..<end, with: repeatElement(0, count: 5))
            var last: [UInt8] = [1, 2, 3]
            var none: [UInt8] = []
            try append(&last, &none, to: file, at: end - 5)
            model.replaceSubrange(end - 5..<end - 2, with: last)
            XCTAssertTrue(try bytes(scratch.path + "/log") == model, disk.reason)
        }
    }

    /// Whether a write was durable is said as the system says it, and what cannot be is written all the same.
    func testWhatIsDurableOnTheWay() throws {
        let rows: [(reason: String, errors: [Int32], isDurable: Bool)] = [
            ("as it is", [], true), ("interrupted", [EINTR, EINTR], true), ("no such calls", [EOPNOTSUPP], false),
            ("other blocks than ours", [EINVAL], false),
        ]
        for row in rows {
            let scratch = TemporaryDirectory()
            let errors = Mutex(row.errors)
            var files = FileOperations.system
            files.writeDurably = { descriptor, vectors, count, offset in
                guard let number = errors.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else {
                    return store_write_durably(descriptor, vectors, count, offset)
                }
                errno = number
                return -1
            }
            let directory = try StoreDirectory(scratch.path, files: files)
            defer { directory.unlock() }
            let file = try make(Self.size, in: directory)
            var bytes = [UInt8](repeating: 9, count: 5000)
            try bytes.withUnsafeMutableBytes { bytes in
                var vectors = [iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)]
                XCTAssertFalse(try file.append(&vectors, at: 4096), "it was not asked for")
                XCTAssertTrue(errors.withLock { $0 } == row.errors)
                vectors = [iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)]
                XCTAssertEqual(try file.append(&vectors, at: 9096, durably: true), row.isDurable, row.reason)
            }
            XCTAssertEqual(Array(try self.bytes(scratch.path + "/log")[4096..<14_096]), bytes + bytes, row.reason)
        }
    }

    /// A store that replaces what writes or synchronizes has no other way to do it.
    func testReplacedCallsAreTheOnlyOnes() {
        var files = FileOperations.system
        XCTAssertNotNil(files.writeDurably)
        files.write = { _, _, _, _ in -1 }
        XCTAssertNil(files.writeDurably)
        files = .system
        files.synchronize = { _ in -1 }
        XCTAssertNil(files.writeDurably)
    }

    /// The last block of a file whose size is no multiple of a block is not written past its end.
    func testTheFileKeepsItsSize() throws {
        let scratch = TemporaryDirectory()
        let directory = try StoreDirectory(scratch.path)
        defer { directory.unlock() }
        let file = try make(10_000, in: directory)
        var first = [UInt8](repeating: 7, count: 1000)
        var second = [UInt8](repeating: 8, count: 900)
        try append(&first, &second, to: file, at: 8000)
        let found = try bytes(scratch.path + "/log")
        XCTAssertEqual(found.count, 10_000)
        XCTAssertEqual(Array(found[8000..<9900]), first + second)
    }

    /// After an append that failed, the next one at the same place has what stood before it.
    func testAnAppendAfterOneThatFailed() throws {
        let scratch = TemporaryDirectory()
        let isFull = Mutex(false)
        var files = FileOperations.system
        files.write = { descriptor, vectors, count, offset in
            guard isFull.withLock({ $0 }) else { return pwritev(descriptor, vectors, count, offset) }
            errno = ENOSPC
            return -1
        }
        let directory = try StoreDirectory(scratch.path, files: files)
        defer { directory.unlock() }
        let file = try make(Self.size, in: directory)
        var first = [UInt8](repeating: 1, count: 5000)
        var none: [UInt8] = []
        var second = [UInt8](repeating: 2, count: 9000)
        try append(&first, &none, to: file, at: 4096)
        isFull.withLock { $0 = true }
        XCTAssertThrowsError(try append(&second, &none, to: file, at: 9096)) {
            XCTAssertEqual(($0 as? StoreError)?.code, HOSTD_ERROR_NO_SPACE)
        }
        isFull.withLock { $0 = false }
        try append(&second, &none, to: file, at: 9096)
        XCTAssertEqual(Array(try bytes(scratch.path + "/log")[4096..<18_096]), first + second)
    }

    /// A file of zeros.
    private func make(_ size: Int, in directory: StoreDirectory) throws -> LogFile {
        _ = try directory.open("log", flags: O_RDWR | O_CREAT)
        XCTAssertEqual(truncate(directory.file("log"), size), 0)
        return try LogFile("log", size: size, in: directory)
    }

    private func append(_ first: inout [UInt8], _ second: inout [UInt8], to file: LogFile, at offset: Int) throws {
        try first.withUnsafeMutableBytes { first in
            try second.withUnsafeMutableBytes { second in
                var vectors = [first, second].map { iovec(iov_base: $0.baseAddress, iov_len: $0.count) }
                _ = try file.append(&vectors, at: offset)
            }
        }
    }

    private func bytes(_ path: String) throws -> [UInt8] {
        let file = try MappedFile(path, files: .system)
        return Array(file.bytes)
    }
}
