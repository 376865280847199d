import Containers
import Glibc
import Objects
import PluginKit

/// Everything that decides how a container is started; `encoded` turns it into the helper's configuration. Nothing here
/// touches the system, so the whole decision can be tested.
struct ContainerPlan {
    let configuration: ContainerConfiguration
    let image: ImageConfiguration
    let sandbox: SandboxView
    let place: Place
    let groups: Groups
    let capabilities: CapabilitySet
    /// struct sock_filter[]; nil is unconfined.
    let seccomp: [UInt8]?
    let devices: [DeviceNode]

    /// What the plan needs of the sandbox.
    struct SandboxView {
        var configuration: SandboxConfiguration
        /// Directory with net, ipc, uts and shm.
        var directory: String
        /// A process of the process namespace to join: the first of a shared one, or of the container to look into.
        var holder: pid_t?
    }

    /// Where the container lives on disk.
    struct Place {
        /// With upper, work and rootfs in it.
        var directory: String
        var layersDirectory: String
        /// Relative to `layersDirectory`, topmost first.
        var lowerDirectories: String
        /// Absolute; empty for none.
        var logPath: String
        /// Like `lowerDirectories`, of the images that are mounted as volumes, by the name that the mount has for it.
        var images: [String: String] = [:]
    }

    /// What of the cgroups the helper needs.
    struct Groups {
        var unifiedDirectory: String?
        var joinFiles: [String]
        var oomFile: String?
        var mounts: [(controllers: String, target: String)]
        var isUnified: Bool
    }

    func environment() -> [String] {
        configuration.environment(image, hostName: sandbox.configuration.hostName)
    }

    func encoded() throws(PluginError) -> InitConfiguration {
        var result = InitConfiguration()
        result.add(.stateDirectory, place.directory)
        if !place.logPath.isEmpty { result.add(.logPath, place.logPath) }
        if configuration.hasTerminal { result.add(.terminal, 1) }
        if configuration.keepsInputOpen { result.add(.standardInput, configuration.closesInputAfterAttach ? 2 : 1) }
        addNamespaces(&result)
        addGroups(&result)
        addRoot(&result)
        addMounts(&result)
        addDevices(&result)
        try addProcess(&result)
        return result
    }

    private func addNamespaces(_ result: inout InitConfiguration) {
        let pod = sandbox.configuration
        Sandbox.addUsers(pod, directory: sandbox.directory, to: &result)
        var new = NamespaceKind.mount.rawValue
        if let holder = sandbox.holder {
            result.add(.joinNamespace, [NamespaceKind.process.rawValue], ["/proc/\(holder)/ns/pid"])
        } else if !pod.usesHostProcesses {
            new |= NamespaceKind.process.rawValue
        }
        result.add(.newNamespaces, new)
        if !pod.usesHostNetwork {
            result.add(.joinNamespace, [NamespaceKind.network.rawValue], ["\(sandbox.directory)/net"])
            result.add(.joinNamespace, [NamespaceKind.hostName.rawValue], ["\(sandbox.directory)/uts"])
        }
        if !pod.usesHostInterProcess {
            result.add(.joinNamespace, [NamespaceKind.interProcess.rawValue], ["\(sandbox.directory)/ipc"])
        }
    }

    private func addGroups(_ result: inout InitConfiguration) {
        if let directory = groups.unifiedDirectory { result.add(.cgroupUnified, directory) }
        for file in groups.joinFiles { result.add(.cgroupJoin, file) }
        if let file = groups.oomFile { result.add(.cgroupOOM, file) }
        let flags = UInt64(MS_NOSUID | MS_NODEV | MS_NOEXEC)
        for mount in groups.mounts { result.add(.cgroupMount, [flags], [mount.controllers, mount.target]) }
    }

    private func addRoot(_ result: inout InitConfiguration) {
        let here = place.directory
        result.add(.root, "\(place.directory)/rootfs")
        result.add(.overlayDirectory, place.layersDirectory)
        // volatile: what a container wrote dies with it, so nothing is gained by syncing it.
        result.add(
            .overlayOptions, "lowerdir=\(place.lowerDirectories),upperdir=\(here)/upper,workdir=\(here)/work,volatile")
        if configuration.security.hasReadOnlyRoot { result.add(.readOnlyRoot, 1) }
    }

