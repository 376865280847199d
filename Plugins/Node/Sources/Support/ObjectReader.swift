import Objects
import PluginKit

/// Reads single API objects from the store: always the present state, without a cache.
protocol ObjectReader: Sendable {
    /// The object under a store key ("configmaps/default/web"); nil when absent.
    func object(_ key: String) throws -> JSON?
}

extension StoreClient: ObjectReader {}
