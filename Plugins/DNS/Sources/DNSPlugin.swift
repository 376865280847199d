import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The DNS of a cluster: watches services, their endpoints and pods, and answers at the pods' bridge.
public final class DNSPlugin: Plugin {
    public static let description = PluginDescription(
        name: "dns", version: "1.0.0", summary: "Cluster DNS: names of services and pods, and forwarding of all others",
        requires: [HOSTD_STORE_1], optional: [HOSTD_NETWORK_1], handover: .exclusive)
    public static var optionsSchema: String { DNSSettings.optionsSchema }

    private let host: Host
    private struct State {
        var settings: DNSSettings?
        var active: ActiveDNS?
    }
    private let state = Mutex(State())

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        let settings = try DNSSettings(configuration)
        state.withLock { $0.settings = settings }
    }

    public func activate() throws {
        guard let settings = state.withLock({ $0.settings }) else {
            throw PluginError.wrongState("the dns plugin is not configured")
        }
        let active = try ActiveDNS(host: host, settings: settings)
        state.withLock { $0.active = active }
        do {
            try active.start()
        } catch {
            try deactivate()
            throw error
        }
    }

    public func deactivate() throws {
        let active = state.withLock { state -> ActiveDNS? in
            defer { state.active = nil }
            return state.active
        }
        active?.stop()
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? { nil }
}
