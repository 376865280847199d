import Glibc

/// The mount operations that volumes need; a protocol, so that the logic is tested without root.
protocol Mounts: Sendable {
    /// Mounts a tmpfs; `sizeBytes` 0 leaves the kernel's default.
    func mountMemory(at path: String, sizeBytes: Int64, mode: Int) throws
    /// Binds what `descriptor` refers to.
    func bind(descriptor: Int32, to path: String) throws
    func bind(_ source: String, to path: String, readOnly: Bool) throws
    /// Success when nothing is mounted there.
    func unmount(_ path: String) throws
    func isMountPoint(_ path: String) throws -> Bool
}

/// The kernel's mounts.
struct SystemMounts: Mounts {
    func mountMemory(at path: String, sizeBytes: Int64, mode: Int) throws {
        var options = "mode=0\(String(mode, radix: 8))"
        if sizeBytes > 0 { options += ",size=\(sizeBytes)" }
        let flags = UInt(MS_NOSUID | MS_NODEV)
        try SystemError.check("mount tmpfs", path) { mount("tmpfs", path, "tmpfs", flags, options) }
    }

    func bind(descriptor: Int32, to path: String) throws {
        try SystemError.check("bind mount", path) {
            mount("/proc/self/fd/\(descriptor)", path, nil, UInt(MS_BIND | MS_REC), nil)
        }
    }

    func bind(_ source: String, to path: String, readOnly: Bool) throws {
        try SystemError.check("bind mount", path) {
            mount(source, path, nil, UInt(MS_BIND | MS_REC), nil)
        }
        guard readOnly else { return }
        let flags = UInt(MS_BIND | MS_REMOUNT | MS_RDONLY)
        try SystemError.check("remount read-only", path) { mount(nil, path, nil, flags, nil) }
    }

    func unmount(_ path: String) throws {
        // Detaching lets a straggler that still has a file open finish without holding the pod up.
        if umount2(path, Int32(MNT_DETACH)) != 0, errno != EINVAL, errno != ENOENT {
            throw SystemError("unmount", path)
        }
    }

    func isMountPoint(_ path: String) throws -> Bool {
        guard let own = try Files.status(path, follow: false), let parent = try Files.status(path + "/..") else {
            return false
        }
        return own.st_dev != parent.st_dev
    }
}
