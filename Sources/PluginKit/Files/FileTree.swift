import Glibc
import PluginAPI

/// Operations on whole directory trees, by directory descriptors: no symbolic link is ever followed.
public enum FileTree {
    /// What a walk sees: the entry, the descriptor of its directory, its name, its status.
    public struct Entry {
        public let directory: Int32
        public let name: String
        public let status: stat
        public var isDirectory: Bool { status.st_mode & S_IFMT == S_IFDIR }
        public var isSymbolicLink: Bool { status.st_mode & S_IFMT == S_IFLNK }
    }

    /// Removes a tree; what is gone already is success. Does not cross into another file system.
    public static func remove(_ path: String) throws(PluginError) {
        var status = stat()
        if lstat(path, &status) != 0 {
            if errno == ENOENT { return }
            throw .system("look at", path, errno: errno)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            try walk(path) { entry throws(PluginError) in
                guard entry.status.st_dev == status.st_dev else {
                    throw .conflict("\(path): \(entry.name) is a mount point; unmount it before the tree is removed")
                }
                if unlinkat(entry.directory, entry.name, entry.isDirectory ? AT_REMOVEDIR : 0) != 0, errno != ENOENT {
                    throw .system("remove", "\(path)/…/\(entry.name)", errno: errno)
                }
            }
            if rmdir(path) != 0, errno != ENOENT { throw .system("remove", path, errno: errno) }
        } else if unlink(path) != 0, errno != ENOENT {
            throw .system("remove", path, errno: errno)
        }
    }

    /// Visits everything below `path`, children before their directory. Depth is bounded by the descriptors available.
    public static func walk(_ path: String, _ visit: (Entry) throws(PluginError) -> Void) throws(PluginError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor < 0 { throw .system("open", path, errno: errno) }
        try walk(descriptor, path, visit)
    }

    /// Takes over the descriptor.
    private static func walk(
        _ descriptor: Int32, _ path: String, _ visit: (Entry) throws(PluginError) -> Void
    ) throws(PluginError) {
        guard let stream = fdopendir(descriptor) else {
            let code = errno
            close(descriptor)
            throw .system("list", path, errno: code)
        }
        defer { closedir(stream) }
        for name in names(stream) {
            var status = stat()
            if fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) != 0 {
                if errno == ENOENT { continue }
                throw .system("look at", "\(path)/\(name)", errno: errno)
            }
            if status.st_mode & S_IFMT == S_IFDIR {
                let child = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                if child < 0 { throw .system("open", "\(path)/\(name)", errno: errno) }
                try walk(child, "\(path)/\(name)", visit)
            }
            try visit(Entry(directory: descriptor, name: name, status: status))
        }
    }

    /// The names in a directory, without "." and "..".
    public static func names(in path: String) throws(PluginError) -> [String] {
        guard let stream = opendir(path) else { throw .system("list", path, errno: errno) }
        defer { closedir(stream) }
        return names(stream)
    }

    private static func names(_ stream: OpaquePointer) -> [String] {
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
