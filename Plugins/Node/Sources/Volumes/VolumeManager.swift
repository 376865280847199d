import Glibc
import Objects
import PluginKit

/// Sets up, refreshes and tears down the volumes of pods. All state is on disk and in the mount table, so that nothing
/// must be remembered over a restart. Calls for one pod are serial, for several pods concurrent.
final class VolumeManager: Sendable {
    let paths: NodePaths
    private let mounts: any Mounts
    private let objects: any ObjectReader
    private let tokens: TokenCache
    private let claims: ClaimedVolumes

    init(
        paths: NodePaths, mounts: any Mounts, objects: any ObjectReader, tokens: TokenCache, drivers: any VolumeDrivers
    ) {
        self.paths = paths
        self.mounts = mounts
        self.objects = objects
        self.tokens = tokens
        claims = ClaimedVolumes(paths: paths, objects: objects, drivers: drivers)
    }

    /// Makes all volumes of the pod ready; answers them by name. Idempotent.
    func setUp(
        _ pod: Pod, facts: PodRuntimeFacts, allocatable: ResourceFieldReference.NodeAllocatable
    ) throws -> [String: MountedVolume] {
        try Files.makeDirectories(paths.volumes(pod.uid), mode: 0o750)
        var result: [String: MountedVolume] = [:]
        for volume in pod.specification["volumes"].arrayValue {
            guard let name = volume["name"].stringValue else { continue }
            do {
                let mounted = try setUp(volume, named: name, pod: pod, facts: facts, allocatable: allocatable)
                try applyGroup(mounted, pod: pod)
                result[name] = mounted
            } catch {
                throw VolumeError(message: "MountVolume.SetUp failed for volume \"\(name)\" : \(error)")
            }
        }
        return result
    }

    /// Brings volumes that are made from API objects up to date.
    func refresh(_ pod: Pod, facts: PodRuntimeFacts, allocatable: ResourceFieldReference.NodeAllocatable) throws {
        for volume in pod.specification["volumes"].arrayValue where VolumePayloadBuilder.handles(volume) {
            guard let name = volume["name"].stringValue else { continue }
            _ = try payload(volume, named: name, pod: pod, facts: facts, allocatable: allocatable)
        }
    }

    /// Seconds until a token in one of the pod's volumes must be renewed.
    func secondsToRenewal(_ pod: Pod, now: Double) -> Double? {
        tokens.nextRenewal(podUID: pod.uid).map { max(1, $0 - now) }
    }

    private func setUp(
        _ volume: JSON, named name: String, pod: Pod, facts: PodRuntimeFacts,
        allocatable: ResourceFieldReference.NodeAllocatable
    ) throws -> MountedVolume {
        if VolumePayloadBuilder.handles(volume) {
            return try payload(volume, named: name, pod: pod, facts: facts, allocatable: allocatable)
        }
        if volume["emptyDir"].exists {
            return try emptyDirectory(
                volume["emptyDir"], named: name, pod: pod, nodeMemoryBytes: allocatable.memoryBytes)
        }
        if volume["hostPath"].exists { return try HostPathVolume.setUp(volume["hostPath"]) }
        if volume["persistentVolumeClaim"].exists {
            let source = volume["persistentVolumeClaim"]
            return try claims.setUp(
                claim: source["claimName"].stringValue ?? "", pod: pod, readOnly: source["readOnly"].boolValue ?? false)
        }
        if volume["image"].exists {
            return MountedVolume(hostPath: "", image: volume["image"]["reference"].stringValue ?? "", readOnly: true)
        }
        if volume["ephemeral"].exists {
            return try claims.setUp(claim: "\(pod.name)-\(name)", pod: pod, readOnly: false, owner: pod.uid)
        }
        let kinds = volume.objectValue?.keys.filter { $0 != "name" } ?? []
        if kinds.isEmpty { return try emptyDirectory([:], named: name, pod: pod, nodeMemoryBytes: 0) }
        throw VolumeError(message: "volume type \(kinds.joined(separator: ", ")) is not supported by this node")
    }

