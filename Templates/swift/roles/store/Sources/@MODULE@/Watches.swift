import Glibc
import PluginAPI
import PluginKit

/// One watch. Everything is behind the store's lock, but for the sink, which runs without it.
final class StoreWatch: @unchecked Sendable {
    // SAFETY: see above; a sink is never called from two threads at once.
    let prefix: [UInt8]
    let selector: Selector
    /// All changes up to here were told, or are of no concern.
    var delivered: UInt64
    /// The revision that the last progress message named.
    var told: UInt64?
    var isBusy = false
    var isCancelled = false
    private let sink: hostd_sink
    private let context: UnsafeMutableRawPointer?

    init(
        prefix: [UInt8], selector: Selector, from: UInt64, sink: hostd_sink, context: UnsafeMutableRawPointer?
    ) {
        (self.prefix, self.selector, delivered) = (prefix, selector, from)
        (self.sink, self.context) = (sink, context)
    }

    func send(_ kind: Int32, _ message: [UInt8] = []) {
        lend(message) { sink(context, UInt32(kind), $0, $1) }
    }

    /// A change as this watch sees it; nothing when it is of no concern.
    private func encode(_ change: StoreState.Change, into out: inout [UInt8]) {
        guard change.record.key.starts(with: prefix) else { return }
        let isMatch = change.record.isPut && selector.matches(change.record.index)
        let wasMatch = change.previous.map { selector.matches($0.index) } ?? false
        guard isMatch || wasMatch else { return }
        if isMatch {
            let entered = change.previous != nil && !wasMatch
            change.record.encode(flags: entered ? HOSTD_STORE_RECORD_ENTERED : 0, into: &out)
            return
        }
        let left = change.record.isPut ? HOSTD_STORE_RECORD_LEFT : 0
        change.record.encode(flags: HOSTD_STORE_RECORD_HAS_PREVIOUS | left, into: &out)
        change.previous?.encode(into: &out)
    }

    /// The next message, if changes concern it, and the revision that it brings the watch to.
    func nextBatch(of state: StoreState) -> (batch: [UInt8], last: UInt64) {
        var (low, high) = (0, state.changes.count)
        while low < high {
            let middle = (low + high) / 2
            if state.changes[middle].record.revision <= delivered { low = middle + 1 } else { high = middle }
        }
        var (batch, last): ([UInt8], UInt64) = ([], delivered)
        for (count, change) in state.changes[low...].enumerated() {
            if count >= 256, change.record.revision != last { return (batch, last) }
            encode(change, into: &batch)
            last = change.record.revision
        }
        return (batch, state.revision)
    }
}

/// The state, its lock, and the thread that tells watches of changes and ends leases that nobody keeps alive.
final class Store: @unchecked Sendable {
    // SAFETY: everything below `monitor` is behind it.
    let monitor = Monitor()
    private var state: StoreState?
    private var watches: [UInt64: StoreWatch] = [:]
    private var lastWatch: UInt64 = 0
    private var isStopping = false
    private var teller: pthread_t?

    func open(path: String) throws {
        try monitor.locked {
            state = try StoreState(path: path)
            isStopping = false
            teller = try startThread { [self] in tell() }
        }
    }

    func close() {
        let thread = monitor.locked { () -> pthread_t? in
            isStopping = true
            monitor.signal()
            return teller
        }
        if let thread { pthread_join(thread, nil) }
        for handle in monitor.locked({ Array(watches.keys) }) { cancel(handle) }
        monitor.locked { state = nil }  // All of it is in the file.
    }

    /// Works with the state under the lock; whoever waits for news looks again afterwards.
    func with<Result>(_ body: (inout StoreState) throws -> Result) throws -> Result {
        try monitor.locked {
            defer { monitor.signal() }
            guard state != nil else { throw PluginError.wrongState("@NAME@ is not active") }
            return try body(&state!)
        }
    }

    func watch(_ make: (_ from: UInt64) -> StoreWatch, from: UInt64) throws -> UInt64 {
        try with { state in
            guard from == 0 || from >= state.compacted else {
                throw PluginError(code: HOSTD_ERROR_COMPACTED, message: "revision \(from) is no longer kept")
            }
            lastWatch += 1
            watches[lastWatch] = make(from == 0 ? state.revision : from)
            return lastWatch
        }
    }

    /// When it returns, the sink is not running and will not run again; unless it is called from the sink itself, which then
    /// was called for the last time.
    func cancel(_ handle: UInt64) {
        let ended = monitor.locked { () -> StoreWatch? in
            while let watch = watches[handle], watch.isBusy {
                watch.isCancelled = true
                if pthread_self() == teller { return nil }
                monitor.wait()
            }
            return watches.removeValue(forKey: handle)
        }
        ended?.send(HOSTD_SINK_END)
    }

    /// The body of the thread.
    private func tell() {
        monitor.lock()
        defer { monitor.unlock() }
        while !isStopping {
            let now = monotonicNanoseconds()
            let next = state?.leases.min { $0.value.expires < $1.value.expires }
            if let next, next.value.expires <= now {
                // Where the disk is full, say, it is over all the same.
                do { try state?.revoke(next.key) } catch { state?.leases[next.key] = nil }
                continue
            }
            let revision = state?.revision ?? 0
            let due = watches.first { !$0.value.isBusy && ($0.value.delivered < revision || $0.value.told != revision) }
            if let due {
                tell(due.key, due.value, revision)
            } else {
                monitor.wait(until: next?.value.expires ?? 0)
            }
        }
    }

    /// Tells one watch what is new. The lock is given up while the sink runs.
    private func tell(_ handle: UInt64, _ watch: StoreWatch, _ revision: UInt64) {
        guard state != nil else { return }
        let isBehind = watch.delivered < state!.compacted
        let (batch, last) = watch.nextBatch(of: state!)
        watch.delivered = last
        if last == revision { watch.told = last }
        watch.isBusy = true
        monitor.unlock()
        if isBehind {
            watch.send(HOSTD_SINK_RESYNC)
        } else {
            if !batch.isEmpty { watch.send(HOSTD_SINK_DATA, batch) }
            if last == revision, !watch.isCancelled {
                var progress: [UInt8] = []
                progress.append(last)
                watch.send(HOSTD_SINK_PROGRESS, progress)
            }
        }
        monitor.lock()
        watch.isBusy = false
        if isBehind || watch.isCancelled { watches[handle] = nil }
        monitor.signal()
    }
}
