import CStateStore
import Glibc

/// Every system call of the store on files, behind functions: a test replaces one to make it fail, the simulation all of
/// them to have a disk of its own. Results and `errno` are those of the calls; a copy of this value is independent.
package struct FileOperations: Sendable {
    /// Opens or, with `O_CREAT`, makes a file that only its owner may read. Negative on failure.
    package var open: @Sendable (_ path: String, _ flags: Int32) -> Int32 = { Glibc.open($0, $1 | O_CLOEXEC, 0o600) }
    package var close: @Sendable (_ descriptor: Int32) -> Void = { _ = Glibc.close($0) }
    /// The size of a file in bytes, negative on failure.
    package var size: @Sendable (_ descriptor: Int32) -> Int = { descriptor in
        var information = stat()
        return fstat(descriptor, &information) == 0 ? Int(information.st_size) : -1
    }
    package var read:
        @Sendable (_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int, _ offset: Int) -> Int =
            { pread($0, $1, $2, $3) }
    package var write:
        @Sendable (_ descriptor: Int32, _ vectors: UnsafePointer<iovec>, _ count: Int32, _ offset: Int) -> Int =
            { pwritev($0, $1, $2, $3) }
    {
        didSet { writeDurably = nil }
    }
    /// Writes, and makes durable what it wrote: one wait of the caller in place of two, and one command to the disk where it has one
    /// that does both. Nil where `write` and `synchronize` are to do it, as after either is replaced.
    package var writeDurably:
        (@Sendable (_ descriptor: Int32, _ vectors: UnsafePointer<iovec>, _ count: Int32, _ offset: Int) -> Int)? =
            { store_write_durably($0, $1, $2, $3) }
    /// Writes where the last such write of the descriptor ended; pipes take it too.
    package var append: @Sendable (_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int = {
        Glibc.write($0, $1, $2)
    }
    package var truncate: @Sendable (_ descriptor: Int32, _ size: Int) -> Int32 = { ftruncate($0, $1) }
    /// Reserves blocks, as `posix_fallocate`: the error number is the result.
    package var allocate: @Sendable (_ descriptor: Int32, _ size: Int) -> Int32 = { posix_fallocate($0, 0, $1) }
    /// Makes a file's bytes durable, not its name.
    package var synchronize: @Sendable (_ descriptor: Int32) -> Int32 = { fdatasync($0) } {
        didSet { writeDurably = nil }
    }
    /// Maps the first `size` bytes for reading; nil on failure.
    package var map: @Sendable (_ descriptor: Int32, _ size: Int) -> UnsafeMutableRawPointer? = {
        let memory = mmap(nil, $1, PROT_READ, MAP_PRIVATE, $0, 0)
        return memory == MAP_FAILED ? nil : memory
    }
    package var unmap: @Sendable (_ memory: UnsafeMutableRawPointer, _ size: Int) -> Void = { munmap($0, $1) }
    /// Takes the one lock of a file without waiting, as `flock`.
    package var lock: @Sendable (_ descriptor: Int32) -> Int32 = { flock($0, LOCK_EX | LOCK_NB) }
    package var unlock: @Sendable (_ descriptor: Int32) -> Void = { _ = flock($0, LOCK_UN) }

    /// Replaces what `to` names, in one step.
    package var rename: @Sendable (_ from: String, _ to: String) -> Int32 = { Glibc.rename($0, $1) }
    package var remove: @Sendable (_ path: String) -> Int32 = { unlink($0) }
    package var makeDirectory: @Sendable (_ path: String) -> Int32 = { mkdir($0, 0o700) }
    /// The names in a directory, in any order; nil on failure.
    package var names: @Sendable (_ directory: String) -> [String]? = { path in
        guard let stream = opendir(path) else { return nil }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
    /// Makes the changes of a directory's names durable.
    package var synchronizeDirectory: @Sendable (_ path: String) -> Int32 = { path in
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return -1 }
        let result = fsync(descriptor)
        let number = errno
        Glibc.close(descriptor)
        errno = number
        return result
    }
    /// Bytes that may still be written on the file system of a directory, negative on failure.
    package var freeSpace: @Sendable (_ directory: String) -> Int = { path in
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return -1 }
        return Int(clamping: UInt64(information.f_bavail) * UInt64(information.f_frsize))
    }

    /// The number of this process, which the lock's file tells to others.
    package var process: @Sendable () -> Int32 = { getpid() }

    /// In the flags of `open`: reads and writes go past the page cache, and where they begin and how long they are is a whole
    /// number of the disk's blocks, or EINVAL is the answer.
    package static let direct = store_open_direct

    /// The system's own calls.
    package static let system = FileOperations()
}
