import CInterposer
import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// The host that a plugin under check sees: the kernel's real services, and a table for every role, behind which stands
/// whoever provides it here. One in a worker; lives as long as the process.
final class CheckHost: @unchecked Sendable {
    // SAFETY: `state` is under its lock; everything else is written once.
    private struct State {
        var bindings: [String: OpaquePointer] = [:]
        var providers: [String: [(plugin: String, target: OpaquePointer)]] = [:]
        /// Descriptors of roles that no header knows, from their providers.
        var descriptors: [String: String] = [:]
    }

    /// Owns the tables.
    private let services: KernelServices
    private var tables: [String: UnsafePointer<hostd_interface>]
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var state = State()

    init(scratch: String, store: HostConfiguration.StoreSettings, log: Log) throws(StoreError) {
        services = try KernelServices(directory: scratch, store: store, log: log)
        let offered = services.forPlugins
        tables = offered.tables
        pthread_mutex_init(lock, nil)
        if let store = offered.store { provide(HOSTD_STORE_1, by: "embedded", store) }
        if let store = table(HOSTD_STORE_1) { services.elect(in: store) }
        tables[HOSTD_ENVIRONMENT_1] = EnvironmentTable.make(scratch)
        tables[HOSTD_ROLES_1] = RolesTable.make(self)
    }

    /// The table of a service or role; nil when the id is unknown.
    func table(_ id: String) -> UnsafePointer<hostd_interface>? {
        if let native = tables[id] { return native }
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return binding(id).map { interposer_binding_table($0) }
    }

    /// Under the lock.
    private func binding(_ id: String) -> OpaquePointer? {
        if let known = state.bindings[id] { return known }
        guard let text = RoleCatalog.roles[id] ?? state.descriptors[id], let descriptor = Self.descriptor(text),
            let made = interposer_binding_create(id, descriptor)
        else { return nil }
        state.bindings[id] = made
        return made
    }

    static func descriptor(_ text: String) -> OpaquePointer? {
        var message = [CChar](repeating: 0, count: Int(INTERPOSER_MESSAGE_LIMIT))
        return interposer_descriptor_create(text, &message)
    }

    /// Puts a provider behind a role. The target is for counting and draining.
    @discardableResult
    func provide(_ role: String, by plugin: String, _ table: UnsafePointer<hostd_interface>) -> OpaquePointer? {
        guard let descriptor = Self.descriptor(String(cString: table.pointee.slots)) else { return nil }
        let target = interposer_target_create(descriptor, table)
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        state.descriptors[role] = String(cString: table.pointee.slots)
        state.providers[role, default: []].append((plugin, target))
        if let binding = binding(role) { _ = interposer_binding_set(binding, target) }
        return target
    }

    /// Takes a provider away and waits up to five seconds for the calls inside it.
    func withdraw(_ role: String, plugin: String) {
        pthread_mutex_lock(lock)
        let gone = state.providers[role]?.filter { $0.plugin == plugin } ?? []
        state.providers[role]?.removeAll { $0.plugin == plugin }
        if let binding = state.bindings[role] {
            _ = interposer_binding_set(binding, state.providers[role]?.last?.target)
        }
        pthread_mutex_unlock(lock)
        for provider in gone {
            _ = interposer_target_drain_calls(provider.target, monotonicNanoseconds() + 5_000_000_000)
        }
    }

    func providers(of role: String) -> [String] {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return (state.providers[role] ?? []).map(\.plugin)
    }
}
