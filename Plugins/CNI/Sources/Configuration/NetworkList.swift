import Objects

/// A network configuration list: the plugins that make a network, in the order of ADD. Section 1 of the specification.
struct NetworkList: Sendable, Equatable {
    let name: String
    let version: CNIVersion
    /// The plugins' own configurations; each has a `type`.
    let plugins: [JSON]
    let disablesCheck: Bool
    let disablesGarbageCollection: Bool

    /// Reads a list, or a single plugin's configuration, which makes a list of one.
    init(_ json: JSON, source: String) throws(CNIError) {
        func bad(_ reason: String) -> CNIError { .configuration(source: source, reason: reason) }
        guard json.objectValue != nil else { throw bad("a network configuration is a JSON object") }
        guard let name = json["name"].stringValue, Self.isValidName(name) else {
            throw bad("\"name\" must begin with a letter or digit and go on with those, '_', '.' or '-'")
        }
        version = try Self.version(json, source)
        let plugins = json["plugins"].exists ? json["plugins"].arrayValue : [json]
        guard !plugins.isEmpty else { throw bad("\"plugins\" is empty") }
        for plugin in plugins {
            guard let type = plugin["type"].stringValue, !type.isEmpty, type != ".", type != "..",
                !type.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 })
            else { throw bad("each plugin needs a \"type\", the name of its program") }
        }
        guard plugins.count == 1 || version.hasChains else {
            throw bad("version \(version) of the specification has no chains of plugins")
        }
        self.name = name
        self.plugins = plugins
        disablesCheck = Self.flag(json["disableCheck"])
        disablesGarbageCollection = Self.flag(json["disableGC"])
    }

    /// The highest version that the list allows and hostd speaks.
    private static func version(_ json: JSON, _ source: String) throws(CNIError) -> CNIVersion {
        var texts = json["cniVersions"].arrayValue.compactMap(\.stringValue)
        if let single = json["cniVersion"].stringValue, !single.isEmpty { texts.append(single) }
        // The specification's default.
        if texts.isEmpty { texts = ["0.2.0"] }
        let versions = texts.compactMap { CNIVersion(parsing: $0) }.filter { CNIVersion.supported.contains($0) }
        guard let version = versions.max() else {
            let known = CNIVersion.supported.map(\.description).joined(separator: ", ")
            throw .configuration(
                source: source,
                reason: "cniVersion \(texts.joined(separator: ", ")) is not known; hostd speaks \(known)")
        }
        return version
    }

    private static func isValidName(_ name: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = name.utf8.first, isAlphanumeric(first), name.utf8.count <= 255 else { return false }
        return name.utf8.allSatisfy { isAlphanumeric($0) || "_.-".utf8.contains($0) }
    }

    /// A Boolean, or the text "true": both are in use.
    private static func flag(_ json: JSON) -> Bool { json.boolValue ?? (json.stringValue == "true") }

    var types: [String] { plugins.compactMap { $0["type"].stringValue } }

    /// Whether everything that pods send passes the host's rules: on this bridge, where hostd completes the links, or on
    /// links without any. Neighbours on other bridges reach each other past the host.
    func passesHost(bridge: String) -> Bool {
        switch plugins[0]["type"].stringValue {
        case "ptp": true
        case "bridge": (plugins[0]["bridge"].stringValue ?? "cni0") == bridge
        default: false
        }
    }

    /// Whether a plugin of the list takes this kind of run-time configuration.
    func hasCapability(_ capability: String) -> Bool {
        plugins.contains { $0["capabilities"][capability].boolValue == true }
    }

    /// A list that `init` reads as the same.
    var json: JSON {
        [
            "name": .string(name), "cniVersion": .string(version.description), "plugins": .array(plugins),
            "disableCheck": .bool(disablesCheck), "disableGC": .bool(disablesGarbageCollection),
        ]
    }
}
