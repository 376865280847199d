// Measures the fan-out of the embedded store's events through its C table, as plugins use it:
//
// - a durable create to its event at a watcher, with 1,000 watchers that each have a selector of their own, against the
//   time of the commit itself,
// - memory and processor time of 10,000 idle watchers,
// - what one event costs with 10,000 watchers of which one matches, against one watcher,
// - what one event costs each of 10,000 watchers that all match.
//
//     EventsBenchmark [DIRECTORY]      (default /var/tmp; must be on the disk that is to be measured)

import BenchmarkReport
import Glibc
import Kernel
import PluginAPI
import Synchronization

let base = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "/var/tmp"
let arrived = Atomic<UInt64>(0)
let received = Atomic<Int>(0)

func share(_ all: [UInt64], _ share: Double) -> Double { quantile(all, share) / 1000 }

/// How many events one call of a sink brings.
func countRecords(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> Int {
    var count = 0
    var offset = 0
    while let data, offset < Int(size) {
        let head = UnsafeRawPointer(data + offset).loadUnaligned(as: hostd_store_record.self)
        if head.record_size == 0 { fail("a record without a size") }
        offset += Int(head.record_size)
        count += 1
    }
    return count
}

/// The table as a plugin sees it.
struct Table {
    let functions: hostd_store_1
    var this: UnsafeMutableRawPointer? { functions.interface.`self` }

    init(_ store: StateStore) {
        functions = UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self).pointee
    }

    func create(_ key: String, node: Int, size: Int) {
        var error = hostd_error()
        var revision: UInt64 = 0
        let key = Array(key.utf8)
        let index = Array("app\0web\0tier\0front\0.metadata.name\0x\0.spec.nodeName\0node-\(node)\0".utf8)
        let value = [UInt8](repeating: 0x61, count: size)
        let status = functions.create(
            this, key, UInt64(key.count), value, UInt64(size), index, UInt64(index.count), 0, &revision, &error)
        if status != HOSTD_OK { fail("create: status \(status)") }
    }

    /// A watcher of one node's objects; every event is counted.
    func watch(_ selector: String) -> UInt64 {
        var error = hostd_error()
        var handle: UInt64 = 0
        let prefix = Array("pods/".utf8)
        let selector = Array(selector.utf8)
        let status = functions.watch(
            this, prefix, UInt64(prefix.count), selector, UInt64(selector.count), 0,
            { _, kind, data, size in
                guard kind == UInt32(HOSTD_SINK_DATA) else { return }
                received.wrappingAdd(countRecords(data, size), ordering: .releasing)
                arrived.store(now(), ordering: .releasing)
            }, nil, &handle, &error)
        if status != HOSTD_OK { fail("watch: status \(status)") }
        return handle
    }

    func cancel(_ watch: UInt64) {
        var error = hostd_error()
        if functions.watch_cancel(this, watch, &error) != HOSTD_OK { fail("watch_cancel") }
    }
}

func pause(milliseconds: Int) { usleep(useconds_t(milliseconds * 1000)) }

let path = "\(base)/hostd-events-benchmark-\(getpid())"
let store: StateStore
do throws(StoreError) { store = try StateStore(directory: path) } catch { fail(error.message) }
let table = Table(store)
var created = 0

/// `count` creates one after another, each waited for until its event came: microseconds of the commits and until the events.
@MainActor
func measureLatency(count: Int, nodes: Int) -> (commits: [UInt64], events: [UInt64]) {
    var commits: [UInt64] = []
    var events: [UInt64] = []
    for number in 0..<count {
        arrived.store(0, ordering: .releasing)
        created += 1
        let before = now()
        table.create("pods/default/\(created)", node: number % nodes, size: 2048)
        commits.append(now() - before)
        var at = arrived.load(ordering: .acquiring)
        while at == 0 {
            sched_yield()
            at = arrived.load(ordering: .acquiring)
        }
        events.append(at > before ? at - before : 0)
    }
    return (commits, events)
}

/// Processor time of the whole process for each of `count` events that are created in small groups, nanoseconds.
@MainActor
func measureCost(count: Int, matching: Int) -> Double {
    var best = Double.infinity
    for _ in 0..<5 {
        let expected = received.load(ordering: .acquiring) + count * matching
        let before = now(CLOCK_PROCESS_CPUTIME_ID)
        for _ in 0..<count {
            created += 1
            table.create("pods/default/\(created)", node: 0, size: 2048)
        }
        while received.load(ordering: .acquiring) < expected { pause(milliseconds: 1) }
        best = min(best, Double(now(CLOCK_PROCESS_CPUTIME_ID) - before) / Double(count))
    }
    return best
}

// Warms the pages of the log.
for _ in 0..<500 {
    created += 1
    table.create("pods/default/\(created)", node: 0, size: 2048)
}

// 1,000 watchers, each with a selector of its own.
var watches = (0..<1000).map { table.watch(".spec.nodeName=node-\($0)") }
pause(milliseconds: 100)
let latency = measureLatency(count: 4000, nodes: 1000)
let commit = share(latency.commits, 0.5)
report("commit, p50", commit, "us")
report("create to event, 1,000 watchers with selectors, p50", share(latency.events, 0.5), "us")
report("… of the commit itself, p50", share(latency.events, 0.5) / commit, "x", .atMost(1.2))
report("create to event, 1,000 watchers with selectors, p99", share(latency.events, 0.99) / 1000, "ms", .atMost(5))
for watch in watches { table.cancel(watch) }

// One watcher, then 10,000 of which one matches.
watches = [table.watch(".spec.nodeName=node-0")]
pause(milliseconds: 100)
let one = measureCost(count: 1000, matching: 1)
let memory = residentMemory()
watches += (1..<10_000).map { table.watch(".spec.nodeName=node-\($0)") }
pause(milliseconds: 300)
report("10,000 idle watchers, memory", Double(residentMemory() - memory) / 1e6, "MB", .atMost(20))
let idle = now(CLOCK_PROCESS_CPUTIME_ID)
pause(milliseconds: 3000)
report("10,000 idle watchers, CPU in 3 s", Double(now(CLOCK_PROCESS_CPUTIME_ID) - idle) / 1e6, "ms", .atMost(15))
let many = measureCost(count: 1000, matching: 1)
report("one event, 1 watcher, CPU with its commit", one / 1000, "us")
report("one event, 10,000 watchers of which 1 matches", many / 1000, "us")
report("… against 1 watcher", many / one, "x", .atMost(1.5))
for watch in watches.dropFirst() { table.cancel(watch) }

// 10,000 that all match.
let all = (1..<10_000).map { _ in table.watch(".spec.nodeName=node-0") }
pause(milliseconds: 300)
let fan = measureCost(count: 20, matching: 10_000)
report("one event to 10,000 watchers, CPU for each", (fan - one) / 10_000, "ns")
for watch in all + watches.prefix(1) { table.cancel(watch) }
store.close()
removeDirectory(path)
