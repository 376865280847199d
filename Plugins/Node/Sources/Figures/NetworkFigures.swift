import CProcess
import Glibc
import Objects
import Synchronization

/// What has gone through an interface since it was made; see proc_net_dev in proc(5).
struct NetworkInterfaceFigures: Sendable, Equatable {
    struct Direction: Sendable, Equatable {
        var bytes: Int64 = 0
        var packets: Int64 = 0
        var errors: Int64 = 0
        var dropped: Int64 = 0
    }

    var name: String
    var received: Direction
    var sent: Direction

    /// Reads /proc/net/dev; loopback does not count.
    static func read(_ text: String) -> [NetworkInterfaceFigures] {
        text.split(separator: "\n").compactMap { line in
            guard let colon = line.lastIndex(of: ":") else { return nil }
            let name = line[..<colon].drop { $0 == " " }
            let numbers = line[line.index(after: colon)...].split(separator: " ").map { Int64($0) ?? 0 }
            guard numbers.count >= 12, name != "lo" else { return nil }
            func direction(_ first: Int) -> Direction {
                Direction(
                    bytes: numbers[first], packets: numbers[first + 1], errors: numbers[first + 2],
                    dropped: numbers[first + 3])
            }
            return NetworkInterfaceFigures(name: String(name), received: direction(0), sent: direction(8))
        }
    }

    /// As /stats/summary has it.
    var json: JSON {
        [
            "name": .string(name), "rxBytes": .integer(received.bytes), "rxErrors": .integer(received.errors),
            "txBytes": .integer(sent.bytes), "txErrors": .integer(sent.errors),
        ]
    }

    /// Of a pod or a node: its first interface (the kubelet's choice is eth0) and all of them.
    static func summary(_ interfaces: [NetworkInterfaceFigures], time: JSON) -> JSON {
        guard let main = interfaces.first(where: { $0.name == "eth0" }) ?? interfaces.first else { return .null }
        var json = main.json
        json["time"] = time
        json["interfaces"] = .array(interfaces.map(\.json))
        return json
    }
}

/// Reads the figures of pods' networks. A thread of its own enters one namespace after the other, and ends.
enum PodNetworks {
    /// - Parameter namespaces: Paths; what cannot be entered any more is left out.
    static func read(_ namespaces: Set<String>) -> [String: [NetworkInterfaceFigures]] {
        let found = Mutex<[String: [NetworkInterfaceFigures]]>([:])
        let wanted = namespaces.filter { !$0.isEmpty }
        guard !wanted.isEmpty else { return [:] }
        let thread = NodeThread(name: "pod-networks")
        thread.start {
            for path in wanted {
                let namespace = open(path, O_RDONLY | O_CLOEXEC)
                guard namespace >= 0 else { continue }
                defer { close(namespace) }
                // A pod that has just ended has no figures.
                guard process_enter_network_namespace(namespace) == 0,
                    let text = try? Files.text("/proc/thread-self/net/dev")
                else { continue }
                found.withLock { $0[path] = NetworkInterfaceFigures.read(text) }
            }
        }
        thread.join()
        return found.withLock { $0 }
    }
}
