import Containers
import Glibc
import Objects
import PluginKit

/// Everything that decides a container's `config.json` (OCI runtime specification 1.0). Nothing here touches the system, so
/// the whole decision can be tested.
struct BundlePlan {
    static let specificationVersion = "1.0.2"

    let configuration: ContainerConfiguration
    let image: ImageConfiguration
    let sandbox: SandboxView
    let identity: ContainerIdentity
    let abilities: HostAbilities
    /// Relative to every hierarchy's mount point.
    let cgroup: String
    /// Nil is unconfined.
    let seccomp: JSON?
    /// Nodes to make beside those that every runtime makes.
    let devices: [DeviceNode]
    /// What may be used beside the defaults.
    let deviceRules: [DeviceRule]
    /// Directories of the layers, topmost first, of the images that are mounted as volumes.
    var images: [String: [String]] = [:]

    /// What the plan needs of the sandbox.
    struct SandboxView {
        var configuration: SandboxConfiguration
        /// Directory with net, ipc, uts and shm.
        var directory: String
        /// A process of the process namespace to join: the first of a shared one, or of the container to look into.
        var holder: pid_t?
    }

    func encoded() throws(PluginError) -> JSON {
        var bundle: JSON = [
            "ociVersion": .string(Self.specificationVersion),
            "process": try process(try configuration.arguments(image), hasTerminal: configuration.hasTerminal),
            "root": ["path": "rootfs", "readonly": .bool(configuration.security.hasReadOnlyRoot)],
            "mounts": .array(mounts),
        ]
        bundle["linux"] = try linux()
        return bundle
    }

    // MARK: Process

    /// The first process, or a further one.
    func process(_ arguments: [String], hasTerminal: Bool) throws(PluginError) -> JSON {
        let names = JSON(capabilityNames(try configuration.security.capabilities()))
        var environment = configuration.environment(image, hostName: sandbox.configuration.hostName)
        func fallback(_ name: String, _ value: String) {
            if !environment.contains(where: { $0.hasPrefix("\(name)=") }) { environment.append("\(name)=\(value)") }
        }
        fallback("HOME", identity.home)
        if hasTerminal { fallback("TERM", "xterm") }
        return [
            "terminal": .bool(hasTerminal), "args": JSON(arguments), "env": JSON(environment),
            "cwd": .string(configuration.directory(image)),
            "user": [
                "uid": JSON(identity.user), "gid": JSON(identity.group),
                "additionalGids": .array(identity.groups.map { JSON($0) }), "umask": 0o022,
            ],
            "capabilities": [
                "bounding": names, "effective": names, "permitted": names, "inheritable": [], "ambient": [],
            ],
            // The host's service manager may have set hostd's own to anything.
            "rlimits": [
                [
                    "type": "RLIMIT_NOFILE", "soft": JSON(abilities.openFiles(65_536)),
                    "hard": JSON(abilities.openFiles(1_048_576)),
                ]
            ],
            "noNewPrivileges": .bool(configuration.security.noNewPrivileges),
            "oomScoreAdj": .integer(abilities.outOfMemoryScore(configuration.resources.oomScoreAdjust ?? 0)),
        ]
    }

    private func capabilityNames(_ wanted: CapabilitySet) -> [String] {
        let given = abilities.capabilities(wanted)
        return CapabilitySet.names.filter(given.contains).map { "CAP_\($0)" }
    }

    // MARK: Mounts

