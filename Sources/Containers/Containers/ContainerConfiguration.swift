import Objects
import PluginKit

/// What a container is to be: the ContainerConfig message of the role, checked.
package struct ContainerConfiguration: Sendable {
    package struct Mount: Sendable, Equatable {
        package enum Propagation: Sendable, Equatable { case isolated, hostToContainer, bidirectional }
        package var containerPath: String
        /// Empty for an image.
        package var hostPath: String
        /// An image, by reference or id, whose files are mounted, read-only.
        package var image: String?
        /// What of the image; empty for all.
        package var imagePath = ""
        package var isReadOnly = false
        /// Read-only with all that is mounted below it. The default runtime always does so.
        package var isReadOnlyBelow = false
        package var propagation = Propagation.isolated
    }

    package struct Device: Sendable, Equatable {
        package var containerPath: String
        package var hostPath: String
        /// Letters of r, w, m.
        package var permissions = "rwm"
    }

    package var name: String
    package var attempt: Int64
    package var image: String
    package var command: [String]
    package var arguments: [String]
    package var workingDirectory: String
    /// NAME=VALUE
    package var environment: [String]
    package var mounts: [Mount]
    package var devices: [Device]
    package var keepsInputOpen: Bool
    package var closesInputAfterAttach: Bool
    package var hasTerminal: Bool
    /// Relative to the sandbox's log directory; empty for none.
    package var logPath: String
    package var labels: JSON
    package var annotations: JSON
    package var resources: Resources
    package var security: SecurityConfiguration
    package var stopSignal: String
    /// A container of the same pod whose process namespace this one joins; empty for the pod's own or a new one.
    package var targetContainerID: String

    package init(_ json: JSON) throws(PluginError) {
        guard let name = json["name"].stringValue, !name.isEmpty else {
            throw .invalid("config.name of the container is missing")
        }
        self.name = name
        guard let image = json["image"].stringValue, !image.isEmpty else {
            throw .invalid("container \(name) names no image")
        }
        self.image = image
        attempt = json["attempt"].integerValue ?? 0
        command = json["command"].arrayValue.compactMap(\.stringValue)
        arguments = json["args"].arrayValue.compactMap(\.stringValue)
        workingDirectory = json["workingDirectory"].stringValue ?? ""
        environment = json["environment"].arrayValue.compactMap { entry in
            entry["name"].stringValue.map { "\($0)=\(entry["value"].stringValue ?? "")" }
        }
        keepsInputOpen = json["stdin"].boolValue ?? false
        closesInputAfterAttach = json["stdinOnce"].boolValue ?? false
        hasTerminal = json["tty"].boolValue ?? false
        logPath = json["logPath"].stringValue ?? ""
        labels = json["labels"]
        annotations = json["annotations"]
        resources = try Resources(json["resources"])
        security = try SecurityConfiguration(json["security"])
        stopSignal = json["stopSignal"].stringValue ?? ""
        targetContainerID = json["targetContainerID"].stringValue ?? ""
        mounts = []
        devices = []
        for mount in json["mounts"].arrayValue { mounts.append(try Self.mount(mount, name)) }
        for device in json["devices"].arrayValue { devices.append(try Self.device(device, name)) }
        for edit in json["edits"].arrayValue { try apply(edit) }
        for text in command + arguments + environment + [workingDirectory] where text.utf8.contains(0) {
            throw .invalid("container \(name): a command, argument or environment variable holds a zero byte")
        }
    }

    private static func mount(_ json: JSON, _ name: String) throws(PluginError) -> Mount {
        if let image = json["image"].stringValue, !image.isEmpty {
            var mount = Mount(
                containerPath: try path(json["containerPath"], "mounts.containerPath", name), hostPath: "",
                image: image,
                isReadOnly: true)
            if let part = json["imagePath"].stringValue, !part.isEmpty {
                mount.imagePath = try path(json["imagePath"], "mounts.imagePath", name)
            }
            return mount
        }
        var mount = Mount(
            containerPath: try path(json["containerPath"], "mounts.containerPath", name),
            hostPath: try path(json["hostPath"], "mounts.hostPath", name))
        mount.isReadOnly = json["readOnly"].boolValue ?? false
        mount.isReadOnlyBelow = json["recursiveReadOnly"].boolValue ?? false
        switch json["propagation"].stringValue {
        case nil, "private": break
        case "hostToContainer": mount.propagation = .hostToContainer
        case "bidirectional": mount.propagation = .bidirectional
        case let other?:
            throw .invalid(
                "container \(name): mount propagation \"\(other)\" is not private, hostToContainer or bidirectional")
        }
        return mount
    }

    /// The images that it mounts beside its own.
    package var mountedImages: [String] { Set(mounts.compactMap(\.image)).sorted() }

    private static func device(_ json: JSON, _ name: String) throws(PluginError) -> Device {
        let host = try path(json["hostPath"], "devices.hostPath", name)
        let permissions = json["permissions"].stringValue ?? "rwm"
        guard !permissions.isEmpty, permissions.allSatisfy({ "rwm".contains($0) }) else {
            throw .invalid("container \(name): device permissions \"\(permissions)\" must be letters of r, w and m")
        }
        let inside = json["containerPath"].stringValue ?? ""
        return Device(containerPath: inside.isEmpty ? host : inside, hostPath: host, permissions: permissions)
    }

    /// Absolute, without "..": resolved inside the container's root anyway, but never meant.
    private static func path(_ json: JSON, _ member: String, _ name: String) throws(PluginError) -> String {
        guard let path = json.stringValue, !path.isEmpty, !path.utf8.contains(0) else {
            throw .invalid("container \(name): \(member) is missing")
        }
        let absolute = path.hasPrefix("/") ? path : "/\(path)"
        guard !absolute.split(separator: "/").contains("..") else {
            throw .invalid("container \(name): \(member) \"\(path)\" must not hold \"..\"")
        }
        return absolute
    }

    /// CDI containerEdits: Container Device Interface specification, version 0.6.
    private mutating func apply(_ edit: JSON) throws(PluginError) {
        environment += edit["env"].arrayValue.compactMap(\.stringValue).filter { $0.contains("=") }
        for node in edit["deviceNodes"].arrayValue {
            let inside = try Self.path(node["path"], "edits.deviceNodes.path", name)
            devices.append(
                Device(
                    containerPath: inside, hostPath: node["hostPath"].stringValue ?? inside,
                    permissions: node["permissions"].stringValue ?? "rwm"))
        }
        for mount in edit["mounts"].arrayValue {
            let options = mount["options"].arrayValue.compactMap(\.stringValue)
            mounts.append(
                Mount(
                    containerPath: try Self.path(mount["containerPath"], "edits.mounts.containerPath", name),
                    hostPath: try Self.path(mount["hostPath"], "edits.mounts.hostPath", name),
                    isReadOnly: options.contains("ro"),
                    propagation: options.contains("rslave") || options.contains("slave") ? .hostToContainer : .isolated)
            )
        }
        if !edit["hooks"].isEmpty {
            throw .notSupported("container \(name): the device's CDI edits ask for hooks, which hostd does not run")
        }
    }
}

