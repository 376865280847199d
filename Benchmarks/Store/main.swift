// Measures the embedded store through its C table, as plugins call it: durable writes per second with 1 and 64 writers,
// the time from a create to its watch event against the time of the commit, reads, lists, memory, and the time to open.
//
//     StoreBenchmark [DIRECTORY]      (default /var/tmp; must be on the disk that is to be measured)

import Glibc
import Kernel
import PluginAPI
import Synchronization

let valueSize = 2048
let base = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "/var/tmp"

func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func fail(_ message: String) -> Never {
    let line = "StoreBenchmark: \(message)\n"
    _ = write(2, line, line.utf8.count)
    exit(1)
}

/// Figures of one series of durations, in microseconds.
struct Durations {
    private let sorted: [UInt64]
    init(_ all: [UInt64]) { sorted = all.sorted() }
    func microseconds(_ share: Double) -> Double {
        sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1000
    }
    var text: String { "p50 \(rounded(microseconds(0.5))) µs, p99 \(rounded(microseconds(0.99))) µs" }
}

func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

/// Resident memory of this process, KiB.
func residentMemory() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, 128, file) != nil else { return 0 }
    let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
        separator: " ")
    return words.count > 1 ? (Int(words[1]) ?? 0) * 4 : 0
}

/// The table as a plugin sees it.
struct Table: @unchecked Sendable {  // The table is constant and its functions may be called from any thread.
    let pointer: UnsafePointer<hostd_store_1>
    var functions: hostd_store_1 { pointer.pointee }
    var this: UnsafeMutableRawPointer? { pointer.pointee.interface.`self` }

    init(_ store: StateStore) {
        pointer = UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self)
    }

    func create(_ key: String, _ value: [UInt8]) -> UInt64 {
        var key = key
        var revision: UInt64 = 0
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        let index: [UInt8] = Array("app\0web\0.spec.nodeName\0node-1\0".utf8)
        let status = key.withUTF8 { key in
            functions.create(
                this, key.baseAddress!, UInt64(key.count), value, UInt64(value.count), index, UInt64(index.count), 0,
                &revision,
                &error)
        }
        if status != HOSTD_OK {
            fail(
                "create: status \(status) "
                    + String(
                        decoding: UnsafeBufferPointer(start: error.message.data, count: Int(error.message.size)),
                        as: UTF8.self))
        }
        return revision
    }
}

