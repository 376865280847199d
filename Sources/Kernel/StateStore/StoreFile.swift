import Glibc
import PluginAPI

/// A failed system call on a file of the store, as a sentence that says what to do.
func fileError(_ call: String, _ path: String, _ number: Int32) -> StoreError {
    switch number {
    case ENOSPC, EDQUOT:
        return StoreError(
            HOSTD_ERROR_NO_SPACE, "\(call) \(path): the disk is full; free some space, writes then go on by themselves",
            retryable: true, retryDelay: 1000)
    case EACCES, EPERM, EROFS:
        return StoreError(
            HOSTD_ERROR_FORBIDDEN, "\(call) \(path): \(errorText(number)); run hostd as the owner of the data directory"
        )
    default:
        return StoreError(
            HOSTD_ERROR_INTERNAL, "\(call) \(path): \(errorText(number)); check the disk and the system log")
    }
}

/// An open file descriptor, closed with its owner.
final class StoreFile: Sendable {
    let descriptor: Int32
    let path: String
    private let files: FileOperations

    init(_ path: String, flags: Int32, files: FileOperations) throws(StoreError) {
        self.files = files
        self.path = path
        descriptor = files.open(path, flags)
        if descriptor < 0 { throw fileError("open", path, errno) }
    }

    deinit { if descriptor >= 0 { files.close(descriptor) } }

    func size() throws(StoreError) -> Int {
        let size = files.size(descriptor)
        guard size >= 0 else { throw fileError("stat", path, errno) }
        return size
    }

    /// Reads up to `count` bytes from `offset` on; 0 at the end of the file.
    func read(into buffer: UnsafeMutableRawPointer, count: Int, at offset: Int) throws(StoreError) -> Int {
        while true {
            let found = files.read(descriptor, buffer, count, offset)
            if found >= 0 { return found }
            if errno != EINTR { throw fileError("read", path, errno) }
        }
    }

