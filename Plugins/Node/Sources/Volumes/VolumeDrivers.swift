import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Finds the provider of hostd.volume/1 for a driver's name.
protocol VolumeDrivers: Sendable {
    func driver(named name: String) throws -> any VolumeProvider
}

/// Asks every active provider for its name once, and again when a name is not known.
final class HostVolumeDrivers: VolumeDrivers {
    private let host: Host
    private let known = Mutex<[String: any VolumeProvider]>([:])

    init(_ host: Host) { self.host = host }

    func driver(named name: String) throws -> any VolumeProvider {
        if let found = known.withLock({ $0[name] }) { return found }
        var failures: [String] = []
        for plugin in try host.roles().providers(of: HOSTD_VOLUME_1) {
            do {
                let client = try VolumeClient(host, plugin: plugin)
                let status = try client.status([:], deadline: WallClock.deadline(seconds: 5))
                if let driver = status["driver"].stringValue { known.withLock { $0[driver] = client } }
            } catch {
                failures.append("\(plugin): \(error)")
            }
        }
        if let found = known.withLock({ $0[name] }) { return found }
        let detail = failures.isEmpty ? "" : " (\(failures.joined(separator: "; ")))"
        throw VolumeError(message: "no active plugin provides volumes of driver \"\(name)\"\(detail)")
    }
}
