import PluginAPI

/// The roles and services that the headers of this version declare.
public enum RoleCatalog {
    /// Roles that plugins provide and consume.
    public static let roles: [String: String] = [
        HOSTD_API_1: HOSTD_API_1_SLOTS,
        HOSTD_API_EXTENSION_1: HOSTD_API_EXTENSION_1_SLOTS,
        HOSTD_DEVICE_1: HOSTD_DEVICE_1_SLOTS,
        HOSTD_NETWORK_1: HOSTD_NETWORK_1_SLOTS,
        HOSTD_RUNTIME_1: HOSTD_RUNTIME_1_SLOTS,
        HOSTD_SCHEDULER_1: HOSTD_SCHEDULER_1_SLOTS,
        HOSTD_STORE_1: HOSTD_STORE_1_SLOTS,
        HOSTD_VOLUME_1: HOSTD_VOLUME_1_SLOTS,
    ]

    /// What the host itself offers, and nobody else.
    public static let services: [String: String] = [
        HOSTD_ELECTION_1: HOSTD_ELECTION_1_SLOTS,
        HOSTD_ENVIRONMENT_1: HOSTD_ENVIRONMENT_1_SLOTS,
        HOSTD_EVENTS_1: HOSTD_EVENTS_1_SLOTS,
        HOSTD_LOG_1: HOSTD_LOG_1_SLOTS,
        HOSTD_METRICS_1: HOSTD_METRICS_1_SLOTS,
        HOSTD_PLUGINS_1: HOSTD_PLUGINS_1_SLOTS,
        HOSTD_RECONCILE_1: HOSTD_RECONCILE_1_SLOTS,
        HOSTD_ROLES_1: HOSTD_ROLES_1_SLOTS,
        HOSTD_TIMERS_1: HOSTD_TIMERS_1_SLOTS,
    ]

    /// Roles whose providers keep what they started when another one is selected: callers go on to reach them by name.
    static let retaining: Set<String> = [HOSTD_RUNTIME_1]

    /// Interfaces that plugins offer to the host alone.
    public static let state: [String: String] = [HOSTD_STATE_1: HOSTD_STATE_1_SLOTS]

    /// How long calls of a role may take.
    static let costs: [String: String] = [
        HOSTD_NETWORK_1: HOSTD_NETWORK_1_COSTS, HOSTD_RUNTIME_1: HOSTD_RUNTIME_1_COSTS,
        HOSTD_SCHEDULER_1: HOSTD_SCHEDULER_1_COSTS, HOSTD_STORE_1: HOSTD_STORE_1_COSTS,
    ]

    /// What plugins begin and must end: the services with such slots, and what HOSTD_…_ENDS and HOSTD_…_TAGS say of them.
    /// "" = NAME, NAME_cancel.
    public static let ends: [String: String] = [
        HOSTD_EVENTS_1: HOSTD_EVENTS_1_ENDS, HOSTD_PLUGINS_1: HOSTD_PLUGINS_1_ENDS,
        HOSTD_RECONCILE_1: HOSTD_RECONCILE_1_ENDS, HOSTD_ROLES_1: HOSTD_ROLES_1_ENDS + ";" + HOSTD_ROLES_1_TAGS,
        HOSTD_TIMERS_1: HOSTD_TIMERS_1_ENDS + ";" + HOSTD_TIMERS_1_TAGS, HOSTD_ELECTION_1: HOSTD_ELECTION_1_ENDS,
        HOSTD_STORE_1: "",
    ]

    /// Roles that several plugins provide side by side; of every other role one provider is selected.
    public static let shared: Set<String> = [HOSTD_VOLUME_1, HOSTD_DEVICE_1, HOSTD_API_EXTENSION_1]

    public static func slots(_ id: String) -> String? { roles[id] ?? services[id] ?? state[id] }
}
