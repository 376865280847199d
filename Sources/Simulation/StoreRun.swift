import Kernel
import PluginAPI

/// Runs the real store on a simulated disk, with simulated clients, watches and crashes, by one seed.
final class StoreRun: @unchecked Sendable {  // Only the thread that has the turn touches it.
    let scheduler: Scheduler
    private var generator: Generator
    private(set) var plan: RunPlan
    /// A store that once had plain values said that no file has any.
    var isPlainGone = false
    let disk: SimulatedDisk
    /// Names that the clients use, in each of three places.
    var keys: Int { plan.keys }
    private(set) var history = History()
    var problems: [String] = []
    /// When values are encrypted.
    let keyFile: KeyFile?
    let directory = "/var/store"

    /// Leases that clients were granted and believe in; also in later lives of the store.
    var leases: [UInt64] = []
    private var moment = 0
    private var nextTag: UInt64 = 0
    private(set) var store: StateStore?
    /// Backups that were begun, so that each has a name of its own.
    var backups = 0
    /// What the store showed before it was closed in order.
    private var closed: Response?
    /// Counts the lives of the store; what belongs to an older one says nothing any more.
    private var life = 0

    init(seed: UInt64) {
        generator = Generator(seed: seed)
        plan = RunPlan(&generator)
        scheduler = Scheduler(generator: generator.split())
        scheduler.switchRate = generator.pick([1, 2, 4, 12])
        scheduler.spuriousRate = generator.pick([0, 50, 400])
        scheduler.stallRate = generator.pick([0, 100, 1000])
        disk = SimulatedDisk(character: plan.character, generator: generator.split())
        _ = disk.makeDirectory("/var")
        _ = disk.synchronizeDirectory("/")
        keyFile = plan.isEncrypted ? KeyFile(&generator) : nil
        history.historyCount = plan.options.historyCount
        history.diskFails = plan.character.synchronizeFails + plan.character.writeFails > 0
        plan.options.files = SimulatedFiles(disk: disk, scheduler: scheduler).operations
        plan.options.log = { [scheduler] level, message, fields in
            scheduler.note("log: \(message) \(fields.map { "\($0.0)=\($0.1)" }.joined(separator: " "))", UInt64(level))
        }
    }

    private func now() -> Int {
        moment += 1
        return moment
    }

    // MARK: Epochs

    /// Runs it. Afterwards `history` has what happened, `problems` what went wrong without a look at it.
    func run() {
        for epoch in 1...plan.epochs {
            let isLast = epoch == plan.epochs
            if epoch >= plan.encryptsFrom { plan.options.encryption = keyFile?.settings }
            let ends = isLast ? 2 : generator.below(6)
            scheduler.lastPoint = scheduler.points + 3_000_000
            scheduler.crashPoint =
                ends >= 2
                ? .max : scheduler.points + UInt64(generator.number(in: plan.isUniform ? 200...1500 : 20...6000))
            if isLast {
                disk.character.synchronizeFails = 0
                disk.character.writeFails = 0
                disk.usedByOthers = 0
            }
            live(isLast: isLast, closes: ends != 3)
            let hidesValues = plan.isEncrypted && (plan.encryptsFrom == 1 || isPlainGone)
            if hidesValues { lookForPlainValues() }
            if !problems.isEmpty { return }
            if ends == 1 || ends == 3 || ends == 5 {
                scheduler.note("the power goes", 77)
                disk.powerEnds()
            } else {
                scheduler.note("the process ends", 78)
                disk.processEnds()
            }
            if hidesValues { lookForPlainValues() }
            if !problems.isEmpty { return }
            if let closed, !history.diskFails, !plan.diskFills { probeDamage(after: closed) }
        }
        history.isFinished = true
    }

    /// One life of the store, from its opening to a crash or its end.
    private func live(isLast: Bool, closes: Bool) {
        life += 1
        history.epochs.append(Epoch(begin: now(), beginTime: scheduler.time))
        store = nil
        closed = nil
        liveWatches = []
        handles = [:]
        scheduler.start(name: "host") { [self] in host(isLast: isLast, closes: closes) }
        switch scheduler.run() {
        case .idle(let waiting) where waiting.isEmpty: break
        case .idle(let waiting): problems.append("everything waits for ever: \(waiting.joined(separator: ", "))")
        case .endless: problems.append("no end after \(scheduler.points) points")
        case .crash: break
        }
        life += 1
        if let store { _ = Unmanaged.passRetained(store) }  // Its threads still stand in it.
        scheduler.abandon()
    }