    /// Writes all of `vectors` from `offset` on.
    func write(_ vectors: inout [iovec], at offset: Int) throws(StoreError) {
        var first = 0
        var offset = offset
        while first < vectors.count {
            let count = Int32(min(vectors.count - first, 1024))
            var written = vectors.withUnsafeBufferPointer {
                files.write(descriptor, $0.baseAddress! + first, count, offset)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw fileError("write", path, errno)
            }
            if written == 0 { throw fileError("write", path, EIO) }
            offset += written
            while first < vectors.count && written >= vectors[first].iov_len {
                written -= vectors[first].iov_len
                first += 1
            }
            if written > 0 {
                vectors[first].iov_base += written
                vectors[first].iov_len -= written
            }
        }
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(StoreError) {
        try bytes.withUnsafeBufferPointer { bytes throws(StoreError) in
            try write(UnsafeRawBufferPointer(bytes), at: offset)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StoreError) {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        var vectors = [iovec(iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: bytes.count)]
        try write(&vectors, at: offset)
    }

    /// How blocks were written.
    enum BlockOutcome {
        case written(isDurable: Bool)
        /// The device does not take such blocks, or not a whole one; so many bytes were written before.
        case refused(after: Int)
    }

    /// Writes blocks with a descriptor that goes past the page cache, and makes them durable on the way when that is asked and
    /// possible.
    func writeBlocks(
        _ blocks: UnsafeRawBufferPointer, at offset: Int, durably: Bool
    ) throws(StoreError) -> BlockOutcome {
        var done = 0
        var durable = durably ? files.writeDurably : nil
        while done < blocks.count {
            var vector = iovec(
                iov_base: UnsafeMutableRawPointer(mutating: blocks.baseAddress! + done), iov_len: blocks.count - done)
            let written = (durable ?? files.write)(descriptor, &vector, 1, offset + done)
            if written < 0 {
                switch errno {
                case EINTR: continue
                case EINVAL: return .refused(after: done)
                case EOPNOTSUPP where durable != nil: durable = nil
                case let number: throw fileError("write", path, number)
                }
                continue
            }
            if written == 0 { throw fileError("write", path, EIO) }
            let next = (done + written) & ~511  // The smallest block of any device: what is beside it is written again.
            if next == done { return .refused(after: done) }
            done = next
        }
        return .written(isDurable: durable != nil)
    }

    func synchronize() throws(StoreError) {
        while files.synchronize(descriptor) != 0 {
            if errno != EINTR && !planted(.failedSyncRetried) { throw fileError("fdatasync", path, errno) }
        }
    }
}

/// A whole file mapped for reading. It is read through once before, because a bad block of the disk can be reported then;
/// in mapped memory it would be a signal.
final class MappedFile {
    let path: String
    let bytes: UnsafeRawBufferPointer

    private let unmap: @Sendable (UnsafeMutableRawPointer, Int) -> Void

    init(_ path: String, files: FileOperations) throws(StoreError) {
        let file = try StoreFile(path, flags: O_RDONLY, files: files)
        let size = try file.size()
        self.path = path
        unmap = files.unmap
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let memory = files.map(file.descriptor, size) else {
            throw fileError("map", path, errno)
        }
        bytes = UnsafeRawBufferPointer(start: memory, count: size)
        try Self.readThrough(file)
    }

    private static func readThrough(_ file: StoreFile) throws(StoreError) {
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        defer { scratch.deallocate() }
        var offset = 0
        while true {
            do throws(StoreError) {
                let count = try file.read(into: scratch, count: 256 << 10, at: offset)
                if count == 0 { return }
                offset += count
            } catch {
                throw StoreError(
                    HOSTD_ERROR_DATA_LOSS,
                    "\(file.path) cannot be read at offset \(offset): \(errorText(errno)); repair the disk, or \(StoreRemedy.restore(file.path))"
                )
            }
        }
    }

    deinit {
        if let base = bytes.baseAddress { unmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }
}

/// The directory of a store: made when missing, locked against a second process.
final class StoreDirectory: Sendable {
    let path: String
    let files: FileOperations
    private let lock: StoreFile

    init(_ path: String, files: FileOperations = .system) throws(StoreError) {
        self.path = path
        self.files = files
        try Self.make(path, files)
        lock = try StoreFile(path + "/LOCK", flags: O_RDWR | O_CREAT, files: files)
        guard files.lock(lock.descriptor) == 0 else {
            throw StoreError(
                HOSTD_ERROR_WRONG_STATE,
                "the store \(path) is in use by \(Self.holder(of: lock)); stop it or choose another data directory")
        }
        do throws(StoreError) {
            if files.truncate(lock.descriptor, 0) == 0 { try lock.write(Array("\(files.process())\n".utf8), at: 0) }
        } catch {
            // A full disk must not keep the store from being read: the number only serves a message.
            return
        }
    }

    private static func holder(of lock: StoreFile) -> String {
        var text = [UInt8](repeating: 0, count: 32)
        let size = (try? text.withUnsafeMutableBytes { try lock.read(into: $0.baseAddress!, count: 32, at: 0) }) ?? 0
        let number = String(decoding: text.prefix(size).prefix { $0 >= 48 && $0 <= 57 }, as: UTF8.self)
        return number.isEmpty ? "another process" : "process \(number)"
    }

    private static func make(_ path: String, _ files: FileOperations) throws(StoreError) {
        if files.makeDirectory(path) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw fileError("create directory", path, errno)
        }
        try make(String(path[..<slash]), files)
        guard files.makeDirectory(path) == 0 || errno == EEXIST else {
            throw fileError("create directory", path, errno)
        }
    }

    /// Lets another process have the directory.
    func unlock() { files.unlock(lock.descriptor) }

    /// The names in it, sorted.
    func names() throws(StoreError) -> [String] {
        guard let names = files.names(path) else { throw fileError("list", path, errno) }
        return names.sorted()
    }

    func file(_ name: String) -> String { path + "/" + name }

    /// Opens the file `name`.
    func open(_ name: String, flags: Int32) throws(StoreError) -> StoreFile {
        try StoreFile(file(name), flags: flags, files: files)
    }

    /// Renames a file; the new name is durable on return.
    func rename(_ from: String, to: String) throws(StoreError) {
        guard files.rename(file(from), file(to)) == 0 else { throw fileError("rename", file(from), errno) }
        if !planted(.directoryNotSynchronized) { try synchronize() }
    }

    func remove(_ name: String) throws(StoreError) {
        guard files.remove(file(name)) == 0 || errno == ENOENT else { throw fileError("remove", file(name), errno) }
    }

    /// Makes changes of names durable.
    func synchronize() throws(StoreError) {
        guard files.synchronizeDirectory(path) == 0 else { throw fileError("fsync", path, errno) }
    }

    /// Makes the directory's own name durable.
    func synchronizeName() throws(StoreError) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard files.synchronizeDirectory(parent) == 0 else { throw fileError("fsync", parent, errno) }
    }

    /// Bytes that may still be written on this file system.
    func freeSpace() throws(StoreError) -> Int {
        let bytes = files.freeSpace(path)
        guard bytes >= 0 else { throw fileError("statvfs", path, errno) }
        return bytes
    }
}
