import CInterposer
import PluginAPI

/// One plugin's own table of a host service, which knows what the plugin began through it and has not ended. Lives as long as
/// its `HostContext`.
final class ServiceLedger: @unchecked Sendable {
    // SAFETY: the C object is made for use from any thread.
    private let handle: OpaquePointer
    private let descriptor: SlotDescriptor

    /// nil without memory, or for a table whose descriptor cannot be read.
    init?(_ table: UnsafePointer<hostd_interface>, ends: String?) {
        guard let descriptor = try? SlotDescriptor(table.pointee.slots) else { return nil }
        let made = ends.map { interposer_ledger_create(table, descriptor.handle, $0) }
        guard let handle = made ?? interposer_ledger_create(table, descriptor.handle, nil) else { return nil }
        self.handle = handle
        self.descriptor = descriptor
    }

    deinit {
        // What is still open would come back to it.
        if interposer_ledger_open(handle, .max) == 0 { interposer_ledger_destroy(handle) }
    }

    var table: UnsafePointer<hostd_interface> { interposer_ledger_table(handle) }

    /// What is open, by the slot that began it.
    var open: [(slot: String, count: Int)] {
        (0..<descriptor.count).compactMap { slot in
            let count = interposer_ledger_open(handle, slot)
            return count == 0 ? nil : (descriptor.name(slot), Int(count))
        }
    }

    /// Ends all that is open; when this returns no callback of the plugin runs.
    func end() { interposer_ledger_end(handle) }
}
