import Glibc
import PluginAPI

/// Which slots end what others began, HOSTD_…_ENDS of the headers, as text that stays where it is.
enum InterfaceEnds {
    private static let texts: [String: String] = [
        HOSTD_EVENTS_1: HOSTD_EVENTS_1_ENDS, HOSTD_TIMERS_1: HOSTD_TIMERS_1_ENDS,
        HOSTD_RECONCILE_1: HOSTD_RECONCILE_1_ENDS, HOSTD_ELECTION_1: HOSTD_ELECTION_1_ENDS,
        HOSTD_ROLES_1: HOSTD_ROLES_1_ENDS, HOSTD_PLUGINS_1: HOSTD_PLUGINS_1_ENDS,
    ]

    private struct Kept: @unchecked Sendable {  // Never changed and never freed.
        let pointers: [String: UnsafePointer<CChar>]
    }
    private static let kept = Kept(pointers: texts.compactMapValues { strdup($0).map { UnsafePointer($0) } })

    /// nil where the rule NAME, NAME_cancel is all.
    static func text(_ id: String) -> UnsafePointer<CChar>? { kept.pointers[id] }
}
