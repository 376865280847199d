import Kernel
import PluginAPI

#if SIMULATION
    /// Runs the real work queues and timers with threads that add keys, by one seed, and checks what the header promises: one
    /// key runs once at a time, no more keys at once than workers, none of what was asked for is lost, failures are tried again
    /// after their back-off, and nothing runs that nobody asked for.
    final class QueueRun: @unchecked Sendable {  // Only the thread that has the turn touches it.
        let scheduler: Scheduler
        private(set) var problems: [String] = []
        private var generator: Generator
        private let limit: Int
        private let keys: Int
        private let longestRun: Int
        private let failures: Int
        private let repeats: Int

        private struct Ask {
            var key: Int
            var begin: UInt64
            /// The earliest that its run may start, when nothing else asks for one.
            var due: UInt64
            /// A run began after it.
            var isMet = false
            /// A run is put down to it: each asks for one at most, fewer when they fall together.
            var isUsed = false
        }
        private var asks: [Ask] = []
        private var running: Set<Int> = []
        private var context: Context?

        private final class Context: @unchecked Sendable {  // Only the thread that has the turn touches it.
            unowned let run: QueueRun
            init(_ run: QueueRun) { self.run = run }
        }

        init(seed: UInt64) {
            generator = Generator(seed: seed)
            limit = generator.number(in: 1...4)
            keys = generator.number(in: 1...6)
            longestRun = generator.pick([1000, 1_000_000, 40_000_000])
            failures = generator.pick([0, 3, 10])
            repeats = generator.pick([0, 5])
            scheduler = Scheduler(generator: generator.split())
            scheduler.switchRate = generator.pick([1, 2, 4])
            scheduler.spuriousRate = generator.pick([0, 50])
            scheduler.lastPoint = 2_000_000
        }

        func run() {
            scheduler.start(name: "host") { [self] in host() }
            switch scheduler.run() {
            case .idle(let waiting) where waiting.isEmpty: break
            case .idle(let waiting): problems.append("everything waits for ever: \(waiting.joined(separator: ", "))")
            default: problems.append("no end after \(scheduler.points) points")
            }
        }

        private func host() {
            let workers = WorkerPool(name: "worker", maximum: 8)
            let timers = Timers(workers: workers)
            let reconcile = Reconcile(workers: workers, timers: timers, metrics: Metrics())
            let table = UnsafeRawPointer(reconcile.makeInterface()).assumingMemoryBound(to: hostd_reconcile_1.self)
            let this = table.pointee.interface.`self`
            let context = Context(self)
            self.context = context
            var queue: UInt64 = 0
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            let name = Array("simulated".utf8)
            let status = table.pointee.create(
                this, name, UInt64(name.count), UInt32(limit),
                { context, key, _, again in
                    guard let context, let key else { return -1 }
                    return Unmanaged<Context>.fromOpaque(context).takeUnretainedValue().run.work(
                        Int(key[0]), &again.pointee)
                }, Unmanaged.passUnretained(context).toOpaque(), &queue, &error)
            guard status == HOSTD_OK else { return problems.append("no queue: \(status)") }
            var adders: [UInt] = []
            for _ in 0..<generator.number(in: 1...4) {
                let luck = Shared(generator.split())
                let address = UInt(bitPattern: table)
                let queue = queue
                adders.append(scheduler.start(name: "adder") { [self] in add(address, queue, &luck.value) })
            }
            for adder in adders { scheduler.join(adder) }
            isResting = true
            scheduler.sleep(nanoseconds: 60_000_000_000)
            for ask in asks where !ask.isMet {
                problems.append("key \(ask.key) was asked for at \(ask.begin) and never ran")
            }
            if !running.isEmpty { problems.append("keys \(running.sorted()) still run") }
            reconcile.close()
            timers.close()
            workers.close()
        }

        private func add(_ table: UInt, _ queue: UInt64, _ luck: inout Generator) {
            guard let table = UnsafePointer<hostd_reconcile_1>(bitPattern: table) else { return }
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            for _ in 0..<luck.number(in: 5...60) {
                if luck.oneIn(2) { scheduler.sleep(nanoseconds: UInt64(luck.below(30_000_000))) }
                let key = luck.below(keys)
                let delay = luck.oneIn(3) ? UInt64(luck.below(50_000_000)) : 0
                ask(key, after: delay)
                let bytes = [UInt8(key)]
                let status = table.pointee.add(table.pointee.interface.`self`, queue, bytes, 1, delay, &error)
                if status != HOSTD_OK { problems.append("add fails with \(status)") }
            }
        }

        private func ask(_ key: Int, after delay: UInt64) {
            scheduler.note("asks for \(key) after \(delay)", UInt64(key), delay)
            asks.append(Ask(key: key, begin: scheduler.time, due: scheduler.time + delay))
        }

        private var isResting = false

        /// The queue's action.
        private func work(_ key: Int, _ again: inout UInt64) -> Int32 {
            scheduler.note("runs \(key)", UInt64(key))
            if !running.insert(key).inserted { problems.append("key \(key) runs twice at once") }
            if running.count > limit { problems.append("\(running.count) keys run at once, allowed are \(limit)") }
            let own = asks.indices.filter { asks[$0].key == key }
            if let cause = own.filter({ !asks[$0].isUsed && asks[$0].due <= scheduler.time }).min(by: {
                asks[$0].due < asks[$1].due
            }) {
                asks[cause].isUsed = true
            } else {
                problems.append("key \(key) runs, and nobody asked for that or not so early")
            }
            for position in own { asks[position].isMet = true }
            scheduler.sleep(nanoseconds: UInt64(1 + generator.below(longestRun)))
            running.remove(key)
            if !isResting, generator.oneIn(failures) {
                // The first back-off is 5 ms less a tenth; later ones are longer.
                ask(key, after: 4_500_000)
                return -1
            }
            if !isResting, generator.oneIn(repeats) {
                again = UInt64(1 + generator.below(20_000_000))
                ask(key, after: again)
            }
            return HOSTD_OK
        }
    }
#endif
