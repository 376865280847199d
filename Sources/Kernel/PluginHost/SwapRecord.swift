import Objects

/// What became of a swap, as hostd.plugins/1 shows it.
public struct SwapRecord: Sendable, Equatable {
    /// Who asked for it.
    public enum Trigger: String, Sendable, CaseIterable { case command, reload, object, restart, rollback }

    public struct Side: Sendable, Equatable {
        public var library: String
        /// As the plugin describes itself; empty when it never came to that.
        public var version: String
    }

    public var time: Timestamp
    /// nil = it succeeded.
    public var failure: PluginFailure?
    public var from: Side
    public var to: Side
    public var trigger: Trigger
    /// The whole swap, until the old generation was gone.
    public var nanoseconds: UInt64
    /// How long new calls were held.
    public var gapNanoseconds: UInt64

    var json: JSON {
        func side(_ side: Side) -> JSON { ["library": .string(side.library), "version": .string(side.version)] }
        return [
            "time": .string(time.formatted()), "result": failure == nil ? "succeeded" : "failed",
            "from": side(from), "to": side(to), "reason": .string(failure?.message ?? ""),
            "step": .string(failure?.step.rawValue ?? ""), "milliseconds": JSON(nanoseconds / 1_000_000),
            "gapMicroseconds": JSON(gapNanoseconds / 1000), "trigger": .string(trigger.rawValue),
        ]
    }
}
