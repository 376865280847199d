import Containers
import Glibc
import PluginKit

/// A container's root: an overlay of its image's layers and its own upper directory, mounted where the runtime expects it.
/// It stands from the start to the end of the container.
enum RootFilesystem {
    static func path(_ container: Container) -> String { "\(container.directory)/rootfs" }

    /// Mounts it and returns its top directory.
    /// - Parameter layers: numbers, topmost first.
    static func mount(_ container: Container, layersDirectory: String, layers: [Int]) throws(PluginError) -> Descriptor
    {
        let place = try Descriptor(opening: layersDirectory, O_RDONLY | O_DIRECTORY)
        let own = try Descriptor(opening: container.directory, O_RDONLY | O_DIRECTORY)
        let target = path(container)
        // volatile: what a container wrote dies with it, so nothing is gained by syncing it.
        let options = "\(lower(layers, place.number)),\(upper(own.number)),volatile"
        if Glibc.mount("overlay", target, "overlay", 0, options) != 0 {
            throw .system(
                "mount (the data directory needs a file system that overlayfs can use, such as ext4, xfs or btrfs)",
                target, errno: errno)
        }
        return try Descriptor(opening: target, O_RDONLY | O_DIRECTORY)
    }

    /// Through descriptors, so that many layers fit into the page that the kernel takes.
    static func lower(_ layers: [Int], _ directory: Int32) -> String {
        "lowerdir=" + layers.map { "/proc/self/fd/\(directory)/\($0)" }.joined(separator: ":")
    }

    private static func upper(_ directory: Int32) -> String {
        "upperdir=/proc/self/fd/\(directory)/upper,workdir=/proc/self/fd/\(directory)/work"
    }

    /// One that is not mounted is success.
    static func unmount(_ container: Container) throws(PluginError) {
        if umount2(path(container), Int32(MNT_DETACH)) != 0, errno != EINVAL, errno != ENOENT {
            throw .system("unmount", path(container), errno: errno)
        }
    }
}
