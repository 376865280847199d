/// How long a plugin that crashed is left alone before it is started again: 100 ms at first, twice as long each time, 30 s at
/// most, less up to a fifth so that plugins that fell together do not rise together. A minute of health starts anew.
struct RestartBackOff: Sendable, Equatable {
    /// All in nanoseconds.
    var first: UInt64 = 100_000_000
    var longest: UInt64 = 30_000_000_000
    var health: UInt64 = 60_000_000_000

    /// Crashes since the last minute of health.
    private(set) var crashes: UInt32 = 0

    init() {}

    init(first: UInt64, longest: UInt64) {
        self.first = first
        self.longest = longest
    }

    /// The delay after a crash of a process that was up for `uptime`; all in nanoseconds. `chance` is uniform in 0..<1.
    mutating func delay(afterUptime uptime: UInt64, chance: Double) -> UInt64 {
        if uptime >= health { crashes = 0 }
        let doubled = crashes < 20 ? min(first << UInt64(crashes), longest) : longest
        crashes += 1
        return doubled - UInt64(Double(doubled) * 0.2 * min(max(chance, 0), 1))
    }
}
