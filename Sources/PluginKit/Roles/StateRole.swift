import PluginAPI

/// Interface hostd.state/1 in Swift: what the next generation of this plugin takes over in a swap.
public protocol StateProvider: AnyObject, Sendable {
    /// The state, in a format that begins with its version.
    func exportState() throws -> [UInt8]
    /// Called between configure and activate.
    /// - Throws: a PluginError with HOSTD_ERROR_VERSION for a format that it does not know.
    func importState(_ state: [UInt8]) throws
}

/// A provider that hands over while calls go on: a copy of everything, and then what has changed since.
public protocol LiveStateProvider: StateProvider {
    /// What `exportState` would answer, and a mark that `exportChanges` is given; calls of the plugin's roles run meanwhile.
    /// Ends what an earlier mark began.
    func exportBase() throws -> (mark: UInt64, state: [UInt8])
    /// What has changed since the base or since the last call of this; calls may run meanwhile.
    /// - Throws: a PluginError with HOSTD_ERROR_NOT_FOUND when `mark` is not the last one.
    func exportChanges(since mark: UInt64) throws -> [UInt8]
    /// Nobody asks for the changes of `mark` any more. No effect for unknown marks.
    func exportEnd(_ mark: UInt64)
    /// Called on an active plugin, before any call of its roles.
    func importChanges(_ changes: [UInt8]) throws
}

extension RoleTable {
    /// The C table of hostd.state/1. It keeps the provider alive until `release`.
    public static func state(_ implementation: any StateProvider) -> UnsafePointer<hostd_interface> {
        // A table without the slots of a live handover, so that the host need not ask.
        let slots = HOSTD_STATE_1_SLOTS.split(separator: ";").prefix(2).joined(separator: ";")
        let table = stateTable(implementation, slots: slots)
        table.pointee.interface.struct_size = UInt32(MemoryLayout<hostd_state_1>.offset(of: \.export_base)!)
        return finish(table)
    }

    /// The C table of hostd.state/1 with the slots of a live handover. It keeps the provider alive until `release`.
    public static func liveState(_ implementation: any LiveStateProvider) -> UnsafePointer<hostd_interface> {
        let table = stateTable(implementation, slots: HOSTD_STATE_1_SLOTS)
        table.pointee.export_base = { this, mark, state, error in
            answering(error) {
                let base = try liveProvider(of: this).exportBase()
                mark.pointee = base.mark
                state.pointee = base.state.withUnsafeBytes { hostd_buffer(copying: $0) }
            }
        }
        table.pointee.export_changes = { this, mark, changes, error in
            answering(error) {
                let bytes = try liveProvider(of: this).exportChanges(since: mark)
                changes.pointee = bytes.withUnsafeBytes { hostd_buffer(copying: $0) }
            }
        }
        table.pointee.export_end = { this, mark, error in
            answering(error) { try liveProvider(of: this).exportEnd(mark) }
        }
        table.pointee.import_changes = { this, data, size, error in
            answering(error) { try liveProvider(of: this).importChanges(Array(borrowedBytes(data, size))) }
        }
        return finish(table)
    }

    private static func stateTable(
        _ implementation: any StateProvider, slots: String
    ) -> UnsafeMutablePointer<hostd_state_1> {
        let table = allocate(
            hostd_state_1.self, id: HOSTD_STATE_1, slots: slots, box: ProviderBox<any StateProvider>(implementation))
        table.pointee.export_state = { this, state, error in
            answering(error) {
                let bytes = try provider(of: this, as: (any StateProvider).self).exportState()
                state.pointee = bytes.withUnsafeBytes { hostd_buffer(copying: $0) }
            }
        }
        table.pointee.import_state = { this, data, size, error in
            answering(error) {
                try provider(of: this, as: (any StateProvider).self)
                    .importState(Array(borrowedBytes(data, size)))
            }
        }
        return table
    }
}

private func liveProvider(of this: UnsafeMutableRawPointer?) throws -> any LiveStateProvider {
    guard let live = provider(of: this, as: (any StateProvider).self) as? any LiveStateProvider else {
        throw PluginError(code: HOSTD_ERROR_NOT_SUPPORTED, message: "the plugin does not hand over live")
    }
    return live
}