    private func addMounts(_ result: inout InitConfiguration) {
        let safe = UInt64(MS_NOSUID | MS_NODEV | MS_NOEXEC)
        let isPrivileged = configuration.security.isPrivileged
        func mount(_ type: String, _ target: String, _ flags: UInt64, _ data: String = "") {
            result.add(.filesystem, [flags], [type, type, target, data])
        }
        mount("proc", "/proc", safe)
        mount("tmpfs", "/dev", UInt64(MS_NOSUID) | UInt64(MS_STRICTATIME), "mode=755,size=65536k")
        mount("devpts", "/dev/pts", UInt64(MS_NOSUID | MS_NOEXEC), "newinstance,ptmxmode=0666,mode=0620,gid=5")
        mount("mqueue", "/dev/mqueue", safe)
        mount("sysfs", "/sys", isPrivileged ? safe : safe | UInt64(MS_RDONLY))
        if !groups.isUnified { mount("tmpfs", "/sys/fs/cgroup", safe, "mode=755,size=64k") }
        let sharedMemory = sandbox.configuration.usesHostInterProcess ? "/dev/shm" : "\(sandbox.directory)/shm"
        result.add(.bind, [0], [sharedMemory, "/dev/shm"])
        // A mount inside another comes after it.
        let ordered = configuration.mounts.enumerated().sorted { left, right in
            let depths = (Self.depth(left.element), Self.depth(right.element))
            return depths.0 == depths.1 ? left.offset < right.offset : depths.0 < depths.1
        }
        for (_, mount) in ordered {
            var flags: BindFlags = .recursive
            if mount.isReadOnly { flags.insert(.readOnly) }
            if mount.propagation == .hostToContainer { flags.insert(.hostToContainer) }
            if mount.propagation == .bidirectional { flags.insert(.bidirectional) }
            if let image = mount.image {
                let path = mount.imagePath.isEmpty ? "/" : mount.imagePath
                result.add(.image, [], ["lowerdir=\(place.images[image] ?? "")", path, image])
                result.add(.bind, [BindFlags.image.rawValue], [image, mount.containerPath])
                continue
            }
            result.add(.bind, [flags.rawValue], [mount.hostPath, mount.containerPath])
        }
        if !isPrivileged { result.add(.readOnlyPath, "/sys/fs/cgroup") }
        for path in configuration.security.readOnlyPaths { result.add(.readOnlyPath, path) }
        for path in configuration.security.maskedPaths { result.add(.maskedPath, path) }
    }

    private static func depth(_ mount: ContainerConfiguration.Mount) -> Int {
        mount.containerPath.split(separator: "/").count
    }

    private func addDevices(_ result: inout InitConfiguration) {
        for device in DeviceNode.standard + devices {
            result.add(
                .device,
                [
                    UInt64(device.mode), UInt64(device.major), UInt64(device.minor), UInt64(device.user),
                    UInt64(device.group),
                ],
                [device.path])
        }
        for link in DeviceNode.standardLinks { result.add(.symbolicLink, [], [link.content, link.path]) }
    }

    private func addProcess(_ result: inout InitConfiguration) throws(PluginError) {
        for argument in try configuration.arguments(image) { result.add(.argument, argument) }
        for variable in environment() { result.add(.environment, variable) }
        result.add(.workingDirectory, configuration.directory(image))
        addIdentity(&result)
        if let score = configuration.resources.oomScoreAdjust { result.add(.oomScore, UInt64(bitPattern: score)) }
        // RLIMIT_NOFILE, which the host's service manager may have set to anything.
        result.add(.resourceLimit, [7, 65_536, 1_048_576])
    }

    /// The user and what it may do; exec uses the same.
    func addIdentity(_ result: inout InitConfiguration, user: String? = nil) {
        let security = configuration.security
        result.add(.user, user ?? security.runAsUsername ?? image.user)
        if user == nil {
            if let number = security.runAsUser { result.add(.userID, number) }
            if let number = security.runAsGroup { result.add(.groupID, number) }
        }
        for group in security.supplementalGroups { result.add(.supplementaryGroup, group) }
        if security.hasOnlyListedGroups { result.add(.onlyListedGroups, 1) }
        if security.mustNotBeRoot { result.add(.mustNotBeRoot, 1) }
        let bits = capabilities.bits
        result.add(.capabilities, [bits, bits, 0, 0])
        if security.noNewPrivileges { result.add(.noNewPrivileges, 1) }
        if let seccomp { result.add(.seccomp, bytes: seccomp) }
    }
}
