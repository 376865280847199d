import Glibc

/// A file that a container has left in a volume, read by the node: whatever links there are, never one outside of it.
enum VolumeFile {
    /// The content; nil when there is no such file.
    /// - Throws: VolumeError for what is no plain file, or has more than `limit` bytes.
    static func read(_ path: String, below root: String, limit: Int) throws -> [UInt8]? {
        let place: Int32
        do {
            place = try SubPath.open(path, below: root, makesDirectories: false)
        } catch let error as SystemError where error.code == ENOENT || error.code == ENOTDIR {
            return nil
        }
        defer { close(place) }
        var information = stat()
        try SystemError.check("stat", path) { fstat(place, &information) }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw VolumeError(message: "\"\(path)\" is not a plain file")
        }
        // The descriptor only names the file; through /proc it is opened for reading, and no other in its place.
        let name = "/proc/self/fd/\(place)"
        guard let bytes = try Files.read(name, limit: limit + 1) else { return nil }
        guard bytes.count <= limit else {
            throw VolumeError(message: "\"\(path)\" has more than \(limit) bytes")
        }
        return bytes
    }
}