    /// The thread of a life: opens the store, starts the clients, waits for them, closes.
    private func host(isLast: Bool, closes: Bool) {
        guard let opened = open() else { return }
        store = opened
        let client = StoreClient(opened)
        observe(client)
        var threads: [UInt] = []
        for number in 0..<plan.clients {
            let luck = generator.split()
            threads.append(
                scheduler.start(name: "client") { [self] in
                    var simulated = SimulatedClient(number: number, run: self, client: client, generator: luck)
                    simulated.work(plan.operations)
                })
        }
        for number in 0..<plan.watches { beginWatch(client, name: "watch \(number)") }
        if plan.diskFills && !isLast {
            let luck = generator.split()
            threads.append(scheduler.start(name: "filler") { [self] in fillDisk(luck) })
        }
        if plan.rotatesKeys, plan.options.encryption != nil {
            let luck = generator.split()
            threads.append(scheduler.start(name: "operator") { [self] in changeKeys(luck) })
        }
        for thread in threads { scheduler.join(thread) }
        disk.usedByOthers = 0
        guard closes else { return scheduler.crashPoint = scheduler.points }
        if isLast { rest(client) }
        let last = client.perform(
            .list(prefix: "", app: nil, revision: 0, limit: 0, after: ""), scheduler: scheduler)
        opened.close()
        store = nil
        closed = last
    }

    private func open() -> StateStore? {
        var tries = 0
        while true {
            do throws(StoreError) {
                return try StateStore(directory: directory, options: plan.options)
            } catch {
                tries += 1
                scheduler.note("opening fails: \(error.message)", UInt64(bitPattern: Int64(error.code)))
                let mayFail =
                    plan.diskFills && error.code == HOSTD_ERROR_NO_SPACE
                    || disk.character.synchronizeFails + disk.character.writeFails > 0
                        && error.code == HOSTD_ERROR_INTERNAL
                guard mayFail, tries < 20 else {
                    problems.append("the store does not open: \(error.message)")
                    return nil
                }
                disk.usedByOthers = 0
                disk.processEnds()
            }
        }
    }

    /// Flips a bit in a copy of a store that was closed in order: it must refuse to open, or have everything.
    private func probeDamage(after closed: Response) {
        guard case .page(let revision, let records, _, _) = closed else { return }
        let copy = disk.copy(generator: generator.split())
        let files = copy.paths.filter { copy.contents($0)?.isEmpty == false && !$0.hasSuffix("LOCK") }
        guard !files.isEmpty else { return }
        let path = generator.pick(files)
        // Mostly where something stands: the rest of a segment is zeros.
        let used = (copy.contents(path)?.lastIndex { $0 != 0 } ?? 0) + 1
        let byte = generator.below(used)
        copy.flip(path, byte: byte, bit: generator.below(8))
        var options = plan.options
        options.files = SimulatedFiles(disk: copy, scheduler: scheduler).operations
        let settings = options
        scheduler.crashPoint = .max
        scheduler.start(name: "prober") { [self] in
            do throws(StoreError) {
                let store = try StateStore(directory: directory, options: settings)
                let client = StoreClient(store)
                if case .page(let shown, let found, _, _) = client.perform(
                    .list(prefix: "", app: nil, revision: 0, limit: 0, after: ""), scheduler: scheduler)
                {
                    if shown < revision || shown == revision && found != records {
                        problems.append(
                            "a bit flipped in \(path) at \(byte): the store opens at revision \(shown) of \(revision) with "
                                + "\(found.count) keys of \(records.count)")
                    }
                }
                store.close()
            } catch {
                scheduler.note("a bit flipped in \(path) at \(byte): \(error.message)", UInt64(byte))
                guard [HOSTD_ERROR_DATA_LOSS, HOSTD_ERROR_VERSION].contains(error.code), error.message.contains(path)
                else {
                    return problems.append("a bit flipped in \(path) at \(byte) is answered by: \(error.message)")
                }
            }
        }
        if scheduler.run() != .idle(waiting: []) { problems.append("opening a damaged store does not end") }
        scheduler.abandon()
    }

    private func fillDisk(_ luck: Generator) {
        var luck = luck
        for _ in 0..<20 {
            scheduler.sleep(nanoseconds: UInt64(luck.number(in: 1...20)) * 1_000_000)
            disk.usedByOthers =
                luck.oneIn(2) ? disk.free + disk.usedByOthers - luck.below(luck.pick([1, 6_000, 40_000])) : 0
            scheduler.note("\(disk.free) bytes are free", UInt64(disk.free))
        }
    }

    /// Waits until all has come to rest and leases are over, and sees what is there.
    private func rest(_ client: StoreClient) {
        scheduler.sleep(nanoseconds: 40_000_000_000)
        guard
            case .page(let revision, let records, _, _) = perform(
                client, 1000, .list(prefix: "", app: nil, revision: 0, limit: 0, after: ""))
        else { return problems.append("the last list fails") }
        history.finalRevision = revision
        history.finalRecords = records
        for position in liveWatches { history.watches[position].isCompleteAtEnd = true }
        history.observers[history.observers.count - 1].isCompleteAtEnd = true
    }

    // MARK: Requests

    func tag() -> UInt64 {
        nextTag += plan.isUniform ? 8 : UInt64(1 + generator.below(3))
        return nextTag
    }

    func perform(_ client: StoreClient, _ number: Int, _ request: Request) -> Response {
        perform(number, request) { client.perform(request, scheduler: scheduler) }
    }

