import PluginAPI
import Synchronization

/// One-shot and repeating timers on the monotonic clock (hostd.timers/1). Any thread.
public struct Timers: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_timers_1>

    init(_ table: UnsafePointer<hostd_timers_1>) { self.table = table }

    /// Runs `body` after `delay` nanoseconds, then every `period` nanoseconds unless that is 0, until the timer is
    /// cancelled. Runs do not overlap. A one-shot timer needs no cancel after it ran.
    public func start(delay: UInt64, period: UInt64 = 0, _ body: @escaping @Sendable () -> Void) throws(PluginError)
        -> Timer
    {
        let timer = Timer(table: table, isRepeating: period != 0, body: body)
        try timer.start(delay: delay, period: period)
        return timer
    }
}

/// A running timer.
public final class Timer: @unchecked Sendable {
    // SAFETY: the table is immutable; all that changes is behind the mutex.
    private let table: UnsafePointer<hostd_timers_1>
    private let isRepeating: Bool
    private let body: @Sendable () -> Void
    private struct State {
        var handle: UInt64?
        var isRetained = true
        var isCancelled = false
    }
    private let state = Mutex(State())

    fileprivate init(table: UnsafePointer<hostd_timers_1>, isRepeating: Bool, body: @escaping @Sendable () -> Void) {
        self.table = table
        self.isRepeating = isRepeating
        self.body = body
    }

    fileprivate func start(delay: UInt64, period: UInt64) throws(PluginError) {
        let this = Unmanaged.passRetained(self)
        var handle: UInt64 = 0
        do {
            try checked {
                table.pointee.start(
                    table.pointee.interface.`self`, delay, period,
                    { context, _, _, _ in
                        guard let context else { return HOSTD_OK }
                        Unmanaged<Timer>.fromOpaque(context).takeUnretainedValue().fire()
                        return HOSTD_OK
                    }, this.toOpaque(), &handle, $0)
            }
        } catch {
            this.release()
            throw error
        }
        let cancelNow = state.withLock { state -> Bool in
            state.handle = handle
            return state.isCancelled
        }
        if cancelNow { stop(handle) }
    }

    private func fire() {
        if state.withLock({ $0.isCancelled }) { return }
        body()
        if !isRepeating { releaseOnce() }
    }

    private func stop(_ handle: UInt64) {
        cancelQuietly { table.pointee.cancel(table.pointee.interface.`self`, handle, $0) }
        releaseOnce()
    }

    private func releaseOnce() {
        let wasRetained = state.withLock { state -> Bool in
            defer { state.isRetained = false }
            return state.isRetained
        }
        if wasRetained { Unmanaged.passUnretained(self).release() }
    }

    /// Idempotent; when it returns the body is not running (unless it is the caller) and will not run again.
    public func cancel() {
        let handle = state.withLock { state -> UInt64? in
            if state.isCancelled || !state.isRetained { return nil }
            state.isCancelled = true
            return state.handle
        }
        if let handle { stop(handle) }
    }
}
