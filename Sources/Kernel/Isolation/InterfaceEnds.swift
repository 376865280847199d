import Glibc
import PluginAPI

/// Which slots end what others began, and what letters do not say (HOSTD_…_ENDS and HOSTD_…_TAGS of the headers), as text
/// that stays where it is.
enum InterfaceEnds {
    private struct Kept: @unchecked Sendable {  // Never changed and never freed.
        let pointers: [String: UnsafePointer<CChar>]
    }
    private static let kept = Kept(pointers: RoleCatalog.ends.compactMapValues { strdup($0).map { UnsafePointer($0) } })

    /// nil where the rule NAME, NAME_cancel is all.
    static func text(_ id: String) -> UnsafePointer<CChar>? { kept.pointers[id] }
}