    private func payload(
        _ volume: JSON, named name: String, pod: Pod, facts: PodRuntimeFacts,
        allocatable: ResourceFieldReference.NodeAllocatable
    ) throws -> MountedVolume {
        let builder = VolumePayloadBuilder(
            pod: pod, facts: facts, allocatable: allocatable,
            object: { [objects] in try objects.object("\($0)/\(pod.namespace)/\($1)") },
            token: { [tokens] in
                try tokens.token(for: pod, audience: $0, expirationSeconds: $1, now: WallClock.now())
            })
        let files = try builder.build(volume)
        let kind = ["configMap", "secret", "downwardAPI", "projected"].first { volume[$0].exists } ?? "configMap"
        let path = paths.volume(pod.uid, kind: "kubernetes.io~\(kind.lowercased())", name: name)
        try Files.makeDirectories(path)
        // Secrets and tokens never reach a disk.
        if kind == "secret" || kind == "projected", try !mounts.isMountPoint(path) {
            try mounts.mountMemory(at: path, sizeBytes: 0, mode: 0o755)
        }
        let group = pod.specification["securityContext"]["fsGroup"].integerValue.map { gid_t(truncatingIfNeeded: $0) }
        try AtomicDirectory(path: path, group: group).write(files)
        return MountedVolume(hostPath: path, readOnly: true)
    }

    private func emptyDirectory(
        _ source: JSON, named name: String, pod: Pod, nodeMemoryBytes: Int64
    ) throws -> MountedVolume {
        let path = paths.volume(pod.uid, kind: "kubernetes.io~empty-dir", name: name)
        let exists = try Files.status(path) != nil
        try Files.makeDirectories(path, mode: 0o777)
        switch source["medium"].stringValue ?? "" {
        case "":
            if !exists { try SystemError.check("chmod", path) { chmod(path, 0o777) } }
        case "Memory":
            if try !mounts.isMountPoint(path) {
                // What is in memory counts for the pod: more than it may have could not be written anyway.
                let bounds = [
                    ResourceQuantity.value(source["sizeLimit"]),
                    ResourceTranslation.pod(pod)["memoryLimitBytes"].integerValue, nodeMemoryBytes,
                ]
                let size = bounds.compactMap { $0 }.filter { $0 > 0 }.min() ?? 0
                // As open as /tmp, as every tmpfs is that is mounted without a word about it.
                try mounts.mountMemory(at: path, sizeBytes: size, mode: 0o1777)
            }
        case let medium: throw VolumeError(message: "emptyDir medium \"\(medium)\" is not supported by this node")
        }
        return MountedVolume(hostPath: path, takesGroup: true)
    }

    private func applyGroup(_ volume: MountedVolume, pod: Pod) throws {
        let security = pod.specification["securityContext"]
        guard volume.takesGroup, !volume.isBlock, let group = security["fsGroup"].integerValue else { return }
        try VolumeOwnership.apply(
            volume.hostPath, group: gid_t(truncatingIfNeeded: group),
            onlyOnMismatch: security["fsGroupChangePolicy"].stringValue == "OnRootMismatch")
    }

    /// Gives all volumes of a pod back and unmounts what is left; files stay until `remove`. Idempotent.
    func tearDown(podUID: String) throws {
        let claimed = "\(paths.volumes(podUID))/\(ClaimedVolumes.kind)"
        let table = try Files.text("/proc/self/mountinfo")
        let below = MountTable.mounts(below: paths.pod(podUID), table: table)
        for point in below where !point.hasPrefix(claimed + "/") { try mounts.unmount(point) }
        for name in try Files.list(claimed) {
            try claims.tearDown(directory: "\(claimed)/\(name)")
            try FileTree.remove("\(claimed)/\(name)")
        }
        tokens.forget(podUID: podUID)
    }

