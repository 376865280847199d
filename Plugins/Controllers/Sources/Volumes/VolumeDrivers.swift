import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The volume providers that are there, by the driver name that each reports.
final class VolumeDrivers: Sendable {
    private let host: Host
    private let found = Mutex<[String: any VolumeProvider]>([:])

    init(_ host: Host) { self.host = host }

    /// The provider of a driver; nil when no active plugin speaks for it.
    func provider(_ driver: String) throws -> (any VolumeProvider)? {
        if let known = found.withLock({ $0[driver] }) { return known }
        try refresh()
        return found.withLock { $0[driver] }
    }

    /// Asks every provider for its name.
    func refresh() throws {
        var drivers: [String: any VolumeProvider] = [:]
        for plugin in try host.roles().providers(of: HOSTD_VOLUME_1) {
            let client = try VolumeClient(host, plugin: plugin)
            do {
                let name = try client.status([:])["driver"].stringValue ?? ""
                if !name.isEmpty && drivers[name] == nil { drivers[name] = client }
            } catch {
                host.log.warning("a volume provider does not answer: \(error)", ["plugin": .string(plugin)])
            }
        }
        let result = drivers
        found.withLock { $0 = result }
    }
}
