import Synchronization

/// A response body that is written bit by bit from any thread: a watch.
///
/// What is written and not yet taken by the connection is bounded: a writer that runs further ahead of its client loses
/// the stream (the client lists and watches again), so that a slow reader never makes the server grow.
final class HTTPBodyStream: Sendable {
    private struct State {
        var pending: [UInt8] = []
        /// Bytes of `pending` that do not count for the bound.
        var unbounded = 0
        var isFinished = false
        var isClosed = false
        var isSignalled = false
        var wake: (@Sendable () -> Void)?
        var onClose: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let limit: Int

    /// - Parameter limit: Most bytes that wait for the client.
    init(limit: Int = 8 << 20) {
        self.limit = limit
    }

    /// Writes the beginning of the body, which may be larger than the bound. Before the stream is attached.
    func begin(_ append: (inout [UInt8]) -> Void) {
        state.withLock { state in
            append(&state.pending)
            state.unbounded = state.pending.count
        }
    }

    /// Appends to the body through `append`. The result is false when the stream is over. [any-thread]
    @discardableResult
    func write(_ append: (inout [UInt8]) -> Void) -> Bool {
        let (isOpen, wake, onClose) = state.withLock {
            state -> (Bool, (@Sendable () -> Void)?, (@Sendable () -> Void)?) in
            guard !state.isFinished, !state.isClosed else { return (false, nil, nil) }
            append(&state.pending)
            if state.pending.count - state.unbounded > limit {
                state.pending = []
                state.isClosed = true
                defer { state.onClose = nil }
                return (false, state.wake, state.onClose)
            }
            guard !state.isSignalled, let wake = state.wake else { return (true, nil, nil) }
            state.isSignalled = true
            return (true, wake, nil)
        }
        wake?()
        onClose?()
        return isOpen
    }

    /// Ends the body after what was written. Idempotent. [any-thread]
    func finish() {
        let wake = state.withLock { state -> (@Sendable () -> Void)? in
            guard !state.isFinished, !state.isClosed else { return nil }
            state.isFinished = true
            guard !state.isSignalled else { return nil }
            state.isSignalled = true
            return state.wake
        }
        wake?()
    }

    /// Runs once when the client is gone or the bound is passed, at once if that has happened.
    func onClose(_ action: @escaping @Sendable () -> Void) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.onClose = action }
            return state.isClosed
        }
        if isClosed { action() }
    }

    /// The connection begins to take; `wake` is called, from any thread, when there is something new.
    func attach(wake: @escaping @Sendable () -> Void) {
        state.withLock { $0.wake = wake }
    }

    enum Taken {
        case bytes([UInt8], isFinished: Bool)
        /// The bound was passed: the connection must be cut.
        case aborted
    }

    /// What was written since the last call.
    func take() -> Taken {
        state.withLock { state in
            state.isSignalled = false
            if state.isClosed { return .aborted }
            let bytes = state.pending
            state.pending = []
            state.unbounded = 0
            return .bytes(bytes, isFinished: state.isFinished)
        }
    }

    /// The client is gone.
    func close() {
        let onClose = state.withLock { state -> (@Sendable () -> Void)? in
            state.pending = []
            state.wake = nil
            guard !state.isClosed else { return nil }
            state.isClosed = true
            defer { state.onClose = nil }
            return state.onClose
        }
        onClose?()
    }
}
