import Glibc

/// Opens a path below a volume without ever leaving it, whatever links a container has put there meanwhile.
enum SubPath {
    /// O_PATH of open(2), which glibc hides from strict C; the same on all architectures that Swift supports.
    private static let pathOnly: Int32 = 0o10000000

    /// A descriptor (O_PATH) of `subPath` under `root`; the caller closes it.
    /// - Parameter makesDirectories: Whether what is missing is made, as directories.
    static func open(_ subPath: String, below root: String, makesDirectories: Bool = true) throws -> Int32 {
        _ = try checked(subPath)
        var stack = [try SystemError.check("open", root) { Glibc.open(root, pathOnly | O_DIRECTORY | O_CLOEXEC) }]
        defer { stack.forEach { close($0) } }
        var volume = stat()
        try SystemError.check("stat", root) { fstat(stack[0], &volume) }
        let mode = volume.st_mode & 0o7777
        var pending = components(subPath)
        var links = 0
        while let name = pending.popLast() {
            if name == ".." {
                guard stack.count > 1 else { throw escape(subPath) }
                close(stack.removeLast())
                continue
            }
            let next = try step(
                name, from: stack[stack.count - 1], subPath: subPath, mode: makesDirectories ? mode : nil)
            var information = stat()
            guard fstat(next, &information) == 0 else {
                close(next)
                throw SystemError("stat", subPath)
            }
            guard information.st_mode & S_IFMT == S_IFLNK else {
                stack.append(next)
                continue
            }
            defer { close(next) }
            links += 1
            let target = try linkTarget(next, subPath: subPath)
            guard links <= 40, !target.hasPrefix("/") else { throw escape(subPath) }
            pending += components(target)
        }
        return stack.removeLast()
    }

    /// The path, when it is one that may be meant.
    static func checked(_ subPath: String) throws -> String {
        guard !subPath.hasPrefix("/"), !subPath.split(separator: "/").contains("..") else {
            throw VolumeError(message: "subPath \"\(subPath)\" must be relative and may not contain \"..\"")
        }
        return subPath
    }

    /// Components in reverse, so that the next one is popped from the end.
    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").filter { $0 != "." }.reversed().map(String.init)
    }

    private static func escape(_ subPath: String) -> VolumeError {
        VolumeError(message: "subPath \"\(subPath)\" leads out of its volume")
    }

    /// - Parameter mode: of a directory that is made where there is none; nil to make none.
    private static func step(_ name: String, from parent: Int32, subPath: String, mode: mode_t?) throws -> Int32 {
        let flags = pathOnly | O_NOFOLLOW | O_CLOEXEC
        let found = openat(parent, name, flags)
        if found >= 0 { return found }
        guard errno == ENOENT, let mode else { throw SystemError("open", subPath) }
        if mkdirat(parent, name, mode) != 0, errno != EEXIST { throw SystemError("mkdir", subPath) }
        // Again without the umask: the directory is as open as its volume.
        try SystemError.check("chmod", subPath) { fchmodat(parent, name, mode, 0) }
        return try SystemError.check("open", subPath) { openat(parent, name, flags) }
    }

    private static func linkTarget(_ descriptor: Int32, subPath: String) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try buffer.withUnsafeMutableBytes { bytes in
            try SystemError.check("readlink", subPath) {
                readlinkat(descriptor, "", bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
            }
        }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
