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

    init(_ path: String, flags: Int32) throws(StoreError) {
        descriptor = open(path, flags | O_CLOEXEC, 0o600)
        self.path = path
        if descriptor < 0 { throw fileError("open", path, errno) }
    }

    deinit { close(descriptor) }

    func size() throws(StoreError) -> Int {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw fileError("stat", path, errno) }
        return Int(information.st_size)
    }

    /// Writes all of `vectors` from `offset` on.
    func write(_ vectors: inout [iovec], at offset: Int, with files: FileOperations) throws(StoreError) {
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

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, with files: FileOperations) throws(StoreError) {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        var vectors = [iovec(iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: bytes.count)]
        try write(&vectors, at: offset, with: files)
    }

    /// Writes zeros over a range, a megabyte at a time.
    func erase(from start: Int, to end: Int, with files: FileOperations) throws(StoreError) {
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        defer { zeros.deallocate() }
        var offset = start
        while offset < end {
            let size = min(zeros.count, end - offset)
            try write(UnsafeRawBufferPointer(rebasing: zeros[..<size]), at: offset, with: files)
            offset += size
        }
    }

    func synchronize(with files: FileOperations) throws(StoreError) {
        while files.synchronize(descriptor) != 0 {
            if errno != EINTR { throw fileError("fdatasync", path, errno) }
        }
    }
}

/// A whole file mapped for reading. It is read through once before, because a bad block of the disk can be reported then;
/// in mapped memory it would be a signal.
final class MappedFile {
    let path: String
    let bytes: UnsafeRawBufferPointer

    init(_ path: String) throws(StoreError) {
        let file = try StoreFile(path, flags: O_RDONLY)
        let size = try file.size()
        self.path = path
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.descriptor, 0), memory != MAP_FAILED else {
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
            let count = pread(file.descriptor, scratch, 256 << 10, offset)
            if count == 0 { return }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                throw StoreError(
                    HOSTD_ERROR_DATA_LOSS,
                    "\(file.path) cannot be read at offset \(offset): \(errorText(errno)); repair the disk or restore a backup"
                )
            }
            offset += count
        }
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }
}

/// The directory of a store: made when missing, locked against a second process.
final class StoreDirectory: Sendable {
    let path: String
    private let lock: StoreFile

    init(_ path: String) throws(StoreError) {
        self.path = path
        try Self.make(path)
        lock = try StoreFile(path + "/LOCK", flags: O_RDWR | O_CREAT)
        guard flock(lock.descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw StoreError(
                HOSTD_ERROR_WRONG_STATE,
                "the store \(path) is in use by \(Self.holder(of: lock)); stop it or choose another data directory")
        }
        let identity = Array("\(getpid())\n".utf8)
        guard ftruncate(lock.descriptor, 0) == 0, pwrite(lock.descriptor, identity, identity.count, 0) == identity.count
        else {
            // A full disk must not keep the store from being read: the number only serves a message.
            return
        }
    }

    private static func holder(of lock: StoreFile) -> String {
        var text = [UInt8](repeating: 0, count: 32)
        let size = pread(lock.descriptor, &text, text.count, 0)
        let number = String(decoding: text.prefix(max(0, size)).prefix { $0 >= 48 && $0 <= 57 }, as: UTF8.self)
        return number.isEmpty ? "another process" : "process \(number)"
    }

    private static func make(_ path: String) throws(StoreError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw fileError("create directory", path, errno)
        }
        try make(String(path[..<slash]))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw fileError("create directory", path, errno) }
    }

    /// Lets another process have the directory.
    func unlock() { flock(lock.descriptor, LOCK_UN) }

    func names() throws(StoreError) -> [String] {
        guard let stream = opendir(path) else { throw fileError("list", path, errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func file(_ name: String) -> String { path + "/" + name }

    func rename(_ from: String, to: String) throws(StoreError) {
        guard Glibc.rename(file(from), file(to)) == 0 else { throw fileError("rename", file(from), errno) }
        try synchronize()
    }

    func remove(_ name: String) throws(StoreError) {
        guard unlink(file(name)) == 0 || errno == ENOENT else { throw fileError("remove", file(name), errno) }
    }

    /// Makes changes of names durable.
    func synchronize() throws(StoreError) {
        let directory = try StoreFile(path, flags: O_RDONLY | O_DIRECTORY)
        guard fsync(directory.descriptor) == 0 else { throw fileError("fsync", path, errno) }
    }

    /// Bytes that may still be written on this file system.
    func freeSpace() throws(StoreError) -> Int {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { throw fileError("statvfs", path, errno) }
        return Int(clamping: UInt64(information.f_bavail) * UInt64(information.f_frsize))
    }
}
