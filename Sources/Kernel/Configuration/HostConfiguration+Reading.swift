import Glibc
import Objects

extension HostConfiguration {
    /// Reads and checks a file. Everything but the options of plugins is final afterwards.
    public init(file: String) throws(ConfigurationError) {
        try self.init(text: try Self.contents(of: file), file: file)
    }

    /// Reads and checks a text; `file` is for messages and for relative paths of libraries.
    public init(text: [UInt8], file: String) throws(ConfigurationError) {
        let root = try ConfigurationScope(
            file: file, keyPath: "", node: try YAMLReader.read(text, file: file),
            allowed: ["settings", "store", "plugins", "roles"])
        self.file = file
        settings = try SharedSettings(try Self.scope(root, "settings", allowed: SharedSettings.keys))
        plugins = try Self.readPlugins(root)
        store = try Self.readStore(root, plugins: plugins)
        preferences = try Self.readRoles(root, plugins: plugins)
    }

    private static func contents(of file: String) throws(ConfigurationError) -> [UInt8] {
        func failure(_ message: String) -> ConfigurationError {
            ConfigurationError(file: file, mark: .none, keyPath: "", message: message)
        }
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be opened: \(errorText(errno))") }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot be read: \(errorText(errno))") }
            if count == 0 { return text }
            text += buffer[..<count]
            guard text.count <= YAMLReader.sizeLimit else {
                throw failure("is longer than \(YAMLReader.sizeLimit) bytes")
            }
        }
    }

    private static func scope(
        _ root: ConfigurationScope, _ key: String, allowed: [String]
    ) throws(ConfigurationError) -> ConfigurationScope {
        try ConfigurationScope(
            file: root.file, keyPath: key, node: root.entry(key)?.value ?? .emptyMapping(at: root.node.mark),
            allowed: allowed)
    }

    private static func readStore(
        _ root: ConfigurationScope, plugins: [PluginSettings]
    ) throws(ConfigurationError) -> StoreSettings {
        try StoreSettings(try scope(root, "store", allowed: StoreSettings.keys), plugins: plugins.map(\.name))
    }

    private static func readPlugins(_ root: ConfigurationScope) throws(ConfigurationError) -> [PluginSettings] {
        var plugins: [PluginSettings] = []
        for (index, node) in try (root.elements("plugins") ?? []).enumerated() {
            let scope = try ConfigurationScope(
                file: root.file, keyPath: "plugins[\(index)]", node: node,
                allowed: ["name", "library", "optional", "standby", "options"] + IsolationSettings.keys)
            guard let name = try scope.text("name") else {
                throw ConfigurationError(
                    file: root.file, mark: node.mark, keyPath: scope.keyPath, message: "the key name is missing")
            }
            guard isLabel(name[...]) else {
                throw scope.failure("name", "\"\(name)\" is not a name: 1 to 63 of a-z, 0-9 and -")
            }
            guard name != "embedded", name != "host", !plugins.contains(where: { $0.name == name }) else {
                throw scope.failure("name", "\"\(name)\" is taken: every plugin needs a name of its own")
            }
            let library = try scope.text("library") ?? name
            guard !library.isEmpty, library.utf8.count <= 1024 else {
                throw scope.failure("library", "expected a name or a path of at most 1024 bytes")
            }
            plugins.append(
                PluginSettings(
                    name: name, library: library, isOptional: try scope.flag("optional") ?? false,
                    isStandby: try scope.flag("standby") ?? false, isolation: try IsolationSettings(scope),
                    options: scope.entry("options")?.value ?? .emptyMapping(at: node.mark), keyPath: scope.keyPath,
                    mark: node.mark))
        }
        return plugins
    }

    private static func readRoles(
        _ root: ConfigurationScope, plugins: [PluginSettings]
    ) throws(ConfigurationError) -> [String: [String]] {
        guard let entry = root.entry("roles") else { return [:] }
        guard case .mapping(let entries) = entry.value.content else {
            if case .scalar("", true) = entry.value.content { return [:] }
            throw root.failure(
                "roles", "expected a mapping of roles to lists of plugins, found \(entry.value.description)")
        }
        var preferences: [String: [String]] = [:]
        for role in entries {
            let path = "roles.\(role.key)"
            guard isRoleIdentifier(role.key) else {
                throw ConfigurationError(
                    file: root.file, mark: role.mark, keyPath: path,
                    message: "\"\(role.key)\" is not the id of a role, such as hostd.scheduler/1")
            }
            guard case .sequence(let elements) = role.value.content else {
                throw ConfigurationError(
                    file: root.file, mark: role.value.mark, keyPath: path,
                    message: "expected a list of names of plugins, found \(role.value.description)")
            }
            preferences[role.key] = try names(elements, path: path, file: root.file, known: plugins.map(\.name))
        }
        return preferences
    }

    private static func names(
        _ elements: [YAMLNode], path: String, file: String, known: [String]
    ) throws(ConfigurationError) -> [String] {
        var names: [String] = []
        for (index, element) in elements.enumerated() {
            func failure(_ message: String) -> ConfigurationError {
                ConfigurationError(file: file, mark: element.mark, keyPath: "\(path)[\(index)]", message: message)
            }
            guard let name = element.json.stringValue else {
                throw failure("expected the name of a plugin, found \(element.description)")
            }
            guard known.contains(name) else {
                throw failure(
                    "no plugin is named \"\(name)\"; there are \(list(known))" + suggestion(for: name, among: known))
            }
            guard !names.contains(name) else { throw failure("\"\(name)\" is there twice") }
            names.append(name)
        }
        return names
    }
}

/// "hostd.scheduler/1": lower-case labels with dots, a slash, a version from 1; at most 128 bytes.
public func isRoleIdentifier(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard text.utf8.count <= 128, parts.count == 2, let version = UInt16(parts[1]), version > 0,
        String(version) == parts[1]
    else { return false }
    return parts[0].split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel($0) }
}
