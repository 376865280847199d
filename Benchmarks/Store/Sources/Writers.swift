import BenchmarkReport
import Glibc
import Kernel
import Synchronization

/// Threads that each create objects one after another.
struct Writers {
    /// One write: when it began, and how long it took, nanoseconds.
    struct Write {
        var began: UInt64
        var took: UInt64
    }

    /// What they did.
    struct Outcome {
        var writes: [Write]
        var seconds: Double
        /// Fewer than the writes when several shared one.
        var batches: Int

        var perSecond: Double { Double(writes.count) / seconds }
        var writesInBatch: Int { max(1, writes.count / max(1, batches)) }
        func microseconds(_ share: Double) -> Double { quantile(writes.map(\.took), share) / 1000 }
    }

    let table: StoreTable
    let metrics: Metrics
    let value: [UInt8]

    /// Lets `count` threads write until `isOver`, which is asked after each write, says so.
    func run(_ count: Int, prefix: String, until isOver: @escaping @Sendable (_ now: UInt64) -> Bool) -> Outcome {
        let all = Mutex<[Write]>([])
        let (table, value) = (table, value)
        let batches = counter("hostd_store_batches_total")
        let start = now()
        let threads = (0..<count).map { writer in
            LoadThread {
                var own: [Write] = []
                own.reserveCapacity(1 << 16)
                var began = now()
                while !isOver(began) {
                    table.create("\(prefix)/default/\(writer)-\(own.count)", value)
                    let end = now()
                    own.append(Write(began: began, took: end - began))
                    began = end
                }
                all.withLock { $0 += own }
            }
        }
        for thread in threads { thread.join() }
        let seconds = Double(now() - start) / 1e9
        return Outcome(
            writes: all.withLock { $0 }, seconds: seconds, batches: counter("hostd_store_batches_total") - batches)
    }

    func run(_ count: Int, prefix: String, seconds: Double) -> Outcome {
        let end = now() + UInt64(seconds * 1e9)
        return run(count, prefix: prefix) { $0 >= end }
    }

    /// The same with `count` writers that do not wait on threads: each begins its next write when it hears of the end of
    /// the one before, as the API's connections do, and as the load on etcd does.
    func runWithoutThreads(_ count: Int, prefix: String, seconds: Double) -> Outcome {
        let state = Mutex<(writes: [Write], running: Int)>(([], count))
        let batches = counter("hostd_store_batches_total")
        let start = now()
        let end = start + UInt64(seconds * 1e9)
        let (table, value) = (table, value)
        @Sendable func next(_ writer: Int, _ number: Int) {
            let began = now()
            guard began < end else { return state.withLock { $0.running -= 1 } }
            table.put("\(prefix)/default/\(writer)-\(number)", value) {
                let took = now() - began
                state.withLock { $0.writes.append(Write(began: began, took: took)) }
                next(writer, number + 1)
            }
        }
        for writer in 0..<count { next(writer, 0) }
        while state.withLock({ $0.running }) > 0 { usleep(1000) }
        let spent = Double(now() - start) / 1e9
        return Outcome(
            writes: state.withLock { $0.writes }, seconds: spent,
            batches: counter("hostd_store_batches_total") - batches)
    }

    private func counter(_ name: String) -> Int {
        for line in metrics.collect().split(separator: "\n") where line.hasPrefix(name + " ") {
            return Int(Double(line.split(separator: " ")[1]) ?? 0)
        }
        return 0
    }
}
