import Containers
import Glibc
import Objects
import PluginKit

/// Makes containers through an OCI runtime: a bundle in the container's directory, `run --detach` below the monitor, and
/// `exec --detach` below a helper, so that each process' end is seen by whoever waits for it.
final class OCIEngine: ContainerEngine {
    private let services: EngineServices
    private let runtime: OCIRuntime
    private let abilities: HostAbilities

    init(_ services: EngineServices, _ runtime: OCIRuntime) throws(PluginError) {
        self.services = services
        self.runtime = runtime
        abilities = try HostAbilities.ofThisProcess()
    }

    var status: JSONObject {
        [
            "name": .string(runtime.name), "version": .string(runtime.version),
            "features": [
                "deviceFilter": true, "recursiveReadOnlyMounts": true, "imageVolumes": true, "onlyListedGroups": true,
            ],
        ]
    }

    /// All but the user, whose name only the mounted image can tell.
    func check(_ container: Container, _ sandbox: Sandbox, _ image: StoredImage) throws(PluginError) {
        if sandbox.configuration.users != nil {
            throw .notSupported(
                "container \(container.configuration.name): this runtime gives pods no users of their own (hostUsers: "
                    + "false); run the pod by hostd's own runtime")
        }
        let identity = try ContainerIdentity(.init(text: "0"), users: "", groups: "", subject: "")
        _ = try plan(container, sandbox, image, identity).encoded()
    }

    /// The runtime guards devices itself.
    func prepareGroup(_ container: Container) {}

    // MARK: Start

    func start(_ container: Container, _ sandbox: Sandbox, _ image: StoredImage) throws(PluginError) -> Launcher.Helper
    {
        let images = services.images
        let root = try RootFilesystem.mount(
            container, layersDirectory: images.layersDirectory, layers: try images.lowerDirectories(image))
        let identity = try identity(
            container, image, in: root, user: nil, subject: "container \(container.configuration.name)")
        container.user.withLock {
            $0 = ContainerUser(user: identity.user, group: identity.group, groups: identity.groups)
        }
        let bundle = try plan(container, sandbox, image, identity).encoded()
        try AtomicFile.write(
            bundle.serialized(), to: "\(container.directory)/\(OCIFile.configuration)", isDurable: false)
        let configuration = container.configuration
        var result = InitConfiguration()
        result.add(.stateDirectory, container.directory)
        if !container.logPath.isEmpty { result.add(.logPath, container.logPath) }
        if configuration.hasTerminal { result.add(.terminal, 1) }
        if configuration.keepsInputOpen { result.add(.standardInput, configuration.closesInputAfterAttach ? 2 : 1) }
        if let file = services.cgroups.oomFile(container.cgroup) { result.add(.cgroupOOM, file) }
        let command = runtime.run(container.id, hasTerminal: configuration.hasTerminal)
        result.add(.runtimeLog, OCIFile.log)
        addRuntime(&result, container, command, hasTerminal: configuration.hasTerminal)
        return try services.launcher.start(.throughRuntime, result)
    }

    private func addRuntime(
        _ result: inout InitConfiguration, _ container: Container, _ command: [String], hasTerminal: Bool
    ) {
        for argument in command { result.add(.runtimeArgument, argument) }
        result.add(.processFile, OCIFile.process)
        if hasTerminal { result.add(.consoleSocket, OCIFile.console) }
        // Runtimes know v1 or v2. Where both are, they keep to v1, and the process is born in its v2 group.
        let cgroups = services.cgroups
        if cgroups.layout.mode == .hybrid, let directory = cgroups.unifiedDirectory(container.cgroup) {
            result.add(.cgroupUnified, directory)
        }
    }

    private func identity(
        _ container: Container, _ image: StoredImage, in root: Descriptor, user: String?, subject: String
    ) throws(PluginError) -> ContainerIdentity {
        let security = container.configuration.security
        var request = ContainerIdentity.Request(text: user ?? security.runAsUsername ?? image.configuration.user)
        if user == nil {
            request.user = security.runAsUser
            request.group = security.runAsGroup
        }
        request.supplementary = security.supplementalGroups
        request.hasOnlyListedGroups = security.hasOnlyListedGroups
        request.mustNotBeRoot = security.mustNotBeRoot
        return try ContainerIdentity(
            request, users: try ContainerIdentity.file("/etc/passwd", in: root),
            groups: try ContainerIdentity.file("/etc/group", in: root), subject: subject)
    }

