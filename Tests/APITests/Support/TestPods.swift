import CEpoll
import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// Pods behind the API front whose ports the test serves: by a function that has the connection's packets, or by a server
/// on loopback.
final class TestPods: APIExtensionProvider {
    enum Port: Sendable {
        /// Runs on a thread of its own; the socket is closed behind it.
        case served(@Sendable (PodConnection) -> Void)
        /// A TCP port of loopback.
        case server(UInt16)
    }

    /// What the front asked for, as "namespace/name address:port".
    var connections: [String] { state.withLock { $0.connections } }

    private struct State {
        var ports: [Int64: Port] = [:]
        var connections: [String] = []
        var threads: [LoopThread] = []
    }
    private let state = Mutex(State())

    /// Serves a port of all pods; others refuse connections.
    func serve(_ port: Int64, _ how: Port) { state.withLock { $0.ports[port] = how } }

    func routes() throws -> JSON {
        [
            "routes": [
                [
                    "methods": ["GET", "POST"], "path": "/api/v1/namespaces/{namespace}/pods/{name}/portforward",
                    "upgrade": "ports",
                ], ["methods": ["GET"], "path": "/api/v1/nodes/{name}/proxy/{rest...}", "upgrade": "none"],
            ]
        ]
    }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        let parameters = request["parameters"]
        if let rest = parameters["rest"].stringValue {
            close(stream)
            return ["status": 200, "body": .string("node \(parameters["name"].stringValue ?? ""): /\(rest)")]
        }
        let connection = request["connection"]
        let port = connection["port"].integerValue ?? 0
        let place = "\(parameters["namespace"].stringValue ?? "")/\(parameters["name"].stringValue ?? "")"
        let how = state.withLock { state in
            state.connections.append("\(place) \(connection["address"].stringValue ?? ""):\(port)")
            return state.ports[port]
        }
        guard let how else {
            close(stream)
            return ["status": 502, "body": #"{"message":"connection refused"}"#]
        }
        switch how {
        case .served(let body): try run { body(PodConnection(stream)) }
        case .server(let port):
            let server = try UpstreamDialer.connect(
                to: "127.0.0.1", port, deadline: monotonicNanoseconds() + 60_000_000_000)
            try run { Self.carry(stream, server) }
        }
        return ["status": 200, "stream": true]
    }

    private func run(_ body: @escaping @Sendable () -> Void) throws {
        let thread = try LoopThread(name: "pod", body)
        state.withLock { $0.threads.append(thread) }
    }

    /// Returns when all connections are over.
    func join() {
        for thread in state.withLock({ $0.threads }) { thread.join() }
    }

    /// Between packets and a server, until one of the two has ended.
    private static func carry(_ packets: Int32, _ server: Int32) {
        defer {
            close(packets)
            close(server)
        }
        _ = fcntl(server, F_SETFL, fcntl(server, F_GETFL) & ~O_NONBLOCK)
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        var waits = [
            pollfd(fd: packets, events: Int16(POLLIN), revents: 0),
            pollfd(fd: server, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&waits, 2, 60_000) > 0 {
            for (from, to) in [(0, 1), (1, 0)] where waits[from].revents != 0 {
                let count = recv(waits[from].fd, &buffer, from == 0 ? buffer.count : 16 * 1024, 0)
                guard count > 0 else { return }
                var sent = 0
                while sent < count {
                    let size = buffer.withUnsafeBytes {
                        Glibc.send(waits[to].fd, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
                    }
                    guard size > 0 else { return }
                    sent += size
                }
            }
        }
    }
}

/// The pod's end of one connection. Used by one thread; reads wait for a minute at most.
final class PodConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// What comes next; empty at the end.
    func receive() -> [UInt8] {
        if !received.isEmpty {
            defer { received = [] }
            return received
        }
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? Array(buffer[..<count]) : []
    }

    /// The head of a request, as lines; what follows stays for `receive`.
    func head() -> [String] {
        var bytes: [UInt8] = []
        let mark = Array("\r\n\r\n".utf8)
        while true {
            if bytes.count >= mark.count {
                for start in 0...(bytes.count - mark.count) where bytes[start..<(start + 4)].elementsEqual(mark) {
                    received = Array(bytes[(start + 4)...])
                    let text = String(decoding: bytes[..<start], as: UTF8.self)
                    return text.split(separator: "\r\n").map(String.init)
                }
            }
            let more = receive()
            guard !more.isEmpty else { return [] }
            bytes += more
        }
    }

    /// Takes the counted body of a request whose head was read; false when the other side goes before its end.
    @discardableResult
    func takeBody(of head: [String]) -> Bool {
        var left = head.compactMap { $0.hasPrefix("Content-Length: ") ? Int($0.dropFirst(16)) : nil }.first ?? 0
        while left > 0 {
            let bytes = receive()
            guard !bytes.isEmpty else { return false }
            left -= bytes.count
        }
        return true
    }

    /// Sends in packets; false when the other side has gone.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, min($0.count - sent, 32 * 1024), Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }
}
