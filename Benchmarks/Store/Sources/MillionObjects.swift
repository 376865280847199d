import BenchmarkReport
import Glibc
import Kernel
import Synchronization

/// A million objects of a kilobyte: memory, and the time to open a store of a snapshot and a log. In a process of its own,
/// whose memory nothing else has used.
func measureMillionObjects(_ base: String) {
    let count = 1_000_000
    let value = [UInt8](repeating: 0x61, count: 1024)
    let path = base + "/million"
    let before = residentMemory()
    do {
        let store = openStore(path) {
            $0.log = { _, message, _ in
                if message == "store snapshot written" { snapshotCount.wrappingAdd(1, ordering: .relaxed) }
            }
        }
        let table = StoreTable(store)
        for first in stride(from: 0, to: count, by: 1000) {
            table.put((first..<first + 1000).map { "objects/default/\($0)" }, value)
        }
        let record = recordSize(key: 22, value: value.count)
        let own = Double(residentMemory() - before - table.status("historyBytes")) / Double(count) - Double(record)
        report("1,000,000 objects of 1 KB, memory", Double(residentMemory() - before) / 1e9, "GB", .atMost(1.4))
        report("… an object beyond its record", own, "B")
        report("… an object beyond its key, labels and value", own + 64, "B", .atMost(250))
        // Changes, until a snapshot replaces the log; then some that only the log has.
        var changed = 0
        while snapshotCount.load(ordering: .relaxed) == 0 && changed < 3 * count {
            table.put((changed..<changed + 1000).map { "objects/default/\($0 % count)" }, value)
            changed += 1000
        }
        for first in stride(from: 0, to: 100_000, by: 1000) {
            table.put((first..<first + 1000).map { "objects/default/\($0)" }, value)
        }
        store.close()
    }
    let start = now()
    let store = openStore(path)
    report("… start from a snapshot and a log", Double(now() - start) / 1e9, "s", .atMost(6))
    if StoreTable(store).status("keys") != count { fail("not all objects are there after the start") }
    store.close()
    removeDirectory(path)
}

private let snapshotCount = Atomic<Int>(0)
