import Glibc
import PluginKit

/// Makes a volume usable by a pod's file system group, as Kubernetes' fsGroup asks: the group owns everything, may read
/// and write, and new files inherit it.
enum VolumeOwnership {
    /// Complexity: one visit of every entry, skipped when the root already has the group and its bits.
    static func setGroup(_ group: Int64, of path: String) throws {
        guard let group = gid_t(exactly: group) else { throw PluginError.invalid("fsGroup \(group) is out of range") }
        var root = stat()
        if stat(path, &root) != 0 { throw PluginError.system("look at", path, errno: errno) }
        let wanted: mode_t = S_ISGID | 0o070
        if root.st_gid == group, root.st_mode & wanted == wanted { return }
        try FileTree.walk(path) { entry throws(PluginError) in
            if entry.isSymbolicLink { return }
            if fchownat(entry.directory, entry.name, uid_t.max, group, AT_SYMLINK_NOFOLLOW) != 0 {
                throw .system("change the group of", "\(path)/…/\(entry.name)", errno: errno)
            }
            let bits: mode_t = entry.isDirectory ? wanted : 0o060
            if fchmodat(entry.directory, entry.name, entry.status.st_mode & 0o7777 | bits, 0) != 0 {
                throw .system("change the mode of", "\(path)/…/\(entry.name)", errno: errno)
            }
        }
        if chown(path, uid_t.max, group) != 0 { throw PluginError.system("change the group of", path, errno: errno) }
        if chmod(path, root.st_mode & 0o7777 | wanted) != 0 {
            throw PluginError.system("change the mode of", path, errno: errno)
        }
    }
}
