import Kernel
import PluginAPI

/// Checks that are made in one process of their own.
struct Group: Sendable {
    let name: String
    /// The rule that is broken when the process ends before its first check.
    let rule: Int
    /// Without this group nothing of the plugin is known: the others are left out when it fails.
    var isGate = false
    /// The role that it is about; nil for what concerns every plugin.
    var role: String?
    let run: @Sendable (Session) -> Void

    static let all: [Group] = [
        Group(name: "image", rule: 1) { _ in },  // By the supervisor, without opening.
        Group(name: "entry", rule: 2, isGate: true, run: EntryChecks.run),
        Group(name: "description", rule: 18, isGate: true, run: DescriptionChecks.run),
        Group(name: "lifecycle", rule: 11, run: LifecycleChecks.run),
        Group(name: "options", rule: 19, run: OptionChecks.run),
        Group(name: "tables", rule: 4, run: TableChecks.run),
        Group(name: "inactive", rule: 20, run: InactiveChecks.run),
        Group(name: "arguments", rule: 19, run: ArgumentChecks.run),
        Group(name: "operations", rule: 12, run: OperationChecks.run),
        Group(name: "streams", rule: 13, run: StreamChecks.run),
        Group(name: "concurrency", rule: 10, run: ConcurrencyChecks.run),
        Group(name: "state", rule: 22, run: StateChecks.run),
        Group(name: "scheduler", rule: 40, role: HOSTD_SCHEDULER_1, run: SchedulerChecks.run),
        Group(name: "network", rule: 44, role: HOSTD_NETWORK_1, run: NetworkChecks.run),
        Group(name: "volume", rule: 50, role: HOSTD_VOLUME_1, run: VolumeChecks.run),
        Group(name: "device", rule: 52, role: HOSTD_DEVICE_1, run: DeviceChecks.run),
        Group(name: "runtime", rule: 47, role: HOSTD_RUNTIME_1, run: RuntimeChecks.run),
        Group(name: "store", rule: 54, role: HOSTD_STORE_1, run: StoreChecks.run),
        Group(name: "api-extension", rule: 60, role: HOSTD_API_EXTENSION_1, run: ExtensionChecks.run),
        Group(name: "api", rule: 61, role: HOSTD_API_1, run: APIChecks.run),
    ]
}
