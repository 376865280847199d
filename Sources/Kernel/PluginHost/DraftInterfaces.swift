import PluginAPI
import Synchronization

/// Interfaces that may still change: those whose headers lie in `hostd/draft`. docs/abi.md, "Drafts".
final class DraftInterfaces: Sendable {
    static let ids: Set<String> = [HOSTD_PLUGINS_1]

    private struct Use: Hashable {
        let plugin: String
        let id: String
    }
    private let uses = Mutex<Set<Use>>([])

    /// Says so once when a plugin asks for a draft: after an update of hostd it may have to be built anew.
    func note(_ id: String, askedForBy plugin: String, log: Log) {
        guard Self.ids.contains(id), uses.withLock({ $0.insert(Use(plugin: plugin, id: id)).inserted }) else { return }
        log.write(
            .warning, "host", "plugin \(plugin) uses a draft, which may change with any version of hostd",
            ["plugin": .string(plugin), "interface": .string(id)])
    }
}
