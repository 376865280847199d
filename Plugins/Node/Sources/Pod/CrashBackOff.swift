/// Delay before a container is started again (or an image pulled again): none the first time, then 10 s, doubling to
/// 300 s, forgotten after the thing has been well for 10 minutes. Times are wall-clock seconds.
struct CrashBackOff: Sendable, Equatable {
    static let initialDelay = 10.0
    static let maximumDelay = 300.0

    private(set) var delay = 0.0
    private var lastUpdate = 0.0

    /// Seconds left to wait at `now` after a failure at `failedAt`; nil when a new try may begin.
    func remaining(failedAt: Double, now: Double) -> Double? {
        guard delay > 0, failedAt - lastUpdate <= 2 * Self.maximumDelay else { return nil }
        let left = failedAt + delay - now
        return left > 0 ? left : nil
    }

    /// Notes that a new try begins at `now`, after a failure at `failedAt`.
    mutating func registerTry(failedAt: Double, now: Double) {
        if delay == 0 || failedAt - lastUpdate > 2 * Self.maximumDelay {
            delay = Self.initialDelay
        } else {
            delay = min(delay * 2, Self.maximumDelay)
        }
        lastUpdate = now
    }

    /// As users read it in messages: "10s", "1m20s", "5m0s".
    var description: String {
        let seconds = Int(delay)
        return seconds < 60 ? "\(seconds)s" : "\(seconds / 60)m\(seconds % 60)s"
    }
}
