// EventLatencyBenchmark PORT AUTHORITY CERTIFICATE KEY DIRECTORY: from a create to its event at one watcher.
//
// One thread sends the create of a ConfigMap of 1 KB over TLS, made in advance, and then waits on the watch, so that no other
// delays it. By turns with that, in blocks: what the disk alone takes for as many bytes (a file in DIRECTORY, written with
// zeros in advance as the store's log is), and what the client and the connection take for a read of the object. The first
// tenth of each is not counted. Prints lines of name, value, unit and bar, separated by tabs.
import BenchmarkReport
import Glibc

let count = 3000
let block = 100
/// Bytes that the log gets for one of these creates.
let recordSize = 1424
let path = "/api/v1/namespaces/default/configmaps"

func creation(_ name: String) -> [UInt8] {
    let text = String(repeating: "x", count: 850)
    let body = #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\#(name)"},"data":{"text":"\#(text)"}}"#
    return Array(
        ("POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n" + body).utf8)
}

func reading(_ rest: String) -> [UInt8] { Array("GET \(path)\(rest) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8) }

/// Nanoseconds that `run` takes.
func timed(_ run: () -> Void) -> UInt64 {
    let began = now()
    run()
    return now() - began
}

/// A file beside the store's.
struct Disk {
    static let size = 16 << 20
    let descriptor: Int32
    let record = [UInt8](repeating: 0x78, count: recordSize)
    var place = 0

    init(_ directory: String) {
        descriptor = open(directory + "/bare", O_RDWR | O_CREAT, 0o600)
        let zeros = [UInt8](repeating: 0, count: Self.size)
        if pwrite(descriptor, zeros, zeros.count, 0) != zeros.count || fsync(descriptor) != 0 {
            fail("\(directory)/bare cannot be written: error \(errno)")
        }
    }

    mutating func write() {
        if pwrite(descriptor, record, record.count, place) != record.count || fdatasync(descriptor) != 0 {
            fail("the disk refused a write: error \(errno)")
        }
        place = (place + recordSize) % (Self.size - recordSize)
    }
}

func show(_ name: String, _ nanoseconds: [UInt64], _ bars: (String, String) = ("", "")) {
    let counted = Array(nanoseconds.dropFirst(count / 10))
    for (title, share, bar) in [(name + ", p50", 0.5, bars.0), ("… p99", 0.99, bars.1)] {
        let hundredths = (quantile(counted, share) / 10_000).rounded()
        print(title, hundredths / 100, "ms", bar, separator: "\t")
    }
}

let arguments = CommandLine.arguments
guard arguments.count == 6, let port = UInt16(arguments[1]) else {
    fail("usage: EventLatencyBenchmark PORT AUTHORITY CERTIFICATE KEY DIRECTORY")
}
func connection() -> Connection {
    Connection(port: port, authority: arguments[2], certificate: arguments[3], key: arguments[4])
}
let writer = connection()
let watcher = connection()
watcher.send(reading("?watch=1"))
watcher.skip(to: Array("\r\n\r\n".utf8))
var disk = Disk(arguments[5])
var created: [UInt64] = []
var written: [UInt64] = []
var read: [UInt64] = []
for start in stride(from: 0, to: count, by: block) {
    let names = (start..<start + block).map { "event-\($0)" }
    for name in names {
        let request = creation(name)
        let sought = Array("\"name\":\"\(name)\"".utf8)
        created.append(
            timed {
                writer.send(request)
                watcher.skip(to: sought)
            })
        writer.skipResponse(status: "201")
    }
    for _ in names { written.append(timed { disk.write() }) }
    for name in names {
        let request = reading("/" + name)
        read.append(
            timed {
                writer.send(request)
                writer.skipResponse(status: "200")
            })
    }
}
show("create to its event at 1 watcher", created, ("<= 0.4", "<= 1.5"))
show("the bare disk, \(recordSize) B and fdatasync", written)
show("GET of one of them by the same client", read)
