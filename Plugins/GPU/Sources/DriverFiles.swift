import Glibc
import Objects
import PluginKit

/// The parts of the NVIDIA driver that a container needs: libraries and programs of the driver's own version.
struct DriverFiles: Sendable, Equatable {
    /// Path in the container → path on the host.
    struct Mount: Sendable, Equatable {
        let containerPath: String
        let hostPath: String
    }
    let mounts: [Mount]

    private static let libraryDirectories = [
        "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
    ]
    private static let libraryPrefixes = [
        "libcuda.so", "libcudadebugger.so", "libnvidia-", "libnvcuvid.so", "libnvoptix.so",
    ]
    private static let programs = ["/usr/bin/nvidia-smi", "/usr/bin/nvidia-debugdump", "/usr/bin/nvidia-persistenced"]

    /// Finds the files of driver `version` under `root` (normally "/"). A library is shown under its full name and, where
    /// the host has it, under its ".so.1" name, so that no hook and no ldconfig is needed.
    static func find(root: String, version: String) throws -> DriverFiles {
        var mounts: [Mount] = []
        for directory in libraryDirectories where access(root + directory, R_OK) == 0 {
            for name in try FileTree.names(in: root + directory).sorted() {
                guard name.hasSuffix(".so.\(version)"), libraryPrefixes.contains(where: name.hasPrefix) else {
                    continue
                }
                mounts.append(Mount(containerPath: "\(directory)/\(name)", hostPath: "\(root)\(directory)/\(name)"))
                let short = "\(name.dropLast(version.utf8.count + 1)).1"
                if access("\(root)\(directory)/\(short)", R_OK) == 0 {
                    mounts.append(
                        Mount(containerPath: "\(directory)/\(short)", hostPath: "\(root)\(directory)/\(name)"))
                }
            }
        }
        for program in programs where access(root + program, X_OK) == 0 {
            mounts.append(Mount(containerPath: program, hostPath: root + program))
        }
        return DriverFiles(mounts: mounts)
    }
}
