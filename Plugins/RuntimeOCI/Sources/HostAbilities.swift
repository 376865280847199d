import Containers
import Glibc
import PluginKit

/// What hostd itself may do: a runtime fails where hostd-container-init makes do with less, so what cannot be given is not
/// asked for.
struct HostAbilities: Sendable, Equatable {
    var capabilities = CapabilitySet.all
    /// oom_score_adj of hostd: only a process with CAP_SYS_RESOURCE goes below.
    var outOfMemoryScore: Int64 = 0
    /// Hard limit of open files: likewise the most that can be given.
    var openFiles: UInt64 = 1_048_576

    init() {}

    static func ofThisProcess() throws(PluginError) -> HostAbilities {
        var abilities = HostAbilities()
        let status = try readSmallFile("/proc/self/status") ?? ""
        for line in status.split(separator: "\n") where line.hasPrefix("CapPrm:") {
            let digits = line.split(whereSeparator: \.isWhitespace).last ?? ""
            if let bits = UInt64(digits, radix: 16) { abilities.capabilities = CapabilitySet(bits: bits) }
        }
        let score = try readSmallFile("/proc/self/oom_score_adj") ?? ""
        abilities.outOfMemoryScore = Int64(score.prefix { !$0.isWhitespace }) ?? 0
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            abilities.openFiles = UInt64(limit.rlim_max)
        }
        return abilities
    }

    private var mayRaiseLimits: Bool { capabilities.contains("SYS_RESOURCE") }

    func capabilities(_ wanted: CapabilitySet) -> CapabilitySet {
        CapabilitySet(bits: wanted.bits & capabilities.bits)
    }

    func outOfMemoryScore(_ wanted: Int64) -> Int64 { mayRaiseLimits ? wanted : max(wanted, outOfMemoryScore) }

    func openFiles(_ wanted: UInt64) -> UInt64 { mayRaiseLimits ? wanted : min(wanted, openFiles) }
}