final class Thread: @unchecked Sendable {  // The closure is sendable; the identity is used by the owner alone.
    private var identity = pthread_t()
    private let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
        let result = pthread_create(
            &identity, nil,
            { argument in
                if let argument { Unmanaged<Thread>.fromOpaque(argument).takeUnretainedValue().body() }
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        if result != 0 { fail("pthread_create failed: \(result)") }
    }
    func join() { pthread_join(identity, nil) }
}

func openStore(_ name: String) -> StateStore {
    do throws(StoreError) { return try StateStore(directory: base + "/" + name) } catch { fail(error.message) }
}

/// `writers` threads that create objects one after another for `seconds`.
func measureWrites(_ table: Table, writers: Int, seconds: Double, prefix: String) -> (
    count: Int, perSecond: Double, latency: Durations
) {
    let all = Mutex<[UInt64]>([])
    let value = [UInt8](repeating: 0x61, count: valueSize)
    let start = now()
    let end = start + UInt64(seconds * 1e9)
    let threads = (0..<writers).map { writer in
        Thread {
            var own: [UInt64] = []
            var number = 0
            var before = now()
            while before < end {
                _ = table.create("\(prefix)/default/\(writer)-\(number)", value)
                let after = now()
                own.append(after - before)
                before = after
                number += 1
            }
            all.withLock { $0 += own }
        }
    }
    for thread in threads { thread.join() }
    let durations = all.withLock { $0 }
    return (durations.count, Double(durations.count) / (Double(now() - start) / 1e9), Durations(durations))
}

/// A writer and a watch: how long after the call began the write had returned, and the event had come.
func measureWatch(_ table: Table, count: Int) -> (commit: Durations, event: Durations) {
    var handle: UInt64 = 0
    var error = hostd_error()
    let prefix = Array("watched/".utf8)
    let status = table.functions.watch(
        table.this, prefix, UInt64(prefix.count), nil, 0, 0,
        { _, kind, _, _ in if kind == UInt32(HOSTD_SINK_DATA) { arrived.store(now(), ordering: .releasing) } }, nil,
        &handle,
        &error)
    if status != HOSTD_OK { fail("watch: status \(status)") }
    let value = [UInt8](repeating: 0x61, count: valueSize)
    var commits: [UInt64] = []
    var events: [UInt64] = []
    for number in 0..<count {
        arrived.store(0, ordering: .releasing)
        let before = now()
        _ = table.create("watched/default/\(number)", value)
        commits.append(now() - before)
        var at = arrived.load(ordering: .acquiring)
        while at == 0 {
            sched_yield()
            at = arrived.load(ordering: .acquiring)
        }
        events.append(at - before)
    }
    _ = table.functions.watch_cancel(table.this, handle, &error)
    return (Durations(commits), Durations(events))
}
let arrived = Atomic<UInt64>(0)

func measureReads(_ table: Table, keys: Int) -> (gets: Double, list: Double) {
    var error = hostd_error()
    let gets = 400_000
    let names = (0..<1000).map { Array("single/default/0-\($0 % max(1, keys))".utf8) }
    var start = now()
    for number in 0..<gets {
        var buffer = hostd_buffer()
        let name = names[number % names.count]
        if table.functions.get(table.this, name, UInt64(name.count), 0, &buffer, &error) != HOSTD_OK { fail("get") }
        buffer.release?(buffer.context)
    }
    let perGet = Double(now() - start) / Double(gets)
    let prefix = Array("single/".utf8)
    start = now()
    let lists = 200
    for _ in 0..<lists {
        var page = hostd_buffer()
        let status = table.functions.list(
            table.this, prefix, UInt64(prefix.count), nil, 0, 0, 500, nil, 0, &page, &error)
        if status != HOSTD_OK { fail("list") }
        page.release?(page.context)
    }
    return (perGet, Double(now() - start) / Double(lists) / 1000)
}

/// "keys" and "bytes" of the store's status.
func objectsAndBytes(_ table: Table) -> (keys: Int, bytes: Int) {
    var json = hostd_buffer()
    var error = hostd_error()
    if table.functions.status(table.this, &json, &error) != HOSTD_OK { fail("status") }
    defer { json.release?(json.context) }
    let text = String(decoding: UnsafeBufferPointer(start: json.data, count: Int(json.size)), as: UTF8.self)
    func number(_ name: String) -> Int {
        for member in text.split(separator: ",") {
            let parts = member.split(separator: ":")
            if parts.count == 2 && parts[0] == "\"\(name)\"" { return Int(parts[1]) ?? 0 }
        }
        return 0
    }
    return (number("keys"), number("bytes"))
}

func removeDirectory(_ name: String) {
    guard let stream = opendir(base + "/" + name) else { return }
    while let entry = readdir(stream) {
        let file = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        unlink(base + "/" + name + "/" + file)
    }
    closedir(stream)
    rmdir(base + "/" + name)
}

/// One line of the report, at once.
func report(_ line: String) {
    let line = line + "\n"
    _ = write(1, line, line.utf8.count)
}

let name = "hostd-store-benchmark-\(getpid())"
let startMemory = residentMemory()
let before = now()
let store = openStore(name)
report("open, fresh directory: \(rounded(Double(now() - before) / 1e6)) ms")
let table = Table(store)
var singleKeys = 0
for round in 1...2 {
    let single = measureWrites(table, writers: 1, seconds: 2, prefix: round == 1 ? "single" : "single2")
    if round == 1 { singleKeys = single.count }
    report("1 writer: \(Int(single.perSecond)) durable creates of \(valueSize) B per second, \(single.latency.text)")
    let many = measureWrites(table, writers: 64, seconds: 2, prefix: "many\(round)")
    report("64 writers: \(Int(many.perSecond)) durable creates per second, \(many.latency.text)")
}
let watched = measureWatch(table, count: 3000)
report(
    "create with one watch: commit \(watched.commit.text); event \(watched.event.text); "
        + "ratio of p50s \(rounded(watched.event.microseconds(0.5) / watched.commit.microseconds(0.5)))")
let reads = measureReads(table, keys: min(1000, singleKeys))
report("get: \(Int(reads.gets)) ns; list of 500: \(Int(reads.list)) µs")
let objects = objectsAndBytes(table)
let payload = objects.keys * (valueSize + 60)
report(
    "resident memory: \(residentMemory() / 1024) MiB with \(objects.keys) objects; beyond their keys, labels and values "
        + "\((residentMemory() * 1024 - startMemory * 1024 - payload) / max(1, objects.keys)) B each")
store.close()
let reopening = now()
let again = openStore(name)
report("open again: \(rounded(Double(now() - reopening) / 1e6)) ms")
again.close()
removeDirectory(name)
