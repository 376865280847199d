import Glibc
import PluginKit

/// Bind mounts of volumes at the places where pods look for them (mount(2), MS_BIND).
enum BindMount {
    /// Makes `target` show `source`. Idempotent: a target that shows it already only gets the read-only flag right.
    static func publish(_ source: String, at target: String, readOnly: Bool) throws {
        try AtomicFile.makeDirectory(target, mode: 0o750)
        if try !shows(source, at: target) {
            if mount(source, target, nil, UInt(MS_BIND), nil) != 0 {
                throw PluginError.system("bind the volume \(source) at", target, errno: errno)
            }
        }
        let flags = UInt(MS_BIND | MS_REMOUNT) | (readOnly ? UInt(MS_RDONLY) : 0)
        if mount(nil, target, nil, flags, nil) != 0 {
            let code = errno
            umount2(target, Int32(MNT_DETACH))
            throw PluginError.system("set the access of", target, errno: code)
        }
    }

    /// Takes the volume away and removes the target. What is gone already is success.
    static func unpublish(_ source: String?, at target: String) throws {
        while umount2(target, Int32(MNT_DETACH)) == 0 {}
        if errno != EINVAL, errno != ENOENT { throw PluginError.system("unmount", target, errno: errno) }
        if rmdir(target) != 0, errno != ENOENT { throw PluginError.system("remove", target, errno: errno) }
    }

    /// Whether `target` is the same directory as `source`.
    static func shows(_ source: String, at target: String) throws -> Bool {
        var first = stat()
        var second = stat()
        if stat(source, &first) != 0 { throw PluginError.system("look at", source, errno: errno) }
        if stat(target, &second) != 0 { throw PluginError.system("look at", target, errno: errno) }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }
}