    func perform(_ number: Int, _ request: Request, _ body: () -> Response) -> Response {
        let position = history.operations.count
        history.operations.append(
            Operation(client: number, request: request, begin: now(), beginTime: scheduler.time))
        scheduler.note("asks \(request)", UInt64(position))
        let response = body()
        history.operations[position].end = now()
        history.operations[position].endTime = scheduler.time
        history.operations[position].response = response
        scheduler.note("\(position) gets \(response)", Self.number(of: response))
        return response
    }

    private static func number(of response: Response) -> UInt64 {
        switch response {
        case .done(let revision): revision
        case .record(let seen): seen.revision
        case .page(let revision, let records, _, _): revision &* 1000 &+ UInt64(records.count)
        case .lease(let lease): lease
        case .versions(let versions, let since): since &* 1000 &+ UInt64(versions.count)
        case .failed(let code, _, _, _): UInt64(bitPattern: Int64(code))
        }
    }

    // MARK: Watches

    private var liveWatches: Set<Int> = []
    private var handles: [Int: UInt64] = [:]
    /// What all observers saw: the newest revision.
    private(set) var observed: UInt64 = 0

    private func observe(_ client: StoreClient) {
        let position = history.observers.count
        // A watch from revision 0 begins now; what is there already is read instead.
        let first = observed == 0 ? firstTransaction(client) : []
        if !first.isEmpty { observed = 1 }
        let from = observed
        history.observers.append(
            WatchStream(name: "observer \(position)", prefix: "", app: nil, from: from, begin: now()))
        history.first = first.isEmpty ? history.first : first
        let life = life
        let (_, failure) = client.watch(
            prefix: "", app: nil, from: from,
            sink: .init { [self] kind, bytes in
                guard life == self.life else { return }
                let message = message(kind, bytes)
                history.observers[position].messages.append(message)
                if case .events(let events) = message.content { observed = events.last?.record.revision ?? observed }
            })
        history.observers[position].begun = now()
        if let failure { problems.append("the observer cannot go on after revision \(from): \(failure)") }
    }

    /// What the first transaction wrote, if there was one: then it is all that is there at revision 1.
    private func firstTransaction(_ client: StoreClient) -> [Seen] {
        guard
            case .page(let revision, _, _, _) = perform(
                client, 999, .list(prefix: "", app: nil, revision: 0, limit: 1, after: "")), revision > 0,
            case .page(_, let records, _, _) = perform(
                client, 999, .list(prefix: "", app: nil, revision: 1, limit: 0, after: ""))
        else { return [] }
        return records
    }

    private func message(_ kind: UInt32, _ bytes: UnsafeRawBufferPointer) -> WatchMessage {
        let content: WatchMessage.Content =
            switch Int32(kind) {
            case HOSTD_SINK_DATA: .events(StoreClient.events(bytes))
            case HOSTD_SINK_PROGRESS: .progress(bytes.loadUnaligned(as: UInt64.self))
            case HOSTD_SINK_RESYNC: .resync
            default: .end
            }
        return WatchMessage(content, moment: now(), time: scheduler.time)
    }

    /// Starts a watch from now or from a past revision.
    func beginWatch(_ client: StoreClient, name: String) {
        let position = history.watches.count
        let from = observed == 0 || generator.oneIn(4) ? 0 : observed - UInt64(generator.below(Int(min(observed, 12))))
        let prefix = generator.pick(["", "pods/", "pods/a/", "nodes/"])
        let app = generator.oneIn(2) ? generator.pick(["web", "db", "cache"]) : nil
        history.watches.append(WatchStream(name: name, prefix: prefix, app: app, from: from, begin: now()))
        let life = life
        var luck = generator.split()
        let isSlow = plan.slowSinks
        let (handle, failure) = client.watch(
            prefix: prefix, app: app, from: from, isPrompt: !isSlow && luck.oneIn(2),
            sink: .init { [self] kind, bytes in
                guard life == self.life else { return }
                let message = message(kind, bytes)
                history.watches[position].messages.append(message)
                scheduler.note("\(name) \(position) gets \(message.content)", UInt64(kind))
                if isSlow { scheduler.sleep(nanoseconds: UInt64(1 + luck.below(20_000_000))) }
            })
        history.watches[position].begun = now()
        if let failure {
            guard case .failed(let code, _, _, _) = failure,
                code == HOSTD_ERROR_COMPACTED || code == HOSTD_ERROR_UNAVAILABLE
            else { return problems.append("\(name) does not begin: \(failure)") }
        } else {
            liveWatches.insert(position)
            handles[position] = handle
        }
    }

    /// Ends one of the watches of this life.
    func cancelWatch(_ client: StoreClient, _ luck: inout Generator) {
        guard !handles.isEmpty else { return }
        let position = luck.pick(handles.keys.sorted())
        guard let handle = handles.removeValue(forKey: position) else { return }
        liveWatches.remove(position)
        client.cancel(handle)
    }
}