    private func plan(
        _ container: Container, _ sandbox: Sandbox, _ image: StoredImage, _ identity: ContainerIdentity
    ) throws(PluginError) -> BundlePlan {
        let security = container.configuration.security
        let capabilities = try security.capabilities()
        let seccomp: JSON? =
            switch security.seccomp {
            case .unconfined: nil
            case .runtimeDefault: SeccompProfile.runtimeDefault(capabilities)
            case .localhost(let path): try SeccompProfile.localhost(path: path, capabilities)
            }
        var devices: [DeviceNode] = security.isPrivileged ? try DeviceNode.all() : []
        var rules: [DeviceRule] = []
        for device in container.configuration.devices {
            let nodes = try DeviceNode.ofHost(device)
            devices += nodes
            rules += nodes.map { $0.rule(device.permissions) }
        }
        return BundlePlan(
            configuration: container.configuration, image: image.configuration,
            sandbox: .init(
                configuration: sandbox.configuration, directory: sandbox.directory,
                holder: (container.target.withLock { $0 } ?? sandbox.holder)?.process),
            identity: identity, abilities: abilities, cgroup: container.cgroup.text, seccomp: seccomp,
            devices: devices, deviceRules: rules, images: try layers(of: container.configuration))
    }

    func user(of container: Container) -> ContainerUser? {
        guard let bytes = try? AtomicFile.read("\(container.directory)/\(OCIFile.configuration)"),
            let user = (try? JSON(parsing: bytes))?["process"]["user"], let number = user["uid"].integerValue,
            let group = user["gid"].integerValue
        else { return nil }
        return ContainerUser(
            user: UInt32(clamping: number), group: UInt32(clamping: group),
            groups: user["additionalGids"].arrayValue.compactMap { $0.integerValue.map { UInt32(clamping: $0) } })
    }

    /// The layers of images that are mounted as volumes, topmost first. Overlayfs wants two at least where nothing can be
    /// written.
    private func layers(of configuration: ContainerConfiguration) throws(PluginError) -> [String: [String]] {
        if let mount = configuration.mounts.first(where: { !$0.imagePath.isEmpty }) {
            throw .notSupported(
                "container \(configuration.name): an OCI runtime mounts images as a whole, and no part of one "
                    + "(\(mount.imagePath)); run the pod by hostd's own runtime, or leave the subPath out")
        }
        var layers: [String: [String]] = [:]
        for name in configuration.mountedImages {
            guard let image = try services.images.find(name) else {
                throw .notFound("there is no image \(name) on this node to be mounted as a volume")
            }
            let numbers = try services.images.lowerDirectories(image)
            layers[name] = (numbers.count > 1 ? numbers : numbers + [0]).map {
                "\(services.images.layersDirectory)/\($0)"
            }
        }
        return layers
    }

    // MARK: Exec

    func execute(_ call: ExecCall) throws(PluginError) -> Launcher.Helper {
        let container = call.container
        let name = "exec-\(randomIdentifier(bytes: 8))"
        let directory = "\(container.directory)/\(name)"
        let root = try Descriptor(opening: "/proc/\(call.target.process)/root", O_RDONLY | O_DIRECTORY)
        let identity = try identity(
            container, call.image, in: root, user: call.user,
            subject: "exec in container \(container.configuration.name)")
        let specification = try plan(container, call.sandbox, call.image, identity).process(
            call.command, hasTerminal: call.hasTerminal)
        try AtomicFile.makeDirectory(directory, mode: 0o700)
        try AtomicFile.write(
            specification.serialized(), to: "\(directory)/\(OCIFile.specification)", isDurable: false)
        var result = InitConfiguration()
        result.add(.stateDirectory, directory)
        result.add(.runtimeLog, "\(name)/\(OCIFile.log)")
        addRuntime(
            &result, container, runtime.exec(container.id, hasTerminal: call.hasTerminal), hasTerminal: call.hasTerminal
        )
        for file in [OCIFile.specification, OCIFile.process, OCIFile.console, OCIFile.log, directory] {
            result.add(.temporary, file)
        }
        return try services.launcher.start(
            .execThroughRuntime, result, streams: call.streams, control: call.control)
    }

    // MARK: End

    func failure(_ report: InitReport, of container: Container, subject: String) -> PluginError {
        guard report.step == InitStep.runtime.rawValue else { return LaunchFailure.error(report, subject: subject) }
        do throws(PluginError) {
            // Of a further process it lies in a directory of its own, which has served then.
            let file = "\(container.directory)/\(report.path)"
            let log = try readSmallFile(file) ?? ""
            if let slash = report.path.lastIndex(of: "/") {
                try FileTree.remove("\(container.directory)/\(report.path[..<slash])")
            }
            return runtime.error(OCIRuntime.message(log: log), code: report.code, subject: subject)
        } catch {
            return error
        }
    }

    func ended(_ container: Container) throws(PluginError) { try RootFilesystem.unmount(container) }

    func remove(_ container: Container) throws(PluginError) { try runtime.delete(container.id) }
}
