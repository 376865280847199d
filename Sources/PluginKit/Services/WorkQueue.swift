import PluginAPI
import Synchronization

/// What a worker asks for after it has handled a key.
public enum Requeue: Sendable {
    /// Nothing more until the key is added again.
    case done
    /// Once more after so many nanoseconds.
    case after(nanoseconds: UInt64)
}

/// How soon a key is to run when many wait (hostd/services/reconcile.h).
public enum WorkPriority: UInt32, Sendable {
    /// Someone waits for it: an object was changed.
    case interactive = 0
    /// Nobody waits for it: everything is looked at again.
    case background = 1
}

/// A keyed work queue (hostd.reconcile/1): one key is handled by one thread at a time, a key that waits is not added
/// twice, and a key whose handler throws is handled again after a back-off.
public final class WorkQueue: @unchecked Sendable {
    // SAFETY: the table is immutable; the handle is written once, before the object is published.
    private let table: UnsafePointer<hostd_reconcile_1>
    private let log: Log
    private let name: String
    private let handler: @Sendable (String) throws -> Requeue
    private struct State {
        var handle: UInt64 = 0
        var isRetained = true
        var isDraining = false
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - name: labels the queue's metrics and the log lines of failures.
    ///   - workers: how many keys are handled at once; handlers run on host threads and may block.
    public init(
        _ host: Host, name: String, workers: Int, handler: @escaping @Sendable (String) throws -> Requeue
    ) throws(PluginError) {
        table = try host.table(HOSTD_RECONCILE_1, as: hostd_reconcile_1.self)
        log = host.log
        self.name = name
        self.handler = handler
        let this = Unmanaged.passRetained(self)
        var handle: UInt64 = 0
        do {
            try checked { error in
                lend(name) { text, size in
                    table.pointee.create(
                        table.pointee.interface.`self`, text, size, UInt32(workers), WorkQueue.callback,
                        this.toOpaque(), &handle, error)
                }
            }
        } catch {
            this.release()
            throw error
        }
        state.withLock { $0.handle = handle }
    }

    private static let callback: hostd_callback = { context, data, size, delay in
        guard let context else { return HOSTD_OK }
        let queue = Unmanaged<WorkQueue>.fromOpaque(context).takeUnretainedValue()
        return queue.run(borrowedText(data, size), delay)
    }

    private func run(_ key: String, _ delay: UnsafeMutablePointer<UInt64>) -> Int32 {
        do {
            if case .after(let nanoseconds) = try handler(key) { delay.pointee = nanoseconds }
            return HOSTD_OK
        } catch let failure {
            let error = PluginError(failure)
            log.debug(
                "work failed and will be tried again",
                ["queue": .string(name), "key": .string(key), "error": .string(error.description)])
            if error.retryDelay > 0 { delay.pointee = UInt64(error.retryDelay) * 1_000_000 }
            return error.code
        }
    }

    /// Adds a key, after `delay` nanoseconds. A queue that was stopped or is drained ignores it.
    /// - Parameter group: whom it takes turns with; nil = what stands before the last slash of the key, its namespace.
    public func add(
        _ key: String, priority: WorkPriority = .interactive, group: String? = nil, delay: UInt64 = 0
    ) {
        let handle = state.withLock { $0.isRetained && !$0.isDraining ? $0.handle : 0 }
        if handle == 0 { return }
        do {
            try checked { error in
                lend(key) { key, keySize in
                    lend(group ?? "") { group, groupSize in
                        table.pointee.enqueue(
                            table.pointee.interface.`self`, handle, key, keySize, group, groupSize, priority.rawValue,
                            delay, error)
                    }
                }
            }
        } catch  where error.code == HOSTD_ERROR_WRONG_STATE {
            // It is drained at this moment.
        } catch {
            log.error("a key could not be queued: \(error)", ["queue": .string(name), "key": .string(key)])
        }
    }

    /// Forgets the back-off of a key.
    public func forget(_ key: String) {
        let handle = state.withLock { $0.isRetained ? $0.handle : 0 }
        if handle == 0 { return }
        lend(key) { text, size in
            cancelQuietly { table.pointee.forget(table.pointee.interface.`self`, handle, text, size, $0) }
        }
    }

    /// Takes no keys any more and returns when the ready ones have been handled, or at the deadline (monotonic nanoseconds).
    /// - Returns: how many keys were left, and the first of them. `stop` is still to be called.
    @discardableResult
    public func drain(deadline: UInt64) throws -> (dropped: Int, keys: [String]) {
        let handle = state.withLock { state -> UInt64 in
            state.isDraining = true
            return state.isRetained ? state.handle : 0
        }
        if handle == 0 { return (0, []) }
        let left = try checkedBuffer {
            table.pointee.drain(table.pointee.interface.`self`, handle, deadline, $0, $1)
        }.json()
        return (Int(left["dropped"].integerValue ?? 0), left["keys"].arrayValue.compactMap(\.stringValue))
    }

    /// Drops what waits and returns when no handler runs any more. Idempotent. Not to be called from the handler.
    public func stop() {
        let (handle, wasRetained) = state.withLock { state -> (UInt64, Bool) in
            defer { state.isRetained = false }
            return (state.handle, state.isRetained)
        }
        guard wasRetained else { return }
        cancelQuietly { table.pointee.destroy(table.pointee.interface.`self`, handle, $0) }
        Unmanaged.passUnretained(self).release()
    }
}
