import PluginAPI

/// Interface hostd.state/1 in Swift: what the next generation of this plugin takes over in a swap.
public protocol StateProvider: AnyObject, Sendable {
    /// The state, in a format that begins with its version.
    func exportState() throws -> [UInt8]
    /// Called between configure and activate.
    /// - Throws: a PluginError with HOSTD_ERROR_VERSION for a format that it does not know.
    func importState(_ state: [UInt8]) throws
}

extension RoleTable {
    /// The C table of hostd.state/1. It keeps the provider alive until `release`.
    public static func state(_ implementation: any StateProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_state_1.self, id: HOSTD_STATE_1, slots: HOSTD_STATE_1_SLOTS,
            box: ProviderBox<any StateProvider>(implementation))
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
        return finish(table)
    }
}
