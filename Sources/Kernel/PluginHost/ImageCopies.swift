import Glibc
import Synchronization

/// Which file to open for a library that may have been opened before. The dynamic loader goes by name: a name that it
/// knows is the mapping that it has, whatever the file holds by now. Content that is new under a known name is therefore
/// opened under another one, as a copy, in a place that no plugin writes to.
enum ImageCopies {
    /// Files that this process has opened, and what they were then.
    private static let opened = Mutex<[String: FileIdentity]>([:])

    /// The last copy of each, and what it is a copy of.
    private static let copies = Mutex<[String: (of: FileIdentity, path: String)]>([:])

    /// The path to open in place of `path`. `directory`: for copies of the plugin's; nil before there is one.
    static func path(for path: String, directory: String?) throws(PluginFailure) -> String {
        guard let identity = FileIdentity(path: path) else { return path }  // Opening it says why.
        let known = opened.withLock { opened -> FileIdentity? in
            if opened[path] == nil { opened[path] = identity }
            return opened[path]
        }
        guard let directory, let known, known != identity else { return path }
        if let copy = copies.withLock({ $0[path] }), copy.of == identity, access(copy.path, R_OK) == 0 {
            return copy.path
        }
        let made = try copy(of: path, to: directory)
        copies.withLock { $0[path] = (identity, made) }
        return made
    }

    private static func copy(of path: String, to directory: String) throws(PluginFailure) -> String {
        for made in [parent(of: directory), directory] where mkdir(made, 0o700) != 0 && errno != EEXIST {
            throw failure("cannot make \(made): \(errorText(errno))")
        }
        let source = open(path, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { throw failure("cannot open \(path): \(errorText(errno))") }
        defer { close(source) }
        let draft = "\(directory)/new"
        let target = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o700)
        guard target >= 0 else { throw failure("cannot make \(draft): \(errorText(errno))") }
        defer { close(target) }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var size = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot read \(path): \(errorText(errno))") }
            if count == 0 { break }
            guard write(target, buffer, count) == count else {
                throw failure("cannot write \(draft): \(errorText(errno))")
            }
            buffer.withUnsafeBufferPointer {
                for byte in $0[..<count] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            }
            size += count
        }
        let name = "\(directory)/\(String(hash, radix: 16))-\(size).so"
        // The same content again is the same mapping.
        if access(name, F_OK) == 0 {
            unlink(draft)
        } else if rename(draft, name) != 0 {
            throw failure("cannot make \(name): \(errorText(errno))")
        }
        return name
    }

    private static func parent(of directory: String) -> String { PluginSearch.directory(of: directory) }

    private static func failure(_ message: String) -> PluginFailure { PluginFailure(.open, message) }
}