    /// Removes the pod's directory, after `tearDown`.
    func remove(podUID: String) throws { try FileTree.remove(paths.pod(podUID)) }

    // MARK: - Mounts of containers

    /// The mounts that a container asks for, from volumes that are set up.
    func mounts(
        _ container: PodContainer, pod: Pod, volumes: [String: MountedVolume], variables: [String: String]
    ) throws -> [ContainerMount] {
        var result: [ContainerMount] = []
        for (position, mount) in container.object["volumeMounts"].arrayValue.enumerated() {
            let name = mount["name"].stringValue ?? ""
            guard let volume = volumes[name] else {
                throw ContainerConfigurationError(
                    message: "cannot find volume \"\(name)\" to mount into container \"\(container.name)\"")
            }
            var hostPath = volume.hostPath
            let subPath = try subPath(mount, variables: variables) ?? ""
            if volume.image == nil, !subPath.isEmpty {
                hostPath = paths.subPath(pod.uid, volume: name, container: container.name, position: position)
                do { try bindSubPath(subPath, of: volume.hostPath, to: hostPath) } catch {
                    throw ContainerConfigurationError(
                        message: "failed to prepare subPath for volumeMount \"\(name)\" of container "
                            + "\"\(container.name)\": \(error)")
                }
            }
            let path = mount["mountPath"].stringValue ?? ""
            result.append(
                ContainerMount(
                    containerPath: path.hasPrefix("/") ? path : "/\(path)", hostPath: hostPath, image: volume.image,
                    imagePath: volume.image == nil ? "" : try SubPath.checked(subPath),
                    readOnly: mount["readOnly"].boolValue == true || volume.readOnly,
                    recursiveReadOnly: ["Enabled", "IfPossible"].contains(mount["recursiveReadOnly"].stringValue),
                    propagation: ContainerMount.propagation(mount["mountPropagation"])))
        }
        return result
    }

    /// Devices of block volumes: (path in the container, path on the host).
    func devices(_ container: PodContainer, volumes: [String: MountedVolume]) -> [JSON] {
        container.object["volumeDevices"].arrayValue.compactMap { device in
            guard let volume = volumes[device["name"].stringValue ?? ""], volume.isBlock else { return nil }
            return [
                "containerPath": device["devicePath"], "hostPath": .string(volume.hostPath),
                "permissions": volume.readOnly ? "r" : "rw",
            ]
        }
    }

    private func subPath(_ mount: JSON, variables: [String: String]) throws -> String? {
        guard let expression = mount["subPathExpr"].stringValue, !expression.isEmpty else {
            return mount["subPath"].stringValue
        }
        // What is empty is missing: the whole volume, or another directory, would be mounted in its place.
        var missing: Set<String> = []
        let path = VariableExpansion.expand(expression) { name in
            if variables[name, default: ""].isEmpty { missing.insert(name) }
            return variables[name]
        }
        guard missing.isEmpty else {
            throw ContainerConfigurationError(
                message: "missing value for \(missing.sorted().joined(separator: ", "))")
        }
        return path
    }

    private func bindSubPath(_ subPath: String, of volume: String, to target: String) throws {
        let source = try SubPath.open(subPath, below: volume)
        defer { close(source) }
        var information = stat()
        try SystemError.check("stat", subPath) { fstat(source, &information) }
        if try Files.status(target, follow: false) != nil {
            try mounts.unmount(target)
        } else if let slash = target.lastIndex(of: "/") {
            try Files.makeDirectories(String(target[..<slash]), mode: 0o750)
        }
        if Files.isDirectory(information) {
            try Files.makeDirectories(target, mode: 0o750)
        } else if try Files.status(target, follow: false) == nil {
            try Files.write([], to: target, mode: 0o640)
        }
        try mounts.bind(descriptor: source, to: target)
    }
}
