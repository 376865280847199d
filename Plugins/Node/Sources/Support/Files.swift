import Glibc

/// File operations that the node needs, each with an error that names the path.
enum Files {
    /// Reads a file of at most `limit` bytes; nil when it does not exist.
    static func read(_ path: String, limit: Int = 64 << 20) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw SystemError("open", path)
        }
        defer { close(descriptor) }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while result.count < limit {
            let count = try SystemError.check("read", path) { Glibc.read(descriptor, &chunk, chunk.count) }
            if count == 0 { break }
            result += chunk[..<count]
        }
        return result
    }

    /// The text of a file; empty when it does not exist.
    static func text(_ path: String) throws -> String { String(decoding: try read(path) ?? [], as: UTF8.self) }

    /// Creates or truncates a file and writes all of `bytes`; the mode is set whatever the umask.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
        let descriptor = try SystemError.check("open", path) { open(path, flags, mode) }
        defer { close(descriptor) }
        try writeAll(bytes, to: descriptor, path: path)
        try SystemError.check("chmod", path) { fchmod(descriptor, mode) }
    }

    static func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
        var offset = 0
        try bytes.withUnsafeBytes { buffer in
            while offset < buffer.count {
                offset += try SystemError.check("write", path) {
                    Glibc.write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
                }
            }
        }
    }

    /// Replaces a file in one step: readers see the old or the new content, never a part.
    static func replace(_ path: String, with bytes: [UInt8], mode: mode_t) throws {
        let temporary = path + ".new"
        try write(bytes, to: temporary, mode: mode)
        try SystemError.check("rename", path) { rename(temporary, path) }
    }

    /// Makes a directory and what is missing above it.
    static func makeDirectories(_ path: String, mode: mode_t = 0o755) throws {
        if mkdir(path, mode) == 0 { return }
        switch errno {
        case EEXIST: return
        case ENOENT:
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw SystemError("mkdir", path, code: ENOENT)
            }
            try makeDirectories(String(path[..<slash]))
            if mkdir(path, mode) != 0, errno != EEXIST { throw SystemError("mkdir", path) }
        default: throw SystemError("mkdir", path)
        }
    }

    /// Names in a directory, without "." and ".."; empty when it does not exist.
    static func list(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else {
            if errno == ENOENT || errno == ENOTDIR { return [] }
            throw SystemError("opendir", path)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    static func status(_ path: String, follow: Bool = true) throws -> stat? {
        var information = stat()
        if (follow ? stat(path, &information) : lstat(path, &information)) == 0 { return information }
        if errno == ENOENT || errno == ENOTDIR { return nil }
        throw SystemError("stat", path)
    }

    static func isDirectory(_ information: stat) -> Bool { information.st_mode & S_IFMT == S_IFDIR }
}
