import Glibc
import Objects

/// What tells one state of a file from another without reading it.
struct FileIdentity: Hashable {
    let device: UInt64
    let inode: UInt64
    let size: Int64
    /// Nanoseconds since 1970.
    let modified: Int64

    /// nil when there is no such file.
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    init?(_ json: JSON) {
        guard let device = json["device"].integerValue, let inode = json["inode"].integerValue,
            let size = json["size"].integerValue, let modified = json["modified"].integerValue
        else { return nil }
        self.device = UInt64(bitPattern: device)
        self.inode = UInt64(bitPattern: inode)
        self.size = size
        self.modified = modified
    }

    var json: JSON {
        [
            "device": .integer(Int64(bitPattern: device)), "inode": .integer(Int64(bitPattern: inode)),
            "size": .integer(size), "modified": .integer(modified),
        ]
    }
}
