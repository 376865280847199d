// Measures the embedded store through its C table, as plugins call it: durable writes of one and of 64 writers against
// etcd and a bare loop in the same run, the latency of writers beside a snapshot, a million objects, reads and lists.
//
//     StoreBenchmark [DIRECTORY [PART …]]     default /var/tmp, which must be on the disk that is to be measured
//
// The parts are throughput, snapshot, million, reads; by default all, each in a process of its own.

import BenchmarkReport
import Glibc

let parts: [(name: String, measure: (String) -> Void)] = [
    ("throughput", measureThroughput), ("snapshot", measureSnapshotLatency), ("million", measureMillionObjects),
    ("reads", measureReads),
]
let directory = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "/var/tmp"
let wanted = CommandLine.arguments.count > 2 ? Array(CommandLine.arguments[2...]) : parts.map(\.name)
if wanted.count == 1 {
    guard let part = parts.first(where: { $0.name == wanted[0] }) else {
        fail("unknown part \(wanted[0]); known: \(parts.map(\.name).joined(separator: " "))")
    }
    let base = "\(directory)/hostd-store-benchmark-\(getpid())"
    if mkdir(base, 0o700) != 0 { fail("\(base): \(String(cString: strerror(errno)))") }
    part.measure(base)
    removeDirectory(base)
} else {
    for name in wanted {
        let words = [CommandLine.arguments[0], directory, name]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) } + [nil]
        var process = pid_t()
        var status: Int32 = 0
        guard posix_spawn(&process, "/proc/self/exe", nil, nil, &arguments, environ) == 0,
            waitpid(process, &status, 0) == process, status == 0
        else { fail("the part \(name) failed") }
    }
}
