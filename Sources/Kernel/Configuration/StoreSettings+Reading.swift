import Objects

/// How long the embedded engine keeps the past: whatever bound is reached first counts.
public struct HistorySettings: Sendable, Equatable {
    /// 0 = no bound in time.
    public var seconds: UInt32 = 480
    public var bytes = 32 << 20
    /// Changes.
    public var count = 100_000
}

extension HostConfiguration.StoreSettings {
    static let keys = ["engine", "options", "history", "encryption"]

    /// Reads `store:`; what only the embedded engine has is refused for another.
    init(_ scope: ConfigurationScope, plugins: [String]) throws(ConfigurationError) {
        engine = try scope.choice("engine", of: ["embedded"] + plugins, default: "embedded")
        if engine != "embedded" {
            for key in ["history", "encryption"] where scope.entry(key) != nil {
                throw scope.failure(key, "only the embedded engine has it; see the options of the plugin \(engine)")
            }
        }
        let node = scope.entry("options")?.value ?? .emptyMapping(at: scope.node.mark)
        if engine != "embedded", case .mapping(let entries) = node.content, !entries.isEmpty {
            throw scope.failure("options", "only the embedded engine has options here; give the plugin's under plugins")
        }
        options = try Self.schema.check(node, file: scope.file, keyPath: scope.path("options"))
        history = try HistorySettings(scope)
        encryption = try EncryptionSettings(scope)
    }
}

extension HistorySettings {
    fileprivate init(_ store: ConfigurationScope) throws(ConfigurationError) {
        self.init()
        guard let entry = store.entry("history") else { return }
        let scope = try ConfigurationScope(
            file: store.file, keyPath: store.path("history"), node: entry.value, allowed: ["time", "size", "count"])
        if let text = try scope.text("time") {
            let nanoseconds = text == "0" ? 0 : (try? GoDuration(parsing: text))?.nanoseconds
            guard let nanoseconds, nanoseconds == 0 || (1_000_000_000...2_592_000_000_000_000).contains(nanoseconds)
            else {
                throw scope.failure(
                    "time", "\"\(text)\" is not 0 (no bound) or a duration from 1s to 720h, such as 10m")
            }
            seconds = UInt32(nanoseconds / 1_000_000_000)
        }
        if let text = try scope.text("size") {
            let plain = text.hasSuffix("iB") ? String(text.dropLast()) : text
            let quantity = try? Quantity(parsing: plain)
            guard let quantity, (1 << 20...1 << 40).contains(quantity.value) else {
                throw scope.failure("size", "\"\(text)\" is not an amount of memory from 1MiB to 1TiB, such as 32MiB")
            }
            bytes = Int(quantity.value)
        }
        if let entry = scope.entry("count") {
            guard let value = entry.value.json.integerValue, (100...100_000_000).contains(value) else {
                throw scope.failure(
                    "count", "expected a whole number from 100 to 100000000, found \(entry.value.description)")
            }
            count = Int(value)
        }
    }
}

extension EncryptionSettings {
    fileprivate init?(_ store: ConfigurationScope) throws(ConfigurationError) {
        guard let entry = store.entry("encryption") else { return nil }
        let scope = try ConfigurationScope(
            file: store.file, keyPath: store.path("encryption"), node: entry.value, allowed: ["resources", "keyFile"])
        guard let keyFile = try scope.text("keyFile"), !keyFile.isEmpty else {
            throw scope.failure("keyFile", "is missing: the path of a file with keys, one \"NAME BASE64\" a line")
        }
        var resources: Set<String> = []
        for (index, element) in try (scope.elements("resources") ?? []).enumerated() {
            func failure(_ message: String) -> ConfigurationError {
                ConfigurationError(
                    file: scope.file, mark: element.mark, keyPath: "\(scope.path("resources"))[\(index)]",
                    message: message)
            }
            guard let name = element.json.stringValue else {
                throw failure("expected a resource such as secrets, found \(element.description)")
            }
            let isName = name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel($0) }
            guard name == "*" || isName else {
                throw failure("\"\(name)\" is not a resource such as secrets or leases.coordination.k8s.io, nor \"*\"")
            }
            guard resources.insert(name).inserted else { throw failure("\"\(name)\" is there twice") }
        }
        let directory = store.file.lastIndex(of: "/").map { String(store.file[...$0]) } ?? ""
        self.init(resources: resources, keyFile: keyFile.hasPrefix("/") ? keyFile : directory + keyFile)
    }
}
