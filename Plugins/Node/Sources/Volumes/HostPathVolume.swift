import Glibc
import Objects

/// hostPath volumes: the path must be of the type that the volume names; two types create what is missing.
enum HostPathVolume {
    static func setUp(_ source: JSON) throws -> MountedVolume {
        let path = source["path"].stringValue ?? ""
        guard path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
            throw VolumeError(message: "hostPath \"\(path)\" must be absolute and may not contain \"..\"")
        }
        let type = source["type"].stringValue ?? ""
        if try Files.status(path) == nil {
            switch type {
            case "DirectoryOrCreate": try Files.makeDirectories(path)
            case "FileOrCreate": try Files.write([], to: path, mode: 0o644)
            // Without a type nothing is checked; a missing directory is made, as container runtimes do.
            case "": try Files.makeDirectories(path)
            default: throw VolumeError(message: "hostPath type check failed: \(path) does not exist")
            }
        }
        guard let kind = try Files.status(path)?.st_mode else {
            throw VolumeError(message: "hostPath \(path) does not exist")
        }
        let expected: (mask: mode_t, name: String)?
        switch type {
        case "Directory", "DirectoryOrCreate": expected = (S_IFDIR, "a directory")
        case "File", "FileOrCreate": expected = (S_IFREG, "a file")
        case "Socket": expected = (S_IFSOCK, "a socket file")
        case "CharDevice": expected = (S_IFCHR, "a character device")
        case "BlockDevice": expected = (S_IFBLK, "a block device")
        case "": expected = nil
        default: throw VolumeError(message: "hostPath type \"\(type)\" is unknown")
        }
        if let expected, kind & S_IFMT != expected.mask {
            throw VolumeError(message: "hostPath type check failed: \(path) is not \(expected.name)")
        }
        return MountedVolume(hostPath: path)
    }
}
