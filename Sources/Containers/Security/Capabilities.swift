import PluginKit

/// A set of Linux capabilities: capabilities(7), linux/capability.h.
package struct CapabilitySet: Sendable, Hashable {
    package var bits: UInt64

    /// In the order of their numbers.
    package static let names = """
        CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE \
        NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN \
        SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE \
        MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
        """.split(separator: " ").map(String.init)

    package static let all = CapabilitySet(bits: 1 << UInt64(names.count) - 1)

    /// What container runtimes give by custom.
    package static let standard = named([
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
        "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    ])

    private static func named(_ names: [String]) -> CapabilitySet {
        var set = CapabilitySet(bits: 0)
        for (number, name) in Self.names.enumerated() where names.contains(name) { set.bits |= 1 << UInt64(number) }
        return set
    }

    package func contains(_ name: String) -> Bool {
        Self.names.firstIndex(of: name).map { bits & 1 << UInt64($0) != 0 } ?? false
    }

    /// `base` with names added and dropped as Kubernetes' securityContext does: "ALL" is every one, the prefix CAP_ may
    /// stand or not, and with "ALL" dropped only what is added by name remains.
    package init(_ base: CapabilitySet, adding added: [String], dropping dropped: [String]) throws(PluginError) {
        let adds = try Self.normalized(added)
        let drops = try Self.normalized(dropped)
        bits = adds.contains("ALL") ? Self.all.bits : base.bits
        if drops.contains("ALL") { bits = 0 }
        bits |= Self.named(adds).bits
        if !drops.contains("ALL") { bits &= ~Self.named(drops).bits }
    }

    package init(bits: UInt64) { self.bits = bits }

    private static func normalized(_ names: [String]) throws(PluginError) -> [String] {
        var result: [String] = []
        for name in names {
            let upper = name.uppercased()
            let plain = upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
            guard plain == "ALL" || Self.names.contains(plain) else {
                throw .invalid("\"\(name)\" is not a capability that this hostd knows; capabilities(7) lists them")
            }
            result.append(plain)
        }
        return result
    }
}
