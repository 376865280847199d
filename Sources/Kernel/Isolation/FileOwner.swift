import Glibc
import PluginAPI

/// Gives a plugin's directory to the user that it runs as.
enum FileOwner {
    /// The directory with everything in it. No effect when it belongs to that user already.
    static func give(_ directory: String, to user: UInt32) throws(PluginFailure) {
        var status = stat()
        guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw PluginFailure(.configure, "the plugin's directory \(directory) is not there: \(errorText(errno))")
        }
        if status.st_uid != user { try change(directory, user) }
    }

    private static func change(_ path: String, _ user: UInt32) throws(PluginFailure) {
        guard lchown(path, user, user) == 0 else {
            throw PluginFailure(.configure, "cannot give \(path) to user \(user): \(errorText(errno))")
        }
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, let entries = opendir(path) else { return }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { try change("\(path)/\(name)", user) }
        }
    }
}
