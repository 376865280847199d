import Glibc
import Synchronization
import XCTest

@testable import Node

/// Forwarded connections, from a client's packets to a server on loopback.
final class ForwardSessionTests: XCTestCase {
    /// A server of one connection on loopback.
    private final class Server {
        let listener: Int32
        let port: UInt16

        /// Without `listens` the port is taken and refuses connections.
        init(_ family: Int32 = AF_INET, listens: Bool = true) throws {
            let listener = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            // The family's loopback address, behind the port: of 4 bytes in IPv4, behind a flow label of 16 in IPv6.
            var address = [UInt8](repeating: 0, count: family == AF_INET ? 16 : 28)
            address[0] = UInt8(family)
            if family == AF_INET { address[4..<8] = [127, 0, 0, 1] } else { address[23] = 1 }
            var size = socklen_t(address.count)
            let isBound = address.withUnsafeMutableBytes { bytes in
                bytes.withMemoryRebound(to: sockaddr.self) { pointer in
                    bind(listener, pointer.baseAddress, size) == 0 && (!listens || listen(listener, 4) == 0)
                        && getsockname(listener, pointer.baseAddress, &size) == 0
                }
            }
            self.listener = listener
            port = UInt16(address[2]) << 8 | UInt16(address[3])
            guard isBound else { throw SystemError("bind", "loopback") }
        }

        deinit { close(listener) }

        func accepted() throws -> Int32 {
            let connection = try SystemError.check("accept", "") { accept(listener, nil, nil) }
            var limit = timeval(tv_sec: 60, tv_usec: 0)
            setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            return connection
        }
    }

    /// A session from packets to a server, on a thread as in the node.
    private func withSession(_ body: (_ client: Int32, _ pod: Int32) throws -> Void) throws {
        let server = try Server()
        let descriptor = try PodDialer.connect(port: server.port, networkNamespace: "")
        let pod = try server.accepted()
        let (client, theirs) = try LogTests.packets()
        let thread = NodeThread(name: "forward")
        thread.start { ForwardSession(client: PacketStream(theirs), pod: descriptor).run() }
        try body(client, pod)
        close(client)
        close(pod)
        thread.join()
    }

    private func receive(_ descriptor: Int32, _ count: Int) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while all.count < count {
            let got = recv(descriptor, &buffer, buffer.count, 0)
            guard got > 0 else { break }
            all += buffer[..<got]
        }
        return all
    }

    func testBothDirections() throws {
        try withSession { client, pod in
            send(client, Array("ask".utf8), 3, 0)
            XCTAssertEqual(receive(pod, 3), Array("ask".utf8))
            send(pod, Array("answer".utf8), 6, 0)
            XCTAssertEqual(receive(client, 6), Array("answer".utf8))
        }
    }

    /// The client's end reaches the pod, which still answers; the pod's end is the end of all.
    func testEndsAreCarriedApart() throws {
        try withSession { client, pod in
            send(client, Array("all of it".utf8), 9, 0)
            shutdown(client, Int32(SHUT_WR))
            XCTAssertEqual(receive(pod, 100), Array("all of it".utf8), "up to the end")
            send(pod, Array("late".utf8), 4, 0)
            XCTAssertEqual(receive(client, 4), Array("late".utf8))
            shutdown(pod, Int32(SHUT_WR))
            XCTAssertEqual(receive(client, 1), [])
        }
    }

    /// A client that does not read holds the pod back, and then gets all of it.
    func testNothingIsLostOnASlowClient() throws {
        try withSession { client, pod in
            let size = 4 << 20
            let text = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let sent = Mutex(0)
            let writer = NodeThread(name: "writer")
            writer.start {
                var offset = 0
                while offset < size {
                    let count = text.withUnsafeBytes { Glibc.send(pod, $0.baseAddress! + offset, size - offset, 0) }
                    guard count > 0 else { return }
                    offset += count
                    let total = offset
                    sent.withLock { $0 = total }
                }
                shutdown(pod, Int32(SHUT_WR))
            }
            XCTAssertEqual(receive(client, size), text)
            writer.join()
            XCTAssertEqual(sent.withLock { $0 }, size)
        }
    }

    func testTheClientsGoingClosesThePodsConnection() throws {
        try withSession { client, pod in
            shutdown(client, Int32(SHUT_RDWR))
            XCTAssertEqual(receive(pod, 1), [])
        }
    }

    func testRefusalNamesThePlace() throws {
        let server = try Server(listens: false)
        let port = server.port
        XCTAssertThrowsError(try PodDialer.connect(port: port, networkNamespace: "")) { error in
            XCTAssertTrue("\(error)".contains("connect to 127.0.0.1:\(port): Connection refused"), "\(error)")
        }
        XCTAssertThrowsError(try PodDialer.connect(port: port, networkNamespace: "/nowhere")) { error in
            XCTAssertTrue("\(error)".contains("/nowhere"), "\(error)")
        }
    }

    func testAChosenAddress() throws {
        let server = try Server()
        close(try PodDialer.connect(to: "127.0.0.1", port: server.port, networkNamespace: ""))
        // The whole of 127.0.0.0/8 is loopback, and the server listens at one of its addresses.
        XCTAssertThrowsError(try PodDialer.connect(to: "127.0.0.2", port: server.port, networkNamespace: "")) { error in
            XCTAssertTrue("\(error)".contains("connect to 127.0.0.2:\(server.port): Connection refused"), "\(error)")
        }
        XCTAssertThrowsError(try PodDialer.connect(to: "pod", port: 1, networkNamespace: "")) { error in
            XCTAssertTrue("\(error)".contains("connect to pod:1"), "\(error)")
        }
    }

    /// What listens at ::1 alone is found.
    func testIPv6() throws {
        guard let server = try? Server(AF_INET6) else { throw XCTSkip("this machine has no IPv6 loopback") }
        close(try PodDialer.connect(port: server.port, networkNamespace: ""))
    }
}
