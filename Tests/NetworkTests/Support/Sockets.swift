import Glibc
import XCTest

@testable import PodNetworking

/// Sockets for tests, in the calling thread's network namespace.
enum Sockets {
    static func address(_ address: String, _ port: UInt16) -> sockaddr_in {
        var result = sockaddr_in()
        result.sin_family = sa_family_t(AF_INET)
        result.sin_port = port.bigEndian
        result.sin_addr.s_addr = (IPv4Address(parsing: address)?.value ?? 0).bigEndian
        return result
    }

    static func text(_ address: sockaddr_in) -> String {
        "\(IPv4Address(UInt32(bigEndian: address.sin_addr.s_addr))):\(UInt16(bigEndian: address.sin_port))"
    }

    static func make(_ type: __socket_type, milliseconds: Int = 30_000) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        guard descriptor >= 0 else { throw TestFailure("socket", errno) }
        var timeout = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
        return descriptor
    }

    @discardableResult
    static func call(
        _ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    /// The peer that a socket names, as getpeername tells it.
    static func peer(_ descriptor: Int32) -> String {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &size) }
        }
        return status == 0 ? text(address) : "none"
    }

    /// Dials and reads the greeting; also what the peer is called.
    static func dial(
        _ host: String, _ port: UInt16, milliseconds: Int = 30_000
    ) throws -> (greeting: String, peer: String) {
        let descriptor = try make(SOCK_STREAM, milliseconds: milliseconds)
        defer { close(descriptor) }
        guard call(address(host, port), { connect(descriptor, $0, $1) }) == 0 else {
            throw DialFailure(code: errno)
        }
        let peer = peer(descriptor)
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw DialFailure(code: errno) }
        return (String(decoding: buffer[..<count], as: UTF8.self), peer)
    }

    /// The errno of a dial that must fail; what is dropped is waited for only a little.
    static func refusal(_ host: String, _ port: UInt16) -> Int32 {
        do {
            _ = try dial(host, port, milliseconds: 300)
            return 0
        } catch let error as DialFailure { return error.code } catch { return -1 }
    }

    /// Sends a datagram and waits for the answer: its text, who it is said to come from, and the socket's peer.
    static func ask(_ host: String, _ port: UInt16, connected: Bool) throws -> (
        reply: String, from: String, peer: String
    ) {
        let descriptor = try make(SOCK_DGRAM)
        defer { close(descriptor) }
        let target = address(host, port)
        if connected {
            guard call(target, { connect(descriptor, $0, $1) }) == 0 else { throw DialFailure(code: errno) }
            guard send(descriptor, "hello", 5, 0) == 5 else { throw DialFailure(code: errno) }
        } else {
            let sent = call(target) { Int32(sendto(descriptor, "hello", 5, 0, $0, $1)) }
            guard sent == 5 else { throw DialFailure(code: errno) }
        }
        let (reply, from) = try receive(descriptor)
        return (reply, from, peer(descriptor))
    }

    /// The next datagram: its text, and who it is said to come from.
    static func receive(_ descriptor: Int32) throws -> (reply: String, from: String) {
        var source = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = withUnsafeMutablePointer(to: &source) { source in
            source.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &buffer, buffer.count, 0, $0, &size)
            }
        }
        guard count >= 0 else { throw DialFailure(code: errno) }
        return (String(decoding: buffer[..<count], as: UTF8.self), text(source))
    }
}

struct DialFailure: Error, CustomStringConvertible {
    let code: Int32
    var description: String { "dial: \(String(cString: strerror(code)))" }
}

/// A server that greets every client with a name, and with the client's address as it sees it.
final class Greeter: @unchecked Sendable {
    // SAFETY: set once before the thread starts.
    private let descriptor: Int32
    private let isDatagram: Bool
    private let name: String
    private var thread = pthread_t()

    /// Listens in the calling thread's network namespace.
    init(_ name: String, port: UInt16, datagram: Bool = false) throws {
        self.name = name
        isDatagram = datagram
        descriptor = socket(AF_INET, Int32((datagram ? SOCK_DGRAM : SOCK_STREAM).rawValue), 0)
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let socket = descriptor
        guard Sockets.call(Sockets.address("0.0.0.0", port), { bind(socket, $0, $1) }) == 0 else {
            throw TestFailure("bind", errno)
        }
        if !datagram { listen(descriptor, 64) }
        pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Greeter>.fromOpaque(context).takeRetainedValue().serve()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    private func serve() {
        var source = sockaddr_in()
        while true {
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let socket = descriptor
            if isDatagram {
                var buffer = [UInt8](repeating: 0, count: 256)
                let count = withUnsafeMutablePointer(to: &source) { source in
                    source.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        recvfrom(socket, &buffer, buffer.count, 0, $0, &size)
                    }
                }
                if count <= 0 { return }
                let reply = greeting(source)
                Sockets.call(source) { Int32(sendto(socket, reply, reply.utf8.count, 0, $0, $1)) }
            } else {
                let client = withUnsafeMutablePointer(to: &source) { source in
                    source.withMemoryRebound(to: sockaddr.self, capacity: 1) { accept(socket, $0, &size) }
                }
                if client < 0 { return }
                let reply = greeting(source)
                _ = write(client, reply, reply.utf8.count)
                close(client)
            }
        }
    }

    private func greeting(_ client: sockaddr_in) -> String {
        "\(name) \(IPv4Address(UInt32(bigEndian: client.sin_addr.s_addr)))"
    }

    func stop() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        pthread_join(thread, nil)
        close(descriptor)
    }
}
