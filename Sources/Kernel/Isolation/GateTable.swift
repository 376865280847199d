import PluginAPI
import Synchronization

/// A table that stands before a host service for one plugin, checks what its grants say, and forwards the rest. Lives as long
/// as calls of the plugin's generation may come.
class Gate<Table>: @unchecked Sendable {
    // SAFETY: everything is written once, before the table is shared; `owned` has a lock of its own.
    let plugin: String
    let policy: GrantPolicy
    /// The service itself.
    let base: UnsafePointer<Table>
    let owned = OwnedHandles()
    private var storage: InterfaceTable<Table>?

    /// The service's own `self`.
    let this: UnsafeMutableRawPointer?

    init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        self.plugin = plugin
        self.policy = policy
        self.base = UnsafeRawPointer(base).assumingMemoryBound(to: Table.self)
        this = base.pointee.`self`
    }

    /// Ends the making of a gate: `fill` names the functions.
    func publish(_ id: String, _ slots: String, _ fill: (hostd_interface) -> Table) {
        storage = InterfaceTable(id: id, slots: slots, owner: self, fill)
    }

    var interface: UnsafePointer<hostd_interface>? { storage?.interface }

    /// Runs `body` when `check` allows it.
    func guarded(
        _ error: UnsafeMutablePointer<hostd_error>, _ check: () throws(GrantPolicy.Refusal) -> Void,
        _ body: () -> Int32
    ) -> Int32 {
        do throws(GrantPolicy.Refusal) { try check() } catch let refusal {
            return error.fail(HOSTD_ERROR_FORBIDDEN, refusal.message(plugin: plugin))
        }
        return body()
    }

    /// Runs `body`, and on success keeps the handle that it put into `handle` as the plugin's own.
    func beginning(_ handle: UnsafeMutablePointer<UInt64>, _ body: () -> Int32) -> Int32 {
        let status = body()
        if status == HOSTD_OK { owned.insert(handle.pointee) }
        return status
    }

    /// Runs `body` when the plugin itself was given `handle`.
    func using(
        _ handle: UInt64, _ error: UnsafeMutablePointer<hostd_error>, ends: Bool = false, _ body: () -> Int32
    ) -> Int32 {
        guard owned.contains(handle) else {
            // Ending twice is no mistake.
            return ends
                ? HOSTD_OK
                : error.fail(HOSTD_ERROR_NOT_FOUND, "the plugin \(plugin) has nothing of the number \(handle)")
        }
        let status = body()
        if ends, status == HOSTD_OK { owned.remove(handle) }
        return status
    }
}

/// Handles that one plugin was given and has not ended.
final class OwnedHandles: Sendable {
    private let handles = Mutex<Set<UInt64>>([])

    func insert(_ handle: UInt64) { handles.withLock { _ = $0.insert(handle) } }
    func contains(_ handle: UInt64) -> Bool { handles.withLock { $0.contains(handle) } }
    func remove(_ handle: UInt64) { handles.withLock { _ = $0.remove(handle) } }
}
