import PluginAPI

/// One candidate of an election: it looks at the key, takes it, keeps its lease alive, and stops in time. Steps run serially
/// on the workers, since calls of the store may block; the end of a term does not wait for them.
final class Candidacy: PoolJob, @unchecked Sendable {  // All state is behind `monitor`.
    struct Stand: Sendable {
        let key: [UInt8]
        let value: [UInt8]
        let index: [UInt8]
        let milliseconds: UInt64
    }

    private enum Phase {
        case waiting
        case leading(token: UInt64, until: UInt64)
        case over
    }

    private let stand: Stand
    private let rules: ElectionRules
    private let store: StoreCaller
    private let workers: WorkerPool
    private let timers: Timers
    private let messages: TopicSubscription
    private let monitor = Monitor()
    private var phase = Phase.waiting
    private var lease: UInt64 = 0
    private var seen: (revision: UInt64, since: UInt64)?
    private var watch: UInt64 = 0
    private var listener: Listener?
    private var isScheduled = false
    private var isAsked = false
    private var runner: UInt?
    private var nextStep: UInt64?
    private var termEnd: UInt64?

    init(
        _ stand: Stand, store: StoreCaller, workers: WorkerPool, timers: Timers,
        sink: @escaping @Sendable (Int32, UnsafeBufferPointer<UInt8>) -> Void
    ) {
        self.stand = stand
        self.store = store
        self.workers = workers
        self.timers = timers
        rules = ElectionRules(timeToLive: stand.milliseconds * 1_000_000)
        messages = TopicSubscription(topic: "", dispatchers: workers, sink: sink)
    }

    /// The token while this candidate leads.
    var token: UInt64? {
        monitor.locked {
            if case .leading(let token, let until) = phase, monotonicNow() < until { token } else { nil }
        }
    }

    // MARK: Steps

    /// Asks for a step soon. [any-thread]
    func wake() {
        let submits = monitor.locked {
            if case .over = phase { return false }
            isAsked = true
            defer { isScheduled = true }
            return !isScheduled
        }
        if submits { workers.submit(self) }
    }

    func run() {
        monitor.lock()
        runner = KernelThread.current
        while isAsked, !isOver {
            isAsked = false
            monitor.unlock()
            step()
            monitor.lock()
        }
        runner = nil
        isScheduled = false
        monitor.broadcast()
        monitor.unlock()
    }

    private var isOver: Bool { if case .over = phase { true } else { false } }

    private func step() {
        let (phase, lease) = monitor.locked { (self.phase, self.lease) }
        do throws(StoreError) {
            try watchTheKey()
            switch phase {
            case .leading(let token, _): try renew(lease, token)
            case .waiting: try stand(lease)
            case .over: break
            }
        } catch {
            // The store does not answer, or someone was faster: the picture is looked at anew. A term that could not be
            // renewed ends by its own timer.
            plan(at: time(monotonicNow(), plus: rules.retry))
        }
    }

    private func renew(_ lease: UInt64, _ token: UInt64) throws(StoreError) {
        let asked = monotonicNow()
        do throws(StoreError) {
            try store.keepAlive(lease)
        } catch {
            if error.code == HOSTD_ERROR_NOT_FOUND { return lose("the lease has ended") }
            throw error
        }
        guard let head = try store.head(stand.key), head.revision == token else {
            return lose("someone else wrote the key")
        }
        lead(token, until: rules.leadsUntil(asked: asked))
        plan(at: time(asked, plus: rules.renewal))
    }

    private func stand(_ ownLease: UInt64) throws(StoreError) {
        let head = try store.head(stand.key)
        let now = monotonicNow()
        let since = monitor.locked { () -> UInt64 in
            if let head, seen?.revision != head.revision { seen = (head.revision, now) }
            return seen?.since ?? now
        }
        let observation = head.map { ElectionRules.Observation.held(revision: $0.revision, lease: $0.lease) } ?? .absent
        switch rules.next(observation, ownLease: ownLease, unchangedSince: since, now: now) {
        case .wait(let until): plan(at: until)
        case .adopt(let revision):
            try store.keepAlive(ownLease)
            begin(revision, asked: now)
        case .create:
            let lease = try grant()
            begin(try store.create(stand.key, value: stand.value, index: stand.index, lease: lease), asked: now)
        case .takeOver(let expected):
            let lease = try grant()
            let token = try store.update(
                stand.key, value: stand.value, index: stand.index, lease: lease, expected: expected)
            begin(token, asked: now)
        }
    }

    /// A lease of this candidate's own; one of an attempt before is ended first.
    private func grant() throws(StoreError) -> UInt64 {
        let old = monitor.locked { self.lease }
        if old != 0 {
            do throws(StoreError) { try store.revoke(old) } catch {
                // What the store does not know any more is ended.
                if error.code != HOSTD_ERROR_NOT_FOUND { throw error }
            }
        }
        let lease = try store.grantLease(milliseconds: stand.milliseconds)
        monitor.locked { self.lease = lease }
        return lease
    }

