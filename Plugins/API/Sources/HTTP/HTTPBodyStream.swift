import Synchronization

/// A response body that is written bit by bit from any thread: a watch.
///
/// What is written and not yet sent is bounded, for each stream and, by a `StreamBudget`, for all together: the client of a
/// stream that passes a bound is told so in place of what waits for it, and begins anew. So slow readers never make the server
/// grow.
final class HTTPBodyStream: Sendable {
    /// Why a stream ended before its time.
    enum Ending: String, Sendable, CaseIterable {
        /// It fell behind by more than its own bound.
        case behind
        /// All streams together held too much, and it most.
        case budget
        /// The same, and its client did not even take what had been given to the connection.
        case cut
    }

    private struct State {
        var pending = OutputQueue()
        /// Bytes of `pending` that the stream began with.
        var beginning = 0
        /// Bytes that are not written yet and are kept for that elsewhere.
        var elsewhere = 0
        /// Bytes that the connection has taken and not sent.
        var unsent = 0
        var isFinished = false
        /// The connection must end at once.
        var isAborted = false
        var isClosed = false
        /// The connection knows that there is something to take.
        var isSignalled = false
        var wake: (@Sendable () -> Void)?
        var onClose: (@Sendable () -> Void)?
        /// What the budget was told last.
        var counted = (held: 0, beginning: 0)

        var isOpen: Bool { !isFinished && !isAborted && !isClosed }

        /// What is to be called so that the connection takes what is there.
        mutating func signal() -> (@Sendable () -> Void)? {
            guard !isSignalled, let wake else { return nil }
            isSignalled = true
            return wake
        }
    }

    private let state = Mutex(State())
    private let limit: Int
    private let budget: StreamBudget?
    private let lastWords: @Sendable (inout [UInt8]) -> Void

    /// - Parameters:
    ///   - limit: Most bytes that wait for the client, apart from the beginning.
    ///   - lastWords: Appends what a client reads last that is told to begin anew.
    init(
        limit: Int = 8 << 20, budget: StreamBudget? = nil,
        lastWords: @escaping @Sendable (inout [UInt8]) -> Void = { _ in }
    ) {
        self.limit = limit
        self.budget = budget
        self.lastWords = lastWords
        budget?.join(self)
    }

    deinit {
        guard let budget else { return }
        let counted = state.withLock { $0.counted }
        budget.change(held: -counted.held, beginning: -counted.beginning)
        budget.leave(ObjectIdentifier(self))
    }

    /// Bytes that count for the bound of all streams.
    var held: Int { state.withLock { $0.counted.held } }

    private func count(_ state: inout State) {
        guard let budget else { return }
        var now = (held: 0, beginning: 0)
        if !state.isClosed && !state.isAborted {
            now = (state.pending.count - state.beginning + state.elsewhere + state.unsent, state.beginning)
        }
        guard now != state.counted else { return }
        budget.change(held: now.held - state.counted.held, beginning: now.beginning - state.counted.beginning)
        state.counted = now
    }

    // MARK: The writer's side

    /// Writes the beginning of the body, which may be larger than the bound. Once, before the stream is attached.
    /// - Returns: false when too much waits for clients already; then nothing was written.
    func begin(_ append: (inout OutputQueue) -> Void) -> Bool {
        state.withLock { state in
            append(&state.pending)
            let bytes = state.pending.count
            guard budget?.admit(beginning: bytes) ?? true else {
                state.pending.removeAll()
                return false
            }
            state.beginning = bytes
            state.counted.beginning = bytes
            return true
        }
    }

    /// Appends to the body through `append`. The result is false when the stream is over. [any-thread]
    @discardableResult
    func write(_ append: (inout [UInt8]) -> Void) -> Bool {
        let (isOpen, isBehind, wake) = state.withLock { state -> (Bool, Bool, (@Sendable () -> Void)?) in
            guard state.isOpen else { return (false, false, nil) }
            let before = state.pending.count
            state.pending.append(append)
            guard state.pending.count > before else { return (true, false, nil) }
            count(&state)
            return (true, state.pending.count - state.beginning > limit, state.signal())
        }
        wake?()
        if isBehind {
            giveUp(.behind)
            return false
        }
        budget?.relieve()
        return isOpen
    }

    /// Bytes are kept elsewhere, so many more or less, until they are written here. The result is false when the stream is over.
    /// [any-thread]
    @discardableResult
    func keepElsewhere(_ more: Int) -> Bool {
        let isOpen = state.withLock { state in
            state.elsewhere += more
            count(&state)
            return state.isOpen
        }
        budget?.relieve()
        return isOpen
    }

    /// Ends the body after what was written. Idempotent. [any-thread]
    func finish() {
        let wake = state.withLock { state -> (@Sendable () -> Void)? in
            guard state.isOpen else { return nil }
            state.isFinished = true
            return state.signal()
        }
        wake?()
    }

    /// Ends the stream because of a bound: what waits is dropped, and the client reads its last words instead. When nothing waits
    /// but what the client does not take, its connection is cut. [any-thread]
    func giveUp(_ ending: Ending) {
        let (ending, wake) = state.withLock { state -> (Ending?, (@Sendable () -> Void)?) in
            let tells = state.isOpen && (state.elsewhere > 0 || !state.pending.isEmpty)
            guard tells || state.counted.held > 0 else { return (nil, nil) }
            state.pending.removeAll()
            state.beginning = 0
            if tells {
                state.pending.append(lastWords)
                state.isFinished = true
            } else {
                state.isAborted = true
            }
            count(&state)
            // Who waits for the client to read on must hear at once that the connection is to be cut.
            return (tells ? ending : .cut, tells ? state.signal() : state.wake)
        }
        if let ending { budget?.ended(ending) }
        wake?()
    }

    /// Runs once when the client is gone or the stream is over, at once if that has happened.
    func onClose(_ action: @escaping @Sendable () -> Void) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.onClose = action }
            return state.isClosed
        }
        if isClosed { action() }
    }

    // MARK: The connection's side

    /// The connection begins to take; `wake` is called, from any thread, when there is something new.
    func attach(wake: @escaping @Sendable () -> Void) {
        state.withLock { $0.wake = wake }
    }

    enum Taken {
        /// `isFinished`: this is the end of the body. Otherwise, when there is `more`, `wake` is not called for it.
        case bytes([[UInt8]], more: Bool, isFinished: Bool)
        /// The connection must be cut.
        case aborted
    }

    var isAborted: Bool { state.withLock { $0.isAborted } }

    /// What was written since the last call, not many more bytes than `most` at once.
    func take(upTo most: Int) -> Taken {
        state.withLock { state in
            if state.isAborted || state.isClosed { return .aborted }
            var segments: [[UInt8]] = []
            var taken = 0
            while taken < most, let segment = state.pending.popFirst() {
                segments.append(segment)
                taken += segment.count
            }
            state.beginning = max(0, state.beginning - taken)
            state.unsent += taken
            let more = !state.pending.isEmpty
            state.isSignalled = more
            count(&state)
            return .bytes(segments, more: more, isFinished: state.isFinished && !more)
        }
    }

    /// So many bytes that were taken are not sent yet.
    func note(unsent: Int) {
        state.withLock { state in
            state.unsent = unsent
            count(&state)
        }
    }

    /// The client is gone, or has all of it.
    func close() {
        let onClose = state.withLock { state -> (@Sendable () -> Void)? in
            state.pending.removeAll()
            state.beginning = 0
            state.wake = nil
            guard !state.isClosed else { return nil }
            state.isClosed = true
            count(&state)
            defer { state.onClose = nil }
            return state.onClose
        }
        onClose?()
    }
}
