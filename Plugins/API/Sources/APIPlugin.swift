import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The API plugin: the Kubernetes REST front over HTTPS, and the same for other plugins as role hostd.api/1.
public final class APIPlugin: Plugin {
    public static let description = PluginDescription(
        name: "api", version: "0.1.0", summary: "The Kubernetes API over HTTPS", provides: [HOSTD_API_1],
        requires: [HOSTD_STORE_1], optional: [HOSTD_API_EXTENSION_1], handover: .exclusive,
        sharedOnly: "it keeps its certificates and admin.kubeconfig in the data directory, which is hostd's own")

    private struct State {
        var settings: APISettings?
        var service: APIService?
        var table: UInt?
    }

    private let host: Host
    private let state = Mutex(State())
    let provider = InProcessProvider()

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        let settings = try APISettings(configuration)
        state.withLock { $0.settings = settings }
    }

    public func activate() throws {
        guard let settings = state.withLock({ $0.settings }) else {
            throw PluginError.wrongState("the API plugin is activated before it is configured")
        }
        let service = try APIService(host: host, settings: settings)
        do {
            provider.pipeline = service.pipeline
            try service.start()
        } catch {
            provider.pipeline = nil
            service.stop()
            throw error
        }
        state.withLock { $0.service = service }
    }

    public func deactivate() throws {
        let service = state.withLock { state in
            defer { state.service = nil }
            return state.service
        }
        provider.pipeline = nil
        service?.stop()
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard id == HOSTD_API_1 else { return nil }
        return state.withLock { state -> UnsafePointer<hostd_interface>? in
            if state.table == nil { state.table = UInt(bitPattern: RoleTable.api(provider)) }
            return state.table.flatMap { UnsafePointer(bitPattern: $0) }
        }
    }
}
