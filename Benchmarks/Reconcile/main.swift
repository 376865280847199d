// Measures work queues through the table of hostd.reconcile/1, as plugins call them, all on one core: how many times a second
// a key is added, taken and done, with one callback call each; with few and with many keys, and what a namespace with one
// key waits behind one with ten thousand.
//
//     ReconcileBenchmark

import BenchmarkReport
import Glibc
import Kernel
import PluginAPI
import Synchronization

/// Runs this program again with one core for all of its threads, by taskset of util-linux.
func useOneCore() {
    if getenv("HOSTD_BENCH_ONE_CORE") != nil { return }
    setenv("HOSTD_BENCH_ONE_CORE", "1", 1)
    let texts = ["taskset", "--cpu-list", "0", CommandLine.arguments[0]]
    var words: [UnsafeMutablePointer<CChar>?] = texts.map { (text: String) in strdup(text) } + [nil]
    execvp("taskset", &words)
    fail("taskset: \(String(cString: strerror(errno))); install util-linux")
}

let done = Atomic<Int>(0)
/// How many keys had been done when the marked one came.
let marked = Atomic<Int>(0)

private func work(
    _ context: UnsafeMutableRawPointer?, _ key: UnsafePointer<UInt8>?, _ size: UInt64,
    _ again: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    let count = done.wrappingAdd(1, ordering: .relaxed).newValue
    if size == 7, key?.pointee == UInt8(ascii: "o") { marked.store(count, ordering: .relaxed) }
    return HOSTD_OK
}

struct Queues: @unchecked Sendable {  // The table is constant and its functions may be called from any thread.
    let table: hostd_reconcile_1
    var this: UnsafeMutableRawPointer? { table.interface.`self` }

    func create(_ name: String, workers: UInt32) -> UInt64 {
        var queue: UInt64 = 0
        var error = hostd_error()
        let name = Array(name.utf8)
        guard
            table.create(this, name, UInt64(name.count), workers, { work($0, $1, $2, $3) }, nil, &queue, &error)
                == HOSTD_OK
        else {
            fail("create")
        }
        return queue
    }

    @inline(__always)
    func add(_ queue: UInt64, _ key: [UInt8]) {
        var error = hostd_error()
        if table.add(this, queue, key, UInt64(key.count), 0, &error) != HOSTD_OK { fail("add") }
    }

    func drain(_ queue: UInt64) {
        var error = hostd_error()
        var json = hostd_buffer()
        if table.drain(this, queue, 0, &json, &error) != HOSTD_OK { fail("drain") }
        json.release?(json.context)
        if table.destroy(this, queue, &error) != HOSTD_OK { fail("destroy") }
    }
}

useOneCore()
let workers = WorkerPool(name: "worker", maximum: 4)
let metrics = Metrics()
let timers = Timers(workers: workers)
let reconcile = Reconcile(workers: workers, timers: timers, metrics: metrics)
let queues = Queues(
    table: UnsafeRawPointer(reconcile.makeInterface()).assumingMemoryBound(to: hostd_reconcile_1.self).pointee)

/// Rounds of adding every key and waiting until each is done; per second.
func measure(keys count: Int, namespaces: Int, operations: Int) -> Double {
    let keys = (0..<count).map { Array("namespace-\($0 % namespaces)/deployment-\($0)".utf8) }
    var best = 0.0
    for _ in 0..<3 {
        let queue = queues.create("bench", workers: 1)
        done.store(0, ordering: .relaxed)
        let start = now()
        var added = 0
        while added < operations {
            for key in keys { queues.add(queue, key) }
            added += keys.count
            while done.load(ordering: .relaxed) < added { sched_yield() }
        }
        best = max(best, Double(added) / (Double(now() - start) / 1e9))
        queues.drain(queue)
    }
    return best
}

for (count, namespaces) in [(1_000, 10), (10_000, 100), (100_000, 1_000)] {
    let rate = measure(keys: count, namespaces: namespaces, operations: 2_000_000)
    report("reconcile add+take+done on one core, \(count) keys", rate, "1/s", .atLeast(1_000_000))
}

/// Ten thousand keys of one namespace wait, then one of another comes.
let queue = queues.create("fair", workers: 1)
done.store(0, ordering: .relaxed)
for number in 0..<10_000 { queues.add(queue, Array("crowd/\(number)".utf8)) }
let before = done.load(ordering: .relaxed)
queues.add(queue, Array("one/key".utf8))
queues.drain(queue)
report(
    "reconcile, turns until a lone namespace's key", Double(marked.load(ordering: .relaxed) - before), "keys",
    .atMost(2))
reconcile.close()
timers.close()
workers.close()
