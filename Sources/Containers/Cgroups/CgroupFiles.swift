import Glibc
import PluginKit

/// The cgroup file systems as the driver uses them; tests put a recording in their place.
package protocol CgroupFiles: Sendable {
    /// Makes one directory; one that exists already is success.
    func makeDirectory(_ path: String) throws(PluginError)
    /// Removes one directory; false when it is busy, true also when it is gone already.
    func removeDirectory(_ path: String) throws(PluginError) -> Bool
    /// The content, nil when there is no such file.
    func read(_ path: String) throws(PluginError) -> String?
    func write(_ path: String, _ text: String) throws(PluginError)
    func directories(in path: String) throws(PluginError) -> [String]
    func exists(_ path: String) -> Bool
    /// Waits until no process is left in a v2 cgroup, at most so many milliseconds.
    func waitUntilEmpty(eventsFile: String, milliseconds: Int32)
}

/// The kernel's.
package struct KernelCgroupFiles: CgroupFiles {
    package func makeDirectory(_ path: String) throws(PluginError) {
        if mkdir(path, 0o755) != 0, errno != EEXIST { throw .system("make the cgroup", path, errno: errno) }
    }

    package func removeDirectory(_ path: String) throws(PluginError) -> Bool {
        if rmdir(path) == 0 || errno == ENOENT { return true }
        if errno == EBUSY { return false }
        throw .system("remove the cgroup", path, errno: errno)
    }

    package func read(_ path: String) throws(PluginError) -> String? { try readSmallFile(path) }

    package func write(_ path: String, _ text: String) throws(PluginError) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        if descriptor < 0 { throw .system("open", path, errno: errno) }
        defer { close(descriptor) }
        var text = text
        let (written, code) = text.withUTF8 { bytes in (Glibc.write(descriptor, bytes.baseAddress, bytes.count), errno)
        }
        if written < 0 { throw .system("write \"\(text)\" to", path, errno: code) }
    }

    package func directories(in path: String) throws(PluginError) -> [String] {
        var status = stat()
        return try FileTree.names(in: path).filter { name in
            lstat("\(path)/\(name)", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        }
    }

    package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package func waitUntilEmpty(eventsFile: String, milliseconds: Int32) {
        let descriptor = open(eventsFile, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { return }
        defer { close(descriptor) }
        let end = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        var text = [UInt8](repeating: 0, count: 256)
        while true {
            // kernfs raises POLLPRI when the file changes after it was read.
            let count = pread(descriptor, &text, text.count, 0)
            if count <= 0 || String(decoding: text[0..<count], as: UTF8.self).contains("populated 0") { return }
            let now = monotonicNanoseconds()
            if now >= end { return }
            var polled = pollfd(fd: descriptor, events: Int16(POLLPRI), revents: 0)
            poll(&polled, 1, Int32((end - now) / 1_000_000) + 1)
        }
    }
}
