import Objects

/// The whole configuration of one hostd, checked but for the options of plugins, whose schemas the plugins themselves
/// bring.
public struct HostConfiguration: Sendable {
    /// Path of the file, for messages.
    public var file: String
    public var settings: SharedSettings
    public var store: StoreSettings
    /// In the order of the file.
    public var plugins: [PluginSettings]
    /// Names of plugins per role, the most preferred first; roles that are not named follow the order of `plugins`.
    public var preferences: [String: [String]]

    public struct StoreSettings: Sendable {
        /// "embedded", or the name of a plugin that provides hostd.store/1.
        public var engine: String
        /// Options of the embedded engine.
        public var options: JSON
        public var history = HistorySettings()
        /// nil = nothing is encrypted on disk.
        public var encryption: EncryptionSettings?
    }

    public struct PluginSettings: Sendable {
        public var name: String
        /// A name to look for beside the executable, or a path.
        public var library: String
        public var isOptional: Bool
        /// Opened and checked at the start, and activated by a swap only.
        public var isStandby: Bool
        public var isolation: IsolationSettings
        /// As written, to be checked against the plugin's schema.
        public var options: YAMLNode
        /// Such as "plugins[2]".
        public var keyPath: String
        public var mark: YAMLNode.Mark
    }
}

/// The settings that every plugin is given.
public struct SharedSettings: Sendable, Equatable {
    public var nodeName: String
    public var clusterDomain: String
    public var podRange: String
    public var serviceRange: String
    public var dnsAddress: String
    /// "ADDRESS:PORT" of the API.
    public var listen: String
    public var cgroupParent: String

    public var json: JSON {
        [
            "nodeName": .string(nodeName), "clusterDomain": .string(clusterDomain), "podRange": .string(podRange),
            "serviceRange": .string(serviceRange), "dnsAddress": .string(dnsAddress), "listen": .string(listen),
            "cgroupParent": .string(cgroupParent),
        ]
    }
}
