/// How long a plugin that crashed is left alone before it is started again: 100 ms at first, twice as long each time, 30 s at
/// most, less up to a fifth so that plugins that fell together do not rise together. A minute of health starts anew.
///
/// One that worked and was killed from outside has no fault that time would heal: it comes back at once, though not more than
/// ten times a second, and not more than 600 times without a minute of health, because a plugin can kill itself, too.
struct RestartBackOff: Sendable, Equatable {
    /// All in nanoseconds.
    var first: UInt64 = 100_000_000
    var longest: UInt64 = 30_000_000_000
    var health: UInt64 = 60_000_000_000
    /// Between two starts of a process that is killed from outside.
    var killed: UInt64 = 100_000_000
    /// Least pause after a kill.
    var leastPause: UInt64 = 5_000_000
    static let killLimit: UInt32 = 600
    /// How long the gates of a generation are kept after its end: a late call may still be inside.
    var retention: UInt64 = 30_000_000_000

    /// Crashes since the last minute of health.
    private(set) var crashes: UInt32 = 0
    /// Kills since then that were answered at once.
    private(set) var kills: UInt32 = 0

    init() {}

    init(first: UInt64, longest: UInt64) {
        self.first = first
        self.longest = longest
    }

    /// The delay after a crash of a process that was up for `uptime`; all in nanoseconds. `chance` is uniform in 0..<1.
    /// `wasKilled`: it worked, and a SIGKILL ended it that neither the host nor a limit had sent.
    mutating func delay(afterUptime uptime: UInt64, wasKilled: Bool = false, chance: Double) -> UInt64 {
        if uptime >= health { (crashes, kills) = (0, 0) }
        if wasKilled, kills < Self.killLimit {
            kills += 1
            return max(uptime < killed ? killed - uptime : 0, leastPause)
        }
        let doubled = crashes < 20 ? min(first << UInt64(crashes), longest) : longest
        crashes += 1
        return doubled - UInt64(Double(doubled) * 0.2 * min(max(chance, 0), 1))
    }
}
