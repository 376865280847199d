import Kernel
import Objects
import PluginAPI

#if SIMULATION
    /// Runs the real work queues and timers with threads that add keys, by one seed, and checks what the header promises: one
    /// key runs once at a time, no more keys at once than workers, none of what was asked for is lost, failures are tried again
    /// after their back-off, nothing runs that nobody asked for, what somebody waits for runs before what nobody does, and a
    /// drained queue has run what was ready and tells what was not.
    final class QueueRun: @unchecked Sendable {  // Only the thread that has the turn touches it.
        let scheduler: Scheduler
        private(set) var problems: [String] = []
        private var generator: Generator
        private let limit: Int
        private let keys: Int
        private let longestRun: Int
        private let failures: Int
        private let repeats: Int
        private let drains: Bool

        private struct Ask {
            var key: Int
            var begin: UInt64
            /// The earliest that its run may start, when nothing else asks for one.
            var due: UInt64
            /// Whether it was ready at once.
            var isImmediate = false
            var isInteractive = false
            /// A run began after it.
            var isMet = false
            /// A run is put down to it: each asks for one at most, fewer when they fall together.
            var isUsed = false
        }
        private var asks: [Ask] = []
        private var running: Set<Int> = []
        /// Of interactive keys that are ready: how many of each priority went before them.
        private var passed: [Int: (interactive: Int, background: Int)] = [:]
        private var isDrained = false
        private var context: Context?

        private final class Context: @unchecked Sendable {  // Only the thread that has the turn touches it.
            unowned let run: QueueRun
            init(_ run: QueueRun) { self.run = run }
        }

        init(seed: UInt64) {
            generator = Generator(seed: seed)
            limit = generator.number(in: 1...4)
            keys = generator.number(in: 1...12)
            longestRun = generator.pick([1000, 1_000_000, 40_000_000])
            failures = generator.pick([0, 3, 10])
            repeats = generator.pick([0, 5])
            drains = generator.oneIn(2)
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
            if drains { drain(table, queue) }
            isResting = true
            scheduler.sleep(nanoseconds: 60_000_000_000)
            for ask in asks where !ask.isMet && !drains {
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
                let priority = luck.oneIn(2) ? HOSTD_RECONCILE_BACKGROUND : HOSTD_RECONCILE_INTERACTIVE
                ask(key, after: delay, isInteractive: priority == HOSTD_RECONCILE_INTERACTIVE)
                let bytes = [UInt8(key)]
                let status = table.pointee.enqueue(
                    table.pointee.interface.`self`, queue, bytes, 1, nil, 0, UInt32(priority), delay, &error)
                if status != HOSTD_OK { problems.append("add fails with \(status)") }
            }
        }

        private func ask(_ key: Int, after delay: UInt64, isInteractive: Bool = false) {
            scheduler.note("asks for \(key) after \(delay)", UInt64(key), delay)
            asks.append(
                Ask(
                    key: key, begin: scheduler.time, due: scheduler.time + delay, isImmediate: delay == 0,
                    isInteractive: isInteractive))
        }

        /// Lets the queue run what is ready, and looks at what it says of the rest.
        private func drain(_ table: UnsafePointer<hostd_reconcile_1>, _ queue: UInt64) {
            let begin = scheduler.time
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            var left = hostd_buffer()
            let this = table.pointee.interface.`self`
            let status = table.pointee.drain(this, queue, 0, &left, &error)
            isDrained = true
            guard status == HOSTD_OK else { return problems.append("drain fails with \(status)") }
            defer { left.release?(left.context) }
            if !running.isEmpty { problems.append("keys \(running.sorted()) run in a drained queue") }
            for ask in asks where ask.isImmediate && ask.begin < begin && !ask.isMet {
                problems.append("key \(ask.key), ready since \(ask.begin), did not run before the queue was drained")
            }
            let text = UnsafeRawBufferPointer(start: left.data, count: Int(left.size))
            let told = (try? JSON(parsing: text))?["dropped"].integerValue
            let least = Set(asks.filter { !$0.isMet }.map(\.key)).count
            // A run that began while a key was being added may have been meant for an earlier one.
            let most = Set(asks.filter { !$0.isUsed }.map(\.key)).count
            if told.map({ (least...max(least, most)).contains(Int($0)) }) != true {
                problems.append(
                    "a drained queue says that it dropped \(told ?? -1) keys, \(least) to \(most) did not run")
            }
            if table.pointee.enqueue(this, queue, [0], 1, nil, 0, 0, 0, &error) != HOSTD_ERROR_WRONG_STATE {
                problems.append("a drained queue takes a key")
            }
            error.message.release?(error.message.context)
        }

        /// Counts whom a run goes before. Of eight turns one is the background's; some may have been taken already.
        private func pass(_ key: Int, isInteractive: Bool) {
            passed[key] = nil
            // A timer may be late.
            let ready = Set(
                asks.filter { $0.isInteractive && !$0.isMet && $0.due + 50_000_000 < scheduler.time }.map(\.key))
            for other in ready where other != key && !running.contains(other) {
                var counts = passed[other] ?? (0, 0)
                if isInteractive { counts.interactive += 1 } else { counts.background += 1 }
                passed[other] = counts
                if counts.background > counts.interactive / 7 + limit + 2 {
                    problems.append(
                        "key \(other), for which somebody waits, is ready while \(counts.background) others run for which "
                            + "nobody does, and \(counts.interactive) like it")
                }
            }
        }

        private var isResting = false

        /// The queue's action.
        private func work(_ key: Int, _ again: inout UInt64) -> Int32 {
            scheduler.note("runs \(key)", UInt64(key))
            if isDrained { problems.append("key \(key) runs in a drained queue") }
            if !running.insert(key).inserted { problems.append("key \(key) runs twice at once") }
            if running.count > limit { problems.append("\(running.count) keys run at once, allowed are \(limit)") }
            let own = asks.indices.filter { asks[$0].key == key }
            pass(key, isInteractive: own.contains { !asks[$0].isMet && asks[$0].isInteractive })
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
