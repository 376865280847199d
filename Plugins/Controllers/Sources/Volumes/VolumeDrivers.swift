import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The volume providers that are there, by the driver name that each reports.
final class VolumeDrivers: Sendable {
    private struct Driver: Sendable {
        var provider: any VolumeProvider
        /// Where its volumes can be used: {segments: {label: value}}; null = everywhere.
        var topology: JSON
    }

    private let host: Host
    private let found = Mutex<[String: Driver]>([:])

    init(_ host: Host) { self.host = host }

    /// The provider of a driver; nil when no active plugin speaks for it.
    func provider(_ driver: String) throws -> (any VolumeProvider)? { try lookup(driver)?.provider }

    /// The node selector terms that a driver's volumes will have; empty when it serves every node or is not there.
    func reach(of driver: String) throws -> [JSON] {
        guard let topology = try lookup(driver)?.topology else { return [] }
        return [VolumeMatch.term(topology)].compactMap { $0 }
    }

    private func lookup(_ driver: String) throws -> Driver? {
        if let known = found.withLock({ $0[driver] }) { return known }
        try refresh()
        return found.withLock { $0[driver] }
    }

    /// Asks every provider for its name and reach.
    func refresh() throws {
        var drivers: [String: Driver] = [:]
        for plugin in try host.roles().providers(of: HOSTD_VOLUME_1) {
            let client = try VolumeClient(host, plugin: plugin)
            do {
                let status = try client.status([:])
                let name = status["driver"].stringValue ?? ""
                if !name.isEmpty && drivers[name] == nil {
                    drivers[name] = Driver(provider: client, topology: status["topology"])
                }
            } catch {
                host.log.warning("a volume provider does not answer: \(error)", ["plugin": .string(plugin)])
            }
        }
        let result = drivers
        found.withLock { $0 = result }
    }
}
