import BenchmarkReport
import CGroupCommit
import Glibc

/// What the disk gives to one thread that appends batches of some size to a file and waits for each with fdatasync. The
/// file is written with zeros in advance, as the store's segments are, and begun anew at its end.
struct BareLog {
    private static let size = 64 << 20

    private let file: Int32

    init(_ path: String) {
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if file < 0 { fail("\(path): \(String(cString: strerror(errno)))") }
        unlink(path)
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for position in 0..<Self.size >> 20 {
            if pwrite(file, zeros, zeros.count, position << 20) != zeros.count { fail("\(path): the disk is full") }
        }
        if fdatasync(file) != 0 { fail("fdatasync \(path)") }
    }

    func end() { close(file) }

    /// Records per second that so many threads get to disk when each hands its record to one thread that appends, waits with
    /// fdatasync for all that it found, and wakes their writers; and how many shared a batch.
    func run(writers: Int, record size: Int, seconds: Double) -> (perSecond: Double, inBatch: Double) {
        var load = group_commit(
            file: file, file_size: UInt64(Self.size), writers: UInt32(writers), record_size: UInt32(size),
            nanoseconds: UInt64(seconds * 1e9))
        var result = group_commit_result()
        let start = now()
        let error = group_commit_run(&load, &result)
        if error != 0 { fail("the bare group commit: \(String(cString: strerror(error)))") }
        return (
            Double(result.records) / (Double(now() - start) / 1e9),
            Double(result.records) / Double(max(1, result.batches))
        )
    }

    /// Batches per second.
    func run(batch size: Int, seconds: Double) -> Double {
        let bytes = [UInt8](repeating: 0x61, count: size)
        var offset = 0
        var count = 0
        let start = now()
        let end = start + UInt64(seconds * 1e9)
        while now() < end {
            if offset + size > Self.size { offset = 0 }
            if pwrite(file, bytes, size, offset) != size || fdatasync(file) != 0 {
                fail("the bare log cannot be written")
            }
            offset += size
            count += 1
        }
        return Double(count) / (Double(now() - start) / 1e9)
    }
}
