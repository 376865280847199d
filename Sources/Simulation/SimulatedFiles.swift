import Glibc
import Kernel

/// The store's file operations on a simulated disk: each takes virtual time, in which other threads run, and leaves its
/// mark in the trace.
struct SimulatedFiles: @unchecked Sendable {  // Only the thread that has the turn touches it.
    let disk: SimulatedDisk
    let scheduler: Scheduler
    /// Nanoseconds of a synchronization, at most.
    var longestSync = 4_000_000

    private func spend(_ name: String, _ path: String, _ nanoseconds: Int, _ numbers: UInt64...) {
        var mark: UInt64 = UInt64(path.utf8.count)
        for number in numbers { mark = mark &* 31 &+ number }
        scheduler.note("\(name) \(path) \(numbers)", mark)
        scheduler.sleep(nanoseconds: 1000 + scheduler.random() % UInt64(nanoseconds))
    }

    var operations: FileOperations {
        let disk = Shared(disk)
        var files = FileOperations.system
        files.open = { path, flags in
            spend("open", path, 20_000)
            return disk.value.open(path, flags: flags)
        }
        files.close = { disk.value.close($0) }
        files.size = { disk.value.size($0) }
        files.read = { descriptor, buffer, count, offset in
            spend("read", disk.value.path(descriptor), 100_000, UInt64(offset))
            return disk.value.read(descriptor, buffer, count, offset)
        }
        files.write = { descriptor, vectors, count, offset in
            var bytes: [UInt8] = []
            for vector in UnsafeBufferPointer(start: vectors, count: Int(count)) {
                bytes.append(contentsOf: UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len))
            }
            let path = disk.value.path(descriptor)
            let sum = bytes.reduce(UInt64(bytes.count)) { $0 &* 31 &+ UInt64($1) }
            spend("write", path, 40_000, UInt64(offset), sum)
            return disk.value.write(descriptor, bytes, offset)
        }
        let synchronize: @Sendable (Int32) -> Int32 = { descriptor in
            spend("synchronize", disk.value.path(descriptor), longestSync)
            return disk.value.synchronize(descriptor)
        }
        files.synchronize = synchronize
        if disk.value.character.writesDurably {
            let write = files.write
            files.writeDurably = { descriptor, vectors, count, offset in
                let written = write(descriptor, vectors, count, offset)
                guard written > 0 else { return written }
                spend("make durable", disk.value.path(descriptor), longestSync)
                return disk.value.makeDurable(descriptor, offset..<offset + written) == 0 ? written : -1
            }
        }
        files.append = { descriptor, bytes, count in
            spend("append", disk.value.path(descriptor), 40_000, UInt64(count))
            return disk.value.append(descriptor, Array(UnsafeRawBufferPointer(start: bytes, count: count)))
        }
        files.truncate = { disk.value.truncate($0, $1) }
        files.allocate = { descriptor, size in
            spend("allocate", disk.value.path(descriptor), 40_000, UInt64(size))
            return disk.value.allocate(descriptor, size)
        }
        files.map = { disk.value.map($0, $1) }
        files.unmap = { memory, _ in memory.deallocate() }
        files.lock = { disk.value.lock($0) }
        files.unlock = { disk.value.unlock($0) }
        files.rename = { from, to in
            spend("rename", to, 40_000)
            return disk.value.rename(from, to)
        }
        files.remove = { path in
            spend("remove", path, 40_000)
            return disk.value.remove(path)
        }
        files.makeDirectory = { disk.value.makeDirectory($0) }
        files.names = { disk.value.names(in: $0) }
        files.synchronizeDirectory = { path in
            spend("synchronize", path, longestSync)
            return disk.value.synchronizeDirectory(path)
        }
        files.process = { 1 }
        files.freeSpace = { _ in disk.value.free }
        return files
    }
}

/// A value that closures of one scheduler share.
final class Shared<Value>: @unchecked Sendable {  // Only the thread that has the turn touches it.
    var value: Value
    init(_ value: Value) { self.value = value }
}