/// The Security message of the role.
package struct SecurityConfiguration: Sendable {
    package enum Seccomp: Sendable, Equatable { case runtimeDefault, unconfined, localhost(String) }

    package var isPrivileged: Bool
    package var runAsUser: UInt64?
    package var runAsUsername: String?
    package var runAsGroup: UInt64?
    package var supplementalGroups: [UInt64]
    /// The image's /etc/group gives its user no further groups.
    package var hasOnlyListedGroups: Bool
    package var hasReadOnlyRoot: Bool
    package var noNewPrivileges: Bool
    package var mustNotBeRoot: Bool
    package var addedCapabilities: [String]
    package var droppedCapabilities: [String]
    package var seccomp: Seccomp
    package var maskedPaths: [String]
    package var readOnlyPaths: [String]

    /// What of /proc and /sys tells of, or reaches into, the host.
    package static let standardMaskedPaths = [
        "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]
    package static let standardReadOnlyPaths = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]

    package init(_ json: JSON) throws(PluginError) {
        isPrivileged = json["privileged"].boolValue ?? false
        runAsUser = try Self.identifier(json, "runAsUser")
        runAsGroup = try Self.identifier(json, "runAsGroup")
        runAsUsername = json["runAsUsername"].stringValue
        supplementalGroups = json["supplementalGroups"].arrayValue.compactMap {
            $0.integerValue.flatMap { UInt64(exactly: $0) }
        }
        guard supplementalGroups.count <= 60 else {
            throw .invalid("security.supplementalGroups may list at most 60 groups")
        }
        hasOnlyListedGroups = json["onlyListedGroups"].boolValue ?? false
        hasReadOnlyRoot = json["readOnlyRootFilesystem"].boolValue ?? false
        noNewPrivileges = json["noNewPrivileges"].boolValue ?? false
        mustNotBeRoot = json["runAsNonRoot"].boolValue ?? false
        addedCapabilities = json["capabilities"]["add"].arrayValue.compactMap(\.stringValue)
        droppedCapabilities = json["capabilities"]["drop"].arrayValue.compactMap(\.stringValue)
        switch json["seccomp"]["type"].stringValue {
        case nil: seccomp = isPrivileged ? .unconfined : .runtimeDefault
        case "RuntimeDefault": seccomp = .runtimeDefault
        case "Unconfined": seccomp = .unconfined
        case "Localhost":
            guard let path = json["seccomp"]["path"].stringValue, path.hasPrefix("/") else {
                throw .invalid("security.seccomp of the type Localhost needs an absolute path")
            }
            seccomp = .localhost(path)
        case let other?:
            throw .invalid("security.seccomp.type \"\(other)\" is not RuntimeDefault, Unconfined or Localhost")
        }
        maskedPaths = isPrivileged ? [] : Self.paths(json["maskedPaths"], Self.standardMaskedPaths)
        readOnlyPaths = isPrivileged ? [] : Self.paths(json["readonlyPaths"], Self.standardReadOnlyPaths)
    }

    /// An empty list means: none at all (procMount: Unmasked).
    private static func paths(_ json: JSON, _ standard: [String]) -> [String] {
        json.exists ? json.arrayValue.compactMap(\.stringValue) : standard
    }

    package func capabilities() throws(PluginError) -> CapabilitySet {
        if isPrivileged { return .all }
        return try CapabilitySet(.standard, adding: addedCapabilities, dropping: droppedCapabilities)
    }

    private static func identifier(_ json: JSON, _ name: String) throws(PluginError) -> UInt64? {
        guard json[name].exists else { return nil }
        guard let value = json[name].integerValue, (0..<Int64(UInt32.max)).contains(value) else {
            throw .invalid("security.\(name) must be a number from 0 to 4294967294")
        }
        return UInt64(value)
    }
}
