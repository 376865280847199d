import BenchmarkReport
import Kernel

/// Durable writes in process, against etcd over gRPC and against a bare loop of write and fdatasync: in turns, so that all
/// three meet the same disk, and each figure the median of the rounds, which are short because a virtual disk becomes faster
/// and slower from second to second.
func measureThroughput(_ base: String) {
    let rounds = 15
    let seconds = 0.5
    let valueSize = 2048
    let metrics = Metrics()
    let store = openStore(base + "/throughput") { $0.metrics = metrics }
    let writers = Writers(
        table: StoreTable(store), metrics: metrics, value: [UInt8](repeating: 0x61, count: valueSize))
    let bare = BareLog(base + "/bare")
    let etcd = EtcdServer(base + "/etcd")
    for (count, hasThreads) in [(1, true), (64, true), (64, false)] {
        var own: [Double] = []
        var againstBare: [Double] = []
        var againstEtcd: [Double] = []
        var theirs: [Double] = []
        var againstThreads: [Double] = []
        var batch: [Double] = []
        var p99: [Double] = []
        for round in 0..<rounds {
            let outcome =
                hasThreads
                ? writers.run(count, prefix: "w\(count)-\(round)", seconds: seconds)
                : writers.runWithoutThreads(count, prefix: "a\(count)-\(round)", seconds: seconds)
            own.append(outcome.perSecond)
            p99.append(outcome.microseconds(0.99) / 1000)
            batch.append(Double(outcome.writesInBatch))
            let record = recordSize(key: 24, value: valueSize) + 48
            let batches = bare.run(batch: outcome.writesInBatch * record, seconds: seconds)
            againstBare.append(outcome.perSecond / (batches * Double(outcome.writesInBatch)))
            if hasThreads {
                let group = bare.run(writers: count, record: record, seconds: seconds)
                againstThreads.append(outcome.perSecond / group.perSecond)
            }
            guard let etcd else { continue }
            let shape: (UInt32, UInt32) = count == 1 ? (1, 1) : (4, 16)
            let puts = etcd.put(
                connections: shape.0, inFlight: shape.1, valueSize: valueSize, seconds: seconds,
                prefix: "/bench/\(count)/\(hasThreads)/\(round)/")
            theirs.append(Double(puts.count) / seconds)
            againstEtcd.append(outcome.perSecond / (Double(puts.count) / seconds))
        }
        let who =
            count == 1 ? "1 writer" : hasThreads ? "\(count) writers on threads" : "\(count) writers by completion"
        report("durable writes of 2 KB, \(who)", median(own), "1/s")
        report("… p99", median(p99), "ms")
        report("… writes in a batch", median(batch), "")
        report("… against append and fdatasync of the same batches", median(againstBare), "x", .atLeast(0.6))
        if hasThreads {
            report("… against the same, fed by as many threads that wait for it", median(againstThreads), "x")
        }
        if etcd != nil {
            report("etcd over gRPC, \(who), puts of 2 KB", median(theirs), "1/s")
            report("… writes against etcd", median(againstEtcd), "x", .atLeast(count == 1 ? 1.5 : 3))
        } else {
            report("etcd is not installed (script/bootstrap does): no comparison with it", 0, "")
        }
    }
    etcd?.stop()
    bare.end()
    store.close()
}
