import Synchronization

/// The memory in which all streams together keep what their clients have not taken yet. Any thread.
///
/// Two sums are bounded, each by `limit` bytes. What streams go on with: when that is more, those that hold most end, until an
/// eighth is free again, so that a look at all streams is paid for by many bytes. And what streams begin with, which is there at
/// once and may be large: a beginning is admitted while it fits beside the others that still wait, or when none waits.
final class StreamBudget: Sendable {
    /// What happens, for metrics. Called from any thread, and must not wait.
    struct Report: Sendable {
        /// All streams hold so many bytes now. Not called for every small change.
        var held: @Sendable (Int) -> Void = { _ in }
        var ended: @Sendable (HTTPBodyStream.Ending) -> Void = { _ in }
        /// A beginning was not admitted.
        var refused: @Sendable () -> Void = {}
    }

    private struct Member {
        weak var stream: HTTPBodyStream?
    }

    /// How far the sum may have moved since it was reported.
    private static let step = 64 << 10

    let limit: Int
    private let report: Report
    private let members = Mutex<[ObjectIdentifier: Member]>([:])
    private let held = Atomic<Int>(0)
    private let beginnings = Atomic<Int>(0)
    private let reported = Atomic<Int>(0)
    private let relieving = Mutex<Void>(())

    init(limit: Int, report: Report = Report()) {
        self.limit = limit
        self.report = report
    }

    /// Bytes that wait now, beginnings included.
    var bytes: Int { held.load(ordering: .relaxed) + beginnings.load(ordering: .relaxed) }

    /// Streams that are open.
    var count: Int { members.withLock { $0.count } }

    // MARK: The streams' side

    func join(_ stream: HTTPBodyStream) {
        members.withLock { $0[ObjectIdentifier(stream)] = Member(stream: stream) }
    }

    func leave(_ stream: ObjectIdentifier) {
        members.withLock { _ = $0.removeValue(forKey: stream) }
    }

    /// Counts a beginning when there is room for it; it is given back by `change`.
    func admit(beginning bytes: Int) -> Bool {
        var present = beginnings.load(ordering: .relaxed)
        while present == 0 || present + bytes <= limit {
            let (isDone, found) = beginnings.compareExchange(
                expected: present, desired: present + bytes, ordering: .relaxed)
            if isDone {
                show()
                return true
            }
            present = found
        }
        report.refused()
        return false
    }

    /// A stream holds so much more or less.
    func change(held more: Int, beginning moreOfBeginning: Int) {
        if more != 0 { held.wrappingAdd(more, ordering: .relaxed) }
        if moreOfBeginning != 0 { beginnings.wrappingAdd(moreOfBeginning, ordering: .relaxed) }
        show()
    }

    func ended(_ ending: HTTPBodyStream.Ending) { report.ended(ending) }

    /// Reports how much is held at this moment.
    func reportNow() {
        let bytes = bytes
        reported.store(bytes, ordering: .relaxed)
        report.held(bytes)
    }

    private func show() {
        let bytes = bytes
        let last = reported.load(ordering: .relaxed)
        if abs(bytes - last) >= Self.step || (bytes == 0) != (last == 0) { reportNow() }
    }

    // MARK: The bound

    /// Ends streams when all together hold more than the limit. Who comes meanwhile waits, so that nobody runs ahead of the bound.
    /// Not with a stream's lock held.
    func relieve() {
        guard held.load(ordering: .relaxed) > limit else { return }
        relieving.withLock { _ in
            if held.load(ordering: .relaxed) > limit { relieve(downTo: limit - limit / 8) }
        }
    }

    private func relieve(downTo target: Int) {
        let streams = members.withLock { $0.values.compactMap(\.stream) }
            .map { (stream: $0, held: $0.held) }.sorted { $0.held > $1.held }
        for (stream, bytes) in streams {
            guard bytes > 0, held.load(ordering: .relaxed) > target else { break }
            stream.giveUp(.budget)
        }
    }
}
