import PluginKit
import Synchronization

/// Connections that have answered a request and wait for the next one. Bounded, for each server and in all; one that nobody
/// needs for a while is closed, and one that its server has ended meanwhile is not given out. Any thread.
final class UpstreamPool: Sendable {
    struct Limits: Sendable {
        /// Connections that wait for requests to one server.
        var ofServer = 8
        var all = 128
        /// How long one waits, in nanoseconds: less than most servers have patience.
        var patience: UInt64 = 20_000_000_000
    }

    private struct State {
        var waiting: [UpstreamConnection.Key: [UpstreamConnection]] = [:]
        var count = 0
        var isClosed = false
        /// Whether `sweep` is going to be called.
        var isWatched = false
        var cancel: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let limits: Limits
    private let timer: Clock

    /// Runs what it is given after so many nanoseconds, once. The result cancels that; nil when it cannot be had, and then no
    /// connection waits.
    typealias Clock = @Sendable (UInt64, @escaping @Sendable () -> Void) -> (@Sendable () -> Void)?

    init(limits: Limits = Limits(), timer: @escaping Clock) {
        self.limits = limits
        self.timer = timer
    }

    /// Connections that wait.
    var count: Int { state.withLock { $0.count } }

    /// A connection that has waited, the one that has done so the shortest; nil when there is none that lives.
    func take(_ key: UpstreamConnection.Key) -> UpstreamConnection? {
        while true {
            let found = state.withLock { state -> UpstreamConnection? in
                guard let found = state.waiting[key]?.popLast() else { return nil }
                if state.waiting[key]?.isEmpty == true { state.waiting[key] = nil }
                state.count -= 1
                return found
            }
            guard let found else { return nil }
            if found.isQuiet { return found }
        }
    }

    /// Lets a connection wait for the next request, if there is room.
    func put(_ connection: UpstreamConnection, now: UInt64) {
        let mustWatch = state.withLock { state in
            guard !state.isClosed, state.count < limits.all,
                state.waiting[connection.key]?.count ?? 0 < limits.ofServer
            else { return false }
            connection.isReused = true
            connection.since = now
            state.waiting[connection.key, default: []].append(connection)
            state.count += 1
            defer { state.isWatched = true }
            return !state.isWatched
        }
        if mustWatch { watch(limits.patience) }
    }

    /// Closes those that have waited long enough.
    func sweep(now: UInt64) {
        var ended: [UpstreamConnection] = []
        let next = state.withLock { state -> UInt64? in
            for (key, waiting) in state.waiting {
                let isLeft = { (connection: UpstreamConnection) in connection.since + self.limits.patience > now }
                ended += waiting.filter { !isLeft($0) }
                let left = waiting.filter(isLeft)
                state.waiting[key] = left.isEmpty ? nil : left
            }
            state.count -= ended.count
            let oldest = state.waiting.values.compactMap { $0.first?.since }.min()
            state.isWatched = oldest != nil
            return oldest.map { $0 + limits.patience - now }
        }
        if let next { watch(next) }
    }

    private func watch(_ delay: UInt64) {
        let cancel = timer(delay) { [weak self] in self?.sweep(now: monotonicNanoseconds()) }
        guard let cancel else { return drop() }
        let isClosed = state.withLock { state in
            state.cancel = cancel
            return state.isClosed
        }
        if isClosed { cancel() }
    }

    private func drop() {
        let dropped = state.withLock { state in
            defer {
                state.waiting = [:]
                state.count = 0
                state.isWatched = false
            }
            return state.waiting
        }
        // They close without the lock being held.
        withExtendedLifetime(dropped) {}
    }

    /// Closes all, and whatever comes later.
    func close() {
        let cancel = state.withLock { state in
            state.isClosed = true
            return state.cancel
        }
        cancel?()
        drop()
    }
}
