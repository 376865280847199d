import Glibc
import PluginAPI

/// Gives a plugin's directory to the user that it runs as.
enum FileOwner {
    /// The directory with everything in it. No effect when it belongs to that user already. Follows no link: what is in it may
    /// be another user's doing.
    static func give(_ directory: String, to user: UInt32) throws(PluginFailure) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(directory, user) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_uid != user else {
            close(descriptor)
            return
        }
        try change(descriptor, user, directory)
    }

    /// A directory that is open, and what is in it. Closes it.
    private static func change(_ descriptor: Int32, _ user: UInt32, _ path: String) throws(PluginFailure) {
        guard fchown(descriptor, user, user) == 0, let entries = fdopendir(descriptor) else {
            let failure = failure(path, user)
            close(descriptor)
            throw failure
        }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == "." || name == ".." { continue }
            let inner = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if inner >= 0 {
                try change(inner, user, "\(path)/\(name)")
            } else if fchownat(descriptor, name, user, user, AT_SYMLINK_NOFOLLOW) != 0 {
                throw failure("\(path)/\(name)", user)
            }
        }
    }

    private static func failure(_ path: String, _ user: UInt32) -> PluginFailure {
        PluginFailure(.configure, "cannot give \(path) to user \(user): \(errorText(errno))")
    }
}
