/// A Linux capability by name: capabilities(7), linux/capability.h.
public struct Capability: Hashable, Sendable {
    /// In the order of their numbers.
    static let names = """
        CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE \
        NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN \
        SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE \
        MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
        """.split(separator: " ").map(String.init)

    let number: Int

    /// "NET_ADMIN", in capitals and without "CAP_".
    init?(_ name: String) {
        guard let number = Self.names.firstIndex(of: name) else { return nil }
        self.number = number
    }

    var name: String { Self.names[number] }
    var bit: UInt64 { 1 << UInt64(number) }
}
