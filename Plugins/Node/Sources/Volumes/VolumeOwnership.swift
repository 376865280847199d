import Glibc

/// Gives a volume to a pod's fsGroup: group, group access, and set-group-ID on directories.
enum VolumeOwnership {
    /// `onlyOnMismatch` is fsGroupChangePolicy OnRootMismatch: nothing is done when the root is right already.
    static func apply(_ path: String, group: gid_t, readOnly: Bool = false, onlyOnMismatch: Bool = false) throws {
        guard let root = try Files.status(path) else { return }
        if onlyOnMismatch, root.st_gid == group, root.st_mode & 0o2070 == 0o2070 { return }
        try visit(path, root, group: group, readOnly: readOnly)
    }

    private static func visit(_ path: String, _ information: stat, group: gid_t, readOnly: Bool) throws {
        let kind = information.st_mode & S_IFMT
        if lchown(path, uid_t.max, group) != 0, errno != ENOENT { throw SystemError("chown", path) }
        guard kind != S_IFLNK else { return }
        var mode = information.st_mode & 0o7777 | (readOnly ? 0o440 : 0o660)
        if kind == S_IFDIR { mode |= 0o2110 }
        if chmod(path, mode) != 0, errno != ENOENT { throw SystemError("chmod", path) }
        guard kind == S_IFDIR else { return }
        for name in try Files.list(path) {
            let child = "\(path)/\(name)"
            if let information = try Files.status(child, follow: false) {
                try visit(child, information, group: group, readOnly: readOnly)
            }
        }
    }
}