    private func begin(_ token: UInt64, asked: UInt64) {
        lead(token, until: rules.leadsUntil(asked: asked))
        plan(at: time(asked, plus: rules.renewal))
    }

    // MARK: Terms

    private func lead(_ token: UInt64, until: UInt64) {
        monitor.locked {
            if isOver { return }
            var isNew = true
            if case .leading = phase { isNew = false }
            guard monotonicNow() < until else { return }
            phase = .leading(token: token, until: until)
            if isNew { messages.enqueue(SharedBytes(Array("{\"leading\":true,\"token\":\(token)}".utf8))) }
            if let termEnd { timers.forgetSoon(termEnd) }
            termEnd = start(at: until) { [weak self] in self?.endTerm() }
        }
    }

    /// The time is over and the lease was not kept alive.
    private func endTerm() {
        let isOverdue = monitor.locked {
            if case .leading(_, let until) = phase { monotonicNow() >= until } else { false }
        }
        if isOverdue { lose("the store did not renew the lease in time") }
    }

    private func lose(_ reason: String) {
        monitor.locked {
            guard case .leading = phase else { return }
            phase = .waiting
            messages.enqueue(SharedBytes(Array("{\"leading\":false,\"reason\":\"\(reason)\"}".utf8)))
        }
        wake()
    }

    private func plan(at deadline: UInt64) {
        monitor.locked {
            if isOver { return }
            if let nextStep { timers.forgetSoon(nextStep) }
            nextStep = start(at: deadline) { [weak self] in self?.wake() }
        }
    }

    private func start(at deadline: UInt64, _ body: @escaping @Sendable () -> Void) -> UInt64? {
        let now = monotonicNow()
        do throws(StoreError) {
            return try timers.start(delay: deadline > now ? deadline - now : 0, period: 0) { _ in
                body()
                return HOSTD_OK
            }
        } catch {
            return nil  // The host is stopping.
        }
    }

    // MARK: Watching

    /// What a watch calls. It outlives the candidacy when the store does not say that the watch has ended.
    private final class Listener: Sendable {
        private struct Weak: Sendable { weak var candidacy: Candidacy? }
        private let target: Weak
        var candidacy: Candidacy? { target.candidacy }
        init(_ candidacy: Candidacy) { target = Weak(candidacy: candidacy) }
    }

    private func watchTheKey() throws(StoreError) {
        if monitor.locked({ watch != 0 || isOver }) { return }
        let listener = Listener(self)
        let end = (stand.key.lastIndex(of: UInt8(ascii: "/")) ?? stand.key.count - 1) + 1
        let handle = try store.watch(
            Array(stand.key[..<end]),
            { context, kind, data, size in
                guard let context else { return }
                let listener = Unmanaged<Listener>.fromOpaque(context).takeUnretainedValue()
                listener.candidacy?.hear(Int32(bitPattern: kind), UnsafeRawBufferPointer(borrowed(data, size)))
            }, Unmanaged.passUnretained(listener).toOpaque())
        monitor.locked {
            watch = handle
            self.listener = listener
        }
    }

    private func hear(_ kind: Int32, _ data: UnsafeRawBufferPointer) {
        switch kind {
        case HOSTD_SINK_DATA: if concerns(data) { wake() }
        case HOSTD_SINK_PROGRESS: break
        default:
            monitor.locked { watch = 0 }
            plan(at: time(monotonicNow(), plus: rules.retry))
        }
    }

    /// Whether one of the records is of the key.
    private func concerns(_ records: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        while let base = records.baseAddress, records.count - offset >= Record.headSize {
            let head = (base + offset).loadUnaligned(as: hostd_store_record.self)
            let size = Int(head.record_size)
            guard size >= Record.headSize, size <= records.count - offset else { return true }
            let key = records[(offset + Int(head.struct_size))...].prefix(Int(head.key_size))
            if key.elementsEqual(stand.key) { return true }
            offset += size
        }
        return false
    }

    // MARK: Ending

    /// See `hostd_election_1.resign`. [blocking]
    func resign() {
        monitor.lock()
        let last = phase
        phase = .over
        while let runner, runner != KernelThread.current { monitor.wait() }
        let (watch, lease) = (self.watch, self.lease)
        for timer in [nextStep, termEnd] { if let timer { timers.forgetSoon(timer) } }
        monitor.unlock()
        if case .over = last { return }
        end(watch)
        if !planted(.resignedKeyStays) { giveUp(last, lease) }
        messages.cancel()
    }

    private func end(_ watch: UInt64) {
        guard watch != 0 else { return }
        do throws(StoreError) { try store.cancel(watch: watch) } catch {
            // Its sink may be called as long as the store lives.
            if let listener { _ = Unmanaged.passRetained(listener) }
        }
    }

    /// Deletes the key, so that another one leads at once, and ends the lease. What fails ends with the lease, in its time.
    private func giveUp(_ last: Phase, _ lease: UInt64) {
        if case .leading(let token, _) = last {
            do throws(StoreError) { try store.remove(stand.key, expected: token) } catch { return }
        }
        if lease != 0 { do throws(StoreError) { try store.revoke(lease) } catch { return } }
    }
}
