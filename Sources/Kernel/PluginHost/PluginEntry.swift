import Objects
import Synchronization

/// One name in `plugins:` and what stands behind it over time: the generation in charge, what it replaced, what became of
/// the last attempt to replace it.
final class PluginEntry: Sendable {
    private struct Fields {
        var current: PluginInstance
        var fileSettings: HostConfiguration.PluginSettings
        var previous: Previous?
        var lastSwap: SwapRecord?
        var generation: Int64 = 0
        var restarts = 0
        var leftovers: [PluginInstance] = []
    }

    /// What `rollback` returns to.
    enum Previous {
        case generation(HostConfiguration.PluginSettings, version: String)
        /// Another plugin of the configuration, which this one took over from.
        case plugin(String)
    }

    let name: String
    private let fields: Mutex<Fields>

    /// `settings`: what the configuration file says. `current` may differ from it, when a swap of earlier counts.
    init(settings: HostConfiguration.PluginSettings, current: PluginInstance) {
        name = settings.name
        fields = Mutex(Fields(current: current, fileSettings: settings))
    }

    /// The generation in charge; the only one that callers reach.
    var current: PluginInstance { fields.withLock { $0.current } }

    /// As the file has it.
    var fileSettings: HostConfiguration.PluginSettings {
        get { fields.withLock { $0.fileSettings } }
        set { fields.withLock { $0.fileSettings = newValue } }
    }

    var previous: Previous? {
        get { fields.withLock { $0.previous } }
        set { fields.withLock { $0.previous = newValue } }
    }

    var lastSwap: SwapRecord? {
        get { fields.withLock { $0.lastSwap } }
        set { fields.withLock { $0.lastSwap = newValue } }
    }

    /// How often its process has been started anew after a failure.
    var restarts: Int { fields.withLock { $0.restarts } }
    func countRestart() { fields.withLock { $0.restarts += 1 } }

    /// A number for the next activation, from 1.
    func nextGeneration() -> Int64 {
        fields.withLock { fields in
            fields.generation += 1
            return fields.generation
        }
    }

    func replaceCurrent(by instance: PluginInstance) { fields.withLock { $0.current = instance } }

    // MARK: Generations that could not be released

    /// Keeps one that calls have not left, until it can be destroyed.
    func keep(_ leftover: PluginInstance) { fields.withLock { $0.leftovers.append(leftover) } }

    func takeLeftovers() -> [PluginInstance] {
        fields.withLock { fields in
            defer { fields.leftovers = [] }
            return fields.leftovers
        }
    }
}
