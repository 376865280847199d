import PluginAPI

public final class StateStore: @unchecked Sendable {
    public init(directory: String, options: StateStoreOptions = StateStoreOptions()) throws(StoreError) {
        throw StoreError(HOSTD_ERROR_UNAVAILABLE, "the engine is not there yet")
    }
    public func close() {}
    public func makeInterface() -> UnsafePointer<hostd_interface> { preconditionFailure("no store can exist") }
}
