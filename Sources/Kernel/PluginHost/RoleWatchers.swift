import Objects
import PluginAPI

/// Changes of roles, for the watches of hostd.roles/1.
final class RoleWatchers: @unchecked Sendable {
    // SAFETY: `present` is only touched while publishing or adding, which `watchers` does one at a time.
    private let watchers = MessageWatchers(threadName: "roles")
    /// What a new watch is told first: the providers that were announced as active, in that order.
    private var present: [Change] = []

    struct Change {
        let role: String
        let plugin: String
        let isActive: Bool
        let generation: Int64
        /// The provider knows what callers told the generation before it.
        var hasState = false

        /// A watch that begins later has told the generation before nothing.
        var forNewWatch: Change {
            var change = self
            change.hasState = false
            return change
        }

        var bytes: [UInt8] {
            var json: JSON = [
                "role": .string(role), "plugin": .string(plugin), "state": .string(isActive ? "active" : "inactive"),
                "generation": .integer(generation),
            ]
            if hasState { json["hasState"] = true }
            return json.serialized()
        }
    }

    /// Adds a watch, which gets the providers of now and then every change.
    func add(_ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?) throws(StoreError) -> UInt64 {
        try watchers.add(sink, context) { present.map(\.bytes) }
    }

    /// Ends a watch; when this returns its sink is not running, unless this is called from it.
    func remove(_ handle: UInt64) { watchers.remove(handle) }

    /// Tells every watch, in order. A provider that is announced as active once more has been replaced.
    func announce(_ changes: [Change]) {
        watchers.publish { changes.filter { take($0) }.map(\.bytes) }
    }

    /// False when nobody was told that the provider was there.
    private func take(_ change: Change) -> Bool {
        let place = present.firstIndex { $0.role == change.role && $0.plugin == change.plugin }
        switch (place, change.isActive) {
        case (let place?, true): present[place] = change.forNewWatch
        case (let place?, false): present.remove(at: place)
        case (nil, true): present.append(change.forNewWatch)
        case (nil, false): return false
        }
        return true
    }
}
