import BenchmarkReport
import Kernel
import Synchronization

/// When a snapshot ended and how long it took, as the store's log says.
private final class SnapshotTimes: Sendable {
    private struct State {
        var ended: UInt64 = 0
        var took: UInt64 = 0
    }
    private let state = Mutex(State())

    var log: KernelLog {
        { [self] _, message, fields in
            guard message == "store snapshot written" else { return }
            let milliseconds = fields.first { $0.0 == "milliseconds" }.flatMap { UInt64($0.1) } ?? 0
            state.withLock { $0 = State(ended: now(), took: milliseconds * 1_000_000) }
        }
    }
    /// Nil until there was one.
    var span: (begin: UInt64, end: UInt64)? {
        state.withLock { $0.ended == 0 ? nil : ($0.ended - $0.took, $0.ended) }
    }
}

/// The latency of 64 writers while the store takes a snapshot of a gigabyte by itself, against theirs before and after.
func measureSnapshotLatency(_ base: String) {
    let times = SnapshotTimes()
    let metrics = Metrics()
    let store = openStore(base + "/snapshot") {
        $0.metrics = metrics
        $0.log = times.log
    }
    let table = StoreTable(store)
    let value = [UInt8](repeating: 0x61, count: 2048)
    let count = (1 << 30) / recordSize(key: 24, value: value.count)
    for first in stride(from: 0, to: count, by: 512) {
        table.put((first..<min(first + 512, count)).map { "objects/default/\($0)" }, value)
    }
    let begun = now()
    // Until the log is as large as the state, a snapshot is written, and the same time has passed again.
    let outcome = Writers(table: table, metrics: metrics, value: value).run(64, prefix: "writes") { time in
        guard let span = times.span else { return time > begun + 120_000_000_000 }
        return time > span.end + max(span.end - span.begin, 2_000_000_000)
    }
    guard let span = times.span else { fail("no snapshot was taken within two minutes") }
    func isInside(_ write: Writers.Write) -> Bool { write.began + write.took > span.begin && write.began < span.end }
    let during = quantile(outcome.writes.filter(isInside).map(\.took), 0.99) / 1e6
    let without = quantile(outcome.writes.filter { !isInside($0) }.map(\.took), 0.99) / 1e6
    report("snapshot of 1 GB beside 64 writers", Double(span.end - span.begin) / 1e9, "s")
    report("… p99 of the writers before and after", without, "ms")
    report("… p99 of the writers meanwhile", during, "ms")
    report("… ratio", during / without, "x", .atMost(3))
    store.close()
    removeDirectory(base + "/snapshot")
}
