import Glibc
import PluginAPI

/// Small files that are whole or absent: written beside their place, synced, renamed, and the directory synced.
public enum AtomicFile {
    /// Replaces the file at `path`. With `isDurable` it survives power loss once this returns; without, only a crash of
    /// the process. The old content stays when this throws.
    public static func write(
        _ bytes: [UInt8], to path: String, mode: mode_t = 0o600, isDurable: Bool = true
    ) throws(PluginError) {
        let temporary = "\(path).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        if descriptor < 0 { throw .system("create", temporary, errno: errno) }
        do throws(PluginError) {
            try writeAll(bytes, to: descriptor, path: temporary)
            if isDurable, fdatasync(descriptor) != 0 { throw PluginError.system("sync", temporary, errno: errno) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        close(descriptor)
        if rename(temporary, path) != 0 {
            let code = errno
            unlink(temporary)
            throw .system("replace", path, errno: code)
        }
        if isDurable { try syncDirectory(of: path) }
    }

    /// The content of a file.
    /// - Parameter limit: a larger file is refused.
    public static func read(_ path: String, limit: Int = 16 << 20) throws(PluginError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw .system("open", path, errno: errno) }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("read", path, errno: errno)
            }
            if count == 0 { return content }
            content += chunk[0..<count]
            if content.count > limit { throw .exhausted("\(path) is larger than \(limit) bytes") }
        }
    }

    /// Makes a directory and those above it.
    public static func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(PluginError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw .system("make the directory", path, errno: errno)
        }
        try makeDirectory(String(path[..<slash]), mode: mode)
        if mkdir(path, mode) != 0, errno != EEXIST { throw .system("make the directory", path, errno: errno) }
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(PluginError) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("write", path, errno: errno)
            }
            offset += count
        }
    }

    private static func syncDirectory(of path: String) throws(PluginError) {
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = open(directory.isEmpty ? "/" : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { throw .system("open", directory, errno: errno) }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw .system("sync", directory, errno: errno) }
    }
}
