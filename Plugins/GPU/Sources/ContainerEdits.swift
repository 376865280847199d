import Glibc
import Objects

/// What a container with GPUs gets, as CDI describes it (Container Device Interface, containerEdits).
enum ContainerEdits {
    /// Device nodes that every GPU container needs.
    static let controlNodes = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"]

    /// - Parameter nodes: where device nodes lie, normally "/dev".
    static func edits(for devices: [GPUDescription], driver: DriverFiles, nodes: String) -> JSON {
        let names = devices.map { "nvidia\($0.minor)" } + controlNodes
        let deviceNodes: [JSON] = names.compactMap { name in
            var status = stat()
            guard stat("\(nodes)/\(name)", &status) == 0 else { return nil }
            var node: JSON = [
                "path": .string("/dev/\(name)"), "hostPath": .string("\(nodes)/\(name)"), "permissions": "rw",
            ]
            if status.st_mode & S_IFMT == S_IFCHR {
                node["type"] = "c"
                node["major"] = .integer(Int64(major(status.st_rdev)))
                node["minor"] = .integer(Int64(minor(status.st_rdev)))
            }
            return node
        }
        return [
            "env": [.string("NVIDIA_VISIBLE_DEVICES=\(devices.map(\.uuid).joined(separator: ","))")],
            "deviceNodes": .array(deviceNodes),
            "mounts": .array(
                driver.mounts.map {
                    [
                        "hostPath": .string($0.hostPath), "containerPath": .string($0.containerPath),
                        "options": ["ro", "nosuid", "nodev", "bind"],
                    ]
                }),
        ]
    }

    /// The whole CDI specification of this node, for other tools.
    static func specification(_ devices: [GPUDescription], driver: DriverFiles, nodes: String) -> JSON {
        [
            "cdiVersion": "0.6.0", "kind": "nvidia.com/gpu",
            "devices": .array(
                devices.map {
                    [
                        "name": .string($0.uuid),
                        "containerEdits": edits(for: [$0], driver: DriverFiles(mounts: []), nodes: nodes),
                    ]
                }),
            "containerEdits": edits(for: [], driver: driver, nodes: nodes),
        ]
    }

    /// As makedev(3) packs them.
    private static func major(_ device: dev_t) -> UInt64 {
        let device = UInt64(device)
        return (device >> 8) & 0xfff | (device >> 32) & ~0xfff
    }
    private static func minor(_ device: dev_t) -> UInt64 {
        let device = UInt64(device)
        return device & 0xff | (device >> 12) & ~0xff
    }
}
