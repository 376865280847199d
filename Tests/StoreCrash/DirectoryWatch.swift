import Glibc

/// The names that come into being in a directory (inotify), so that a kill can be aimed at what a process does with files.
final class DirectoryWatch {
    let descriptor: Int32
    private var names: [String] = []

    /// nil when the directory cannot be watched, such as when it is not there yet.
    init?(_ path: String) {
        descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { return nil }
        guard inotify_add_watch(descriptor, path, UInt32(IN_CREATE | IN_MOVED_TO)) >= 0 else {
            close(descriptor)
            return nil
        }
    }

    deinit { close(descriptor) }

    /// Whether such a name has come since the last call that said so.
    func appeared(prefix: String, suffix: String) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while case let count = read(descriptor, &buffer, buffer.count), count > 0 {
            var offset = 0
            while offset + 16 <= count {
                let size = buffer.withUnsafeBytes {
                    Int($0.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
                }
                let name = buffer[(offset + 16)..<(offset + 16 + size)].prefix { $0 != 0 }
                names.append(String(decoding: name, as: UTF8.self))
                offset += 16 + size
            }
        }
        let found = names.contains { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }
        names.removeAll()
        return found
    }
}
