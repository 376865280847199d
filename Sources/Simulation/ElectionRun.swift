import Kernel
import PluginAPI

#if SIMULATION
    /// Runs real elections of several candidates over a real store, by one seed: ways to the store are cut and mended, leaders
    /// resign and come back, threads are held up. Checks that never two lead at once, that no write of a deposed leader
    /// happens, that tokens only grow, and that somebody leads when all is well.
    final class ElectionRun: @unchecked Sendable {  // Only the thread that has the turn touches it.
        private static let key = "leases//leader"
        let scheduler: Scheduler
        private(set) var problems: [String] = []
        private var generator: Generator
        private let count: Int
        private let life: Int
        private var looks: [ElectionHistory.Look] = []
        /// Fenced writes that happened: the token, and the revision.
        private var writes: [ElectionHistory.FencedWrite] = []

        init(seed: UInt64) {
            generator = Generator(seed: seed)
            count = generator.number(in: 2...4)
            life = generator.pick([500, 2000, 10_000])
            scheduler = Scheduler(generator: generator.split())
            scheduler.switchRate = generator.pick([1, 2, 4])
            scheduler.stallRate = generator.pick([0, 100, 1000])
            scheduler.lastPoint = 3_000_000
        }

        func run() {
            scheduler.start(name: "host") { [self] in host() }
            switch scheduler.run() {
            case .idle(let waiting) where waiting.isEmpty: check()
            case .idle(let waiting): problems.append("everything waits for ever: \(waiting.joined(separator: ", "))")
            default: problems.append("no end after \(scheduler.points) points")
            }
        }

        /// A control plane: its own threads, timers and way to the store.
        private struct Plane {
            let workers = WorkerPool(name: "worker", maximum: 2)
            let timers: Timers
            let link: ElectionLink
            let election: LeaderElection
            var table: UnsafePointer<hostd_election_1> {
                UnsafeRawPointer(election.makeInterface()).assumingMemoryBound(to: hostd_election_1.self)
            }

            init(_ store: StateStore, _ scheduler: Scheduler) {
                timers = Timers(workers: workers)
                link = ElectionLink(store, scheduler)
                election = LeaderElection(workers: workers, timers: timers)
                election.use(store: link.interface)
            }

            func close() {
                election.close()
                timers.close()
                workers.close()
            }
        }

        private func host() {
            let disk = SimulatedDisk(character: .init(), generator: generator.split())
            _ = disk.makeDirectory("/var")
            var options = StateStoreOptions()
            options.segmentSize = 64 << 10
            options.firstSegmentSize = 64 << 10
            options.files = SimulatedFiles(disk: disk, scheduler: scheduler).operations
            let store: StateStore
            do throws(StoreError) { store = try StateStore(directory: "/var/store", options: options) } catch {
                return problems.append("the store does not open: \(error.message)")
            }
            let planes = (0..<count).map { _ in Plane(store, scheduler) }
            let client = StoreClient(store)
            var threads: [UInt] = []
            for number in 0..<count {
                let luck = Shared(generator.split())
                threads.append(
                    scheduler.start(name: "candidate") { [self] in work(number, planes[number], client, &luck.value) })
            }
            for thread in threads { scheduler.join(thread) }
            for plane in planes { plane.close() }
            store.close()
        }

        // MARK: One candidate

        private func work(_ number: Int, _ plane: Plane, _ client: StoreClient, _ luck: inout Generator) {
            var candidacy = stand(number, plane)
            for _ in 0..<luck.number(in: 10...40) {
                scheduler.sleep(nanoseconds: UInt64(1 + luck.below(life * 400_000)))
                switch luck.below(12) {
                case 0: plane.link.isCut = true
                case 1, 2: plane.link.isCut = false
                case 3:
                    resign(candidacy, plane)
                    scheduler.sleep(nanoseconds: UInt64(luck.below(life * 1_000_000)))
                    candidacy = stand(number, plane)
                default: act(number, candidacy, plane, client, &luck)
                }
            }
            plane.link.isCut = false
            resign(candidacy, plane)
            if number == 0 { rest(plane, client) }
        }

        /// After all the others have gone, the last one leads at once.
        private func rest(_ plane: Plane, _ client: StoreClient) {
            // Others may be cut off or at work for a while yet.
            scheduler.sleep(nanoseconds: UInt64(life) * 1_000_000 * 40)
            for attempt in ["nobody stood", "the leader resigned"] {
                let candidacy = stand(0, plane)
                scheduler.sleep(nanoseconds: UInt64(life) * 500_000)
                if token(candidacy, plane) == nil {
                    problems.append("\(attempt), and after half a lease's time the only candidate does not lead")
                }
                resign(candidacy, plane)
            }
        }

        private func stand(_ number: Int, _ plane: Plane) -> UInt64 {
            let key = Array(Self.key.utf8)
            var candidacy: UInt64 = 0
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            let status = plane.table.pointee.campaign(
                plane.table.pointee.interface.`self`, key, UInt64(key.count), nil, 0, nil, 0, UInt64(life),
                { _, _, _, _ in }, nil, &candidacy, &error)
            if status != HOSTD_OK { problems.append("candidate \(number) cannot stand: \(status)") }
            return candidacy
        }

        private func resign(_ candidacy: UInt64, _ plane: Plane) {
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            _ = plane.table.pointee.resign(plane.table.pointee.interface.`self`, candidacy, &error)
        }

        private func token(_ candidacy: UInt64, _ plane: Plane) -> UInt64? {
            var token: UInt64 = 0
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            let status = plane.table.pointee.token(plane.table.pointee.interface.`self`, candidacy, &token, &error)
            error.message.release?(error.message.context)
            return status == HOSTD_OK ? token : nil
        }

        /// What a leader does: it looks whether it leads, thinks, and writes.
        private func act(
            _ number: Int, _ candidacy: UInt64, _ plane: Plane, _ client: StoreClient, _ luck: inout Generator
        ) {
            let begin = scheduler.time
            guard let token = token(candidacy, plane) else { return }
            looks.append(.init(candidate: number, token: token, begin: begin, end: scheduler.time))
            scheduler.note("candidate \(number) leads by \(token)", token)
            // Sometimes longer than it leads.
            scheduler.sleep(nanoseconds: UInt64(luck.below(luck.oneIn(4) ? life * 2_000_000 : 1_000_000)))
            let steps = [
                WriteStep(kind: .check, key: Self.key, expected: token),
                WriteStep(kind: .put, key: "pods//\(number)", tag: UInt64(writes.count + 1)),
            ]
            if case .done(let revision) = client.perform(.write(steps), scheduler: scheduler) {
                writes.append(.init(token: token, revision: revision))
            }
        }

        // MARK: Checking

        private func check() {
            problems += ElectionHistory(looks: looks, writes: writes).problems
        }
    }
#endif
