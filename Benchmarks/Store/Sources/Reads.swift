import BenchmarkReport
import Kernel

/// Reads of one thread, of a store that is in memory as it always is.
func measureReads(_ base: String) {
    let store = openStore(base + "/reads")
    let table = StoreTable(store)
    let value = [UInt8](repeating: 0x61, count: 2048)
    table.put((0..<1000).map { "objects/default/\($0)" }, value)
    let keys = (0..<1000).map { Array("objects/default/\($0)".utf8) }
    let gets = 400_000
    var start = now()
    for number in 0..<gets { table.get(keys[number % keys.count]) }
    report("get of 2 KB", Double(now() - start) / Double(gets), "ns")
    let lists = 200
    start = now()
    for _ in 0..<lists { table.list("objects/", limit: 500) }
    report("list of 500 objects of 2 KB", Double(now() - start) / Double(lists) / 1000, "us")
    store.close()
}
