import Containers
import Glibc
import Objects
import PluginKit

/// Makes containers itself: everything is decided in a `ContainerPlan`, and hostd-container-init carries it out.
final class DirectEngine: ContainerEngine {
    private let services: EngineServices
    private let seccomp = SeccompFilter()
    /// The allow-list that most containers share, loaded once; nil where the kernel has no such programs.
    private let standardDevices: Descriptor?

    init(_ services: EngineServices) throws(PluginError) {
        self.services = services
        standardDevices = try Self.loadStandardDevices(services)
    }

    private static func loadStandardDevices(_ services: EngineServices) throws(PluginError) -> Descriptor? {
        guard services.cgroups.layout.unified != nil else { return nil }
        do throws(PluginError) {
            return try DeviceFilter.load(DeviceRule.defaults)
        } catch {
            guard services.cgroups.layout.controllers["devices"] != nil else { throw error }
            services.log(
                true, "The kernel refuses device filters (BPF); the v1 devices controller is used instead.",
                ["error": .string(error.message)])
            return nil
        }
    }

    var status: JSONObject {
        [
            "name": "hostd", "version": .string(RuntimePlugin.description.version),
            "features": [
                "deviceFilter": .bool(standardDevices != nil), "recursiveReadOnlyMounts": true, "imageVolumes": true,
                "onlyListedGroups": true, "userNamespaces": .bool(hasUserNamespaces),
            ],
        ]
    }

    /// Whether the kernel has them and the administrator allows some; a kernel without the limit's file has none.
    private var hasUserNamespaces: Bool {
        guard access("/proc/self/ns/user", F_OK) == 0,
            let text = try? readSmallFile("/proc/sys/user/max_user_namespaces")
        else { return false }
        return (Int(text.prefix { $0 != "\n" }) ?? 0) > 0
    }

    func check(_ container: Container, _ sandbox: Sandbox, _ image: StoredImage) throws(PluginError) {
        _ = try plan(container, sandbox, image).encoded()
    }

    func prepareGroup(_ container: Container) throws(PluginError) {
        if container.configuration.security.isPrivileged { return }
        var rules: [DeviceRule] = []
        for device in container.configuration.devices {
            rules += try DeviceNode.ofHost(device).map { $0.rule(device.permissions) }
        }
        let cgroups = services.cgroups
        if let directory = cgroups.unifiedDirectory(container.cgroup), let standard = standardDevices {
            let program = rules.isEmpty ? standard : try DeviceFilter.load(DeviceRule.defaults + rules)
            try DeviceFilter.attach(program, to: directory)
        } else if let mount = cgroups.layout.controllers["devices"] {
            let directory = "\(mount)/\(container.cgroup.text)"
            try cgroups.files.makeDirectory(directory)
            try cgroups.files.write("\(directory)/devices.deny", "a")
            for rule in DeviceRule.defaults + rules { try cgroups.files.write("\(directory)/devices.allow", rule.text) }
        }
    }

    func start(_ container: Container, _ sandbox: Sandbox, _ image: StoredImage) throws(PluginError) -> Launcher.Helper
    {
        try services.launcher.start(.monitor, try plan(container, sandbox, image).encoded())
    }

    func failure(_ report: InitReport, of container: Container, subject: String) -> PluginError {
        LaunchFailure.error(report, subject: subject)
    }

    /// The mounts lie in the container's own namespace and go with it.
    func ended(_ container: Container) {}
    func remove(_ container: Container) {}

    func execute(_ call: ExecCall) throws(PluginError) -> Launcher.Helper {
        let plan = try plan(call.container, call.sandbox, call.image)
        var result = InitConfiguration()
        result.add(.targetProcess, [UInt64(call.target.process), call.target.startTime])
        Sandbox.addUsers(call.sandbox.configuration, directory: call.sandbox.directory, to: &result)
        if let directory = plan.groups.unifiedDirectory { result.add(.cgroupUnified, directory) }
        for file in plan.groups.joinFiles { result.add(.cgroupJoin, file) }
        if call.hasTerminal { result.add(.terminal, 1) }
        for argument in call.command { result.add(.argument, argument) }
        let environment = plan.environment()
        for variable in environment { result.add(.environment, variable) }
        if call.hasTerminal, !environment.contains(where: { $0.hasPrefix("TERM=") }) {
            result.add(.environment, "TERM=xterm")
        }
        result.add(.workingDirectory, call.container.configuration.directory(call.image.configuration))
        plan.addIdentity(&result, user: call.user)
        return try services.launcher.start(.exec, result, streams: call.streams, control: call.control)
    }

    /// The layers of images that are mounted as volumes. Overlayfs wants two at least where nothing can be written.
    private func layers(of images: [String]) throws(PluginError) -> [String: String] {
        var layers: [String: String] = [:]
        for name in images {
            guard let image = try services.images.find(name) else {
                throw .notFound("there is no image \(name) on this node to be mounted as a volume")
            }
            let numbers = try services.images.lowerDirectories(image)
            layers[name] = (numbers.count > 1 ? numbers : numbers + [0]).map(String.init).joined(separator: ":")
        }
        return layers
    }

    /// Decides everything about a container's start.
    private func plan(_ container: Container, _ sandbox: Sandbox, _ image: StoredImage) throws(PluginError)
        -> ContainerPlan
    {
        let security = container.configuration.security
        let capabilities = try security.capabilities()
        let program: [UInt8]? =
            switch security.seccomp {
            case .unconfined: nil
            case .runtimeDefault: try seccomp.runtimeDefault(capabilities)
            case .localhost(let path): try SeccompFilter.localhost(path: path, capabilities)
            }
        var devices: [DeviceNode] = security.isPrivileged ? try DeviceNode.all() : []
        for device in container.configuration.devices { devices += try DeviceNode.ofHost(device) }
        let cgroups = services.cgroups
        var joins = cgroups.joinFiles(container.cgroup)
        if !security.isPrivileged, standardDevices == nil, let mount = cgroups.layout.controllers["devices"] {
            let file = "\(mount)/\(container.cgroup.text)/tasks"
            if !joins.contains(file) { joins.append(file) }
        }
        return ContainerPlan(
            configuration: container.configuration, image: image.configuration,
            sandbox: .init(
                configuration: sandbox.configuration, directory: sandbox.directory,
                holder: (container.target.withLock { $0 } ?? sandbox.holder)?.process),
            place: ContainerPlan.Place(
                directory: container.directory, layersDirectory: services.images.layersDirectory,
                lowerDirectories: try services.images.lowerDirectories(image).map(String.init).joined(separator: ":"),
                logPath: container.logPath, images: try layers(of: container.configuration.mountedImages)),
            groups: ContainerPlan.Groups(
                unifiedDirectory: cgroups.unifiedDirectory(container.cgroup), joinFiles: joins,
                oomFile: cgroups.oomFile(container.cgroup), mounts: cgroups.containerMounts,
                isUnified: cgroups.layout.mode == .v2),
            capabilities: capabilities, seccomp: program, devices: devices)
    }
}