    /// In order: a mount inside another comes after it.
    private var mounts: [JSON] {
        let isPrivileged = configuration.security.isPrivileged
        let safe = ["nosuid", "noexec", "nodev"]
        let system = isPrivileged ? safe : safe + ["ro"]
        func mount(_ type: String, _ target: String, _ options: [String]) -> JSON {
            ["destination": .string(target), "type": .string(type), "source": .string(type), "options": JSON(options)]
        }
        let shared = sandbox.configuration.usesHostInterProcess ? "/dev/shm" : "\(sandbox.directory)/shm"
        let standard = [
            mount("proc", "/proc", safe),
            mount("tmpfs", "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("devpts", "/dev/pts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("mqueue", "/dev/mqueue", safe),
            mount("sysfs", "/sys", system),
            mount("cgroup", "/sys/fs/cgroup", system + ["relatime"]),
            bind(shared, "/dev/shm", ["rbind", "rprivate"]),
        ]
        let given = configuration.mounts.enumerated().sorted { left, right in
            let depths = (depth(left.element), depth(right.element))
            return depths.0 == depths.1 ? left.offset < right.offset : depths.0 < depths.1
        }
        return standard
            + given.map { _, mount in
                if let image = mount.image {
                    let layers = (images[image] ?? []).joined(separator: ":")
                    return [
                        "destination": .string(mount.containerPath), "type": "overlay", "source": "overlay",
                        "options": JSON(["ro", "nosuid", "nodev", "noexec", "lowerdir=\(layers)"]),
                    ]
                }
                let access = mount.isReadOnly ? [mount.isReadOnlyBelow ? "rro" : "ro"] : []
                return bind(mount.hostPath, mount.containerPath, ["rbind", mount.propagation.option] + access)
            }
    }

    private func bind(_ source: String, _ target: String, _ options: [String]) -> JSON {
        ["destination": .string(target), "type": "bind", "source": .string(source), "options": JSON(options)]
    }

    private func depth(_ mount: ContainerConfiguration.Mount) -> Int { mount.containerPath.split(separator: "/").count }

    // MARK: Linux

    private func linux() throws(PluginError) -> JSON {
        let security = configuration.security
        var linux: JSON = [
            "namespaces": .array(namespaces), "cgroupsPath": .string("/\(cgroup)"),
            "devices": .array(devices.map(Self.node)), "resources": resources,
            "maskedPaths": JSON(security.maskedPaths), "readonlyPaths": JSON(security.readOnlyPaths),
        ]
        if let seccomp { linux["seccomp"] = seccomp }
        let propagations = configuration.mounts.map(\.propagation)
        if propagations.contains(.bidirectional) {
            linux["rootfsPropagation"] = "rshared"
        } else if propagations.contains(.hostToContainer) {
            linux["rootfsPropagation"] = "rslave"
        }
        return linux
    }

    private var namespaces: [JSON] {
        let pod = sandbox.configuration
        var namespaces: [JSON] = [["type": "mount"], ["type": "cgroup"]]
        func join(_ type: String, _ path: String) { namespaces.append(["type": .string(type), "path": .string(path)]) }
        if let holder = sandbox.holder {
            join("pid", "/proc/\(holder)/ns/pid")
        } else if !pod.usesHostProcesses {
            namespaces.append(["type": "pid"])
        }
        if !pod.usesHostNetwork {
            join("network", "\(sandbox.directory)/net")
            join("uts", "\(sandbox.directory)/uts")
        }
        if !pod.usesHostInterProcess { join("ipc", "\(sandbox.directory)/ipc") }
        return namespaces
    }

    private static func node(_ device: DeviceNode) -> JSON {
        [
            "path": .string(device.path), "type": .string(device.kind.rawValue), "major": JSON(device.major),
            "minor": JSON(device.minor), "fileMode": JSON(device.mode & 0o7777), "uid": JSON(device.user),
            "gid": JSON(device.group),
        ]
    }

    private var resources: JSON {
        let given = configuration.resources
        var resources: JSON = ["devices": .array(deviceAccess)]
        var cpu: JSON = [:]
        if let shares = given.cpuShares, shares > 0 { cpu["shares"] = .integer(max(2, shares)) }
        if let quota = given.cpuQuota {
            cpu["quota"] = .integer(quota > 0 ? max(quota, 1000) : -1)
            let period = given.cpuPeriod ?? 0
            cpu["period"] = .integer(period > 0 ? max(period, 1000) : 100_000)
        }
        if let list = given.cpusetCPUs { cpu["cpus"] = .string(list) }
        if let list = given.cpusetMemoryNodes { cpu["mems"] = .string(list) }
        if !cpu.isEmpty { resources["cpu"] = cpu }
        if let limit = given.memoryLimitBytes { resources["memory"] = ["limit": .integer(limit > 0 ? limit : -1)] }
        if let limit = given.pidsLimit { resources["pids"] = ["limit": .integer(limit > 0 ? limit : -1)] }
        if !given.hugepageLimits.isEmpty {
            resources["hugepageLimits"] = .array(
                given.hugepageLimits.map { ["pageSize": .string($0.pageSize), "limit": .integer($0.limit)] })
        }
        return resources
    }

    private var deviceAccess: [JSON] {
        if configuration.security.isPrivileged { return [["allow": true, "access": "rwm"]] }
        var access: [JSON] = [["allow": false, "access": "rwm"]]
        for rule in DeviceRule.defaults + deviceRules {
            var entry: JSON = [
                "allow": true, "type": .string(rule.kind.rawValue), "access": .string(rule.access),
            ]
            if let major = rule.major { entry["major"] = JSON(major) }
            if let minor = rule.minor { entry["minor"] = JSON(minor) }
            access.append(entry)
        }
        return access
    }
}

extension ContainerConfiguration.Mount.Propagation {
    /// As mount options name it.
    fileprivate var option: String {
        switch self {
        case .isolated: "rprivate"
        case .hostToContainer: "rslave"
        case .bidirectional: "rshared"
        }
    }
}
