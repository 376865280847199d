/// Where a plugin runs, and what it may do and use there.
public struct IsolationSettings: Sendable, Equatable {
    public enum Mode: String, Sendable, CaseIterable {
        /// In hostd's own process, as trusted code.
        case shared
        /// In a process of its own.
        case process
    }

    /// Bounds of the process.
    public struct Limits: Sendable, Equatable {
        /// Bytes.
        public var memory: Int64 = 256 << 20
        /// Thousandths of a processor; 0 = no bound.
        public var milliCPU: Int64 = 0
        /// Processes and threads.
        public var processes: Int64 = 128
        /// Open descriptors.
        public var files: Int64 = 1024

        public init() {}
    }

    public var mode = Mode.shared
    /// As written, in the order of the file.
    public var grants: [Grant] = []
    public var limits = Limits()
    /// For calls without a deadline of their own. Nanoseconds.
    public var callTimeout: UInt64 = 10_000_000_000

    public init() {}

    var policy: GrantPolicy { GrantPolicy(grants) }
}
