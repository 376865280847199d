import CEpoll
import Dispatch
import Glibc
import Objects
import Synchronization
import XCTest

@testable import Node

/// What a node answers to balancers and to those who ask for its routing.
final class HealthServerTests: XCTestCase {
    private func check(_ count: Int, port: UInt16 = 32001) -> HealthCheck {
        HealthCheck(namespace: "default", name: "web", port: port, localEndpoints: count)
    }

    func testWhichServicesAreAskedFor() {
        let usual: JSONObject = [
            "clusterIP": "10.96.0.9", "type": "LoadBalancer", "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 32001,
        ]
        let slice: JSON = [
            "addressType": "IPv4", "ports": [["name": "http", "port": 8080]],
            "endpoints": [
                ["addresses": ["10.244.0.5"], "nodeName": "alpha", "conditions": ["ready": true]],
                ["addresses": ["10.244.0.6"], "nodeName": "alpha", "conditions": ["ready": false, "serving": true]],
                ["addresses": ["10.244.1.7"], "nodeName": "beta", "conditions": ["ready": true]],
                ["addresses": ["10.244.0.8"], "nodeName": "alpha"],
            ],
        ]
        let rows: [(JSONObject, Int?, String)] = [
            ([:], 2, "ready ones of this node, each once"), (["type": "NodePort"], nil, "no balancer"),
            (["externalTrafficPolicy": "Cluster"], nil, "any node will do"),
            (["healthCheckNodePort": 0], nil, "no port"),
            (["clusterIP": "None"], nil, "not routed"),
        ]
        for (change, expected, reason) in rows {
            var specification = usual
            for entry in change { specification[entry.key] = entry.value }
            let service: JSON = ["metadata": ["name": "web", "namespace": "default"], "spec": .object(specification)]
            let found = HealthCheck(service, slices: [slice, slice], nodeName: "alpha")
            XCTAssertEqual(found?.localEndpoints, expected, reason)
        }
    }

    func testReplies() throws {
        let rows: [(HealthReply, Int, String, String)] = [
            (.service(check(2), isHealthy: true), 200, "", "endpoints"),
            (.service(check(0), isHealthy: true), 503, "", "no endpoints"),
            (.service(check(2), isHealthy: false), 503, "", "nobody knows whether they are right"),
            (routing("/healthz", pendingSince: nil), 200, "lastUpdated", "nothing waits"),
            (routing("/livez", pendingSince: 1), 200, "lastUpdated", "it has not waited long"),
            (routing("/healthz", pendingSince: 0), 503, "lastUpdated", "it has"),
            (routing("/metrics", pendingSince: nil), 404, "/healthz", "no such path"),
            (.status("/proxyMode", mode: "ebpf"), 200, "ebpf", "the mechanism"),
            (.status("/x", mode: "ebpf"), 404, "/proxyMode", "no such path"),
        ]
        for (reply, code, part, reason) in rows {
            XCTAssertEqual(reply.code, code, reason)
            XCTAssertTrue(part.isEmpty || reply.body.contains(part), "\(reason): \(reply.body)")
        }
        XCTAssertEqual(
            try JSON(parsing: HealthReply.service(check(2), isHealthy: true).body),
            [
                "service": ["namespace": "default", "name": "web"], "localEndpoints": 2, "serviceProxyHealthy": true,
            ])
        let lines = String(
            decoding: HealthReply.service(check(2), isHealthy: true).bytes(withBody: false), as: UTF8.self)
        for line in ["HTTP/1.1 200 OK", "X-Load-Balancing-Endpoint-Weight: 2", "Content-Type: application/json"] {
            XCTAssertTrue(lines.contains("\(line)\r\n"), lines)
        }
        XCTAssertTrue(lines.hasSuffix("\r\n\r\n"), "no body")
    }

    private func routing(_ path: String, pendingSince: UInt64?) -> HealthReply {
        .routing(
            path, RoutingHealth(updated: Timestamp(seconds: 0), pendingSince: pendingSince),
            monotonic: RoutingHealth.patience, now: Timestamp(seconds: 1))
    }

    func testRequests() {
        let rows: [(String, String?)] = [
            ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /healthz"), ("HEAD /a?b=c HTTP/1.0\r\n\r\n", "HEAD /a"),
            ("GET /healthz\r\n\r\n", nil), ("GET healthz HTTP/1.1\r\n\r\n", nil), ("\r\n\r\n", nil),
            ("GET /a HTTP/2\r\n\r\n", nil), (" / HTTP/1.1\r\n\r\n", nil),
        ]
        for (text, expected) in rows {
            XCTAssertTrue(HealthReply.isWhole(Array(text.utf8)))
            XCTAssertEqual(HealthReply.request(Array(text.utf8)).map { "\($0.method) \($0.path)" }, expected, text)
            XCTAssertFalse(HealthReply.isWhole(Array(text.utf8.dropLast())))
        }
        XCTAssertFalse(HealthReply.isWhole([]))
    }

    // MARK: - The server

    /// A socket on loopback: bound to a port, by default one that the kernel chooses, or connected to one.
    private func socket(connecting: UInt16? = nil, at own: UInt16 = 0) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = try SystemError.check("socket", "") {
            Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = (connecting ?? own).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                if connecting != nil { return connect(descriptor, pointer, size) }
                return bind(descriptor, pointer, size) == 0 ? getsockname(descriptor, pointer, &size) : -1
            }
        }
        guard result == 0 else {
            let failure = SystemError("use a socket", "127.0.0.1:\(connecting ?? own)")
            close(descriptor)
            throw failure
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// Free ports below those that the kernel gives to clients, so that nobody takes one meanwhile.
    private func freePorts(_ count: Int) throws -> [UInt16] {
        var ports: Set<UInt16> = []
        for _ in 0..<1000 where ports.count < count {
            let port = UInt16.random(in: 20000...29999)
            do {
                close(try socket(at: port).descriptor)
                ports.insert(port)
            } catch let error as SystemError where error.code == EADDRINUSE {
                // Another one.
            }
        }
        return Array(ports)
    }

    /// What comes back for some bytes until the server ends the connection.
    private func exchange(_ port: UInt16, _ text: String) throws -> String {
        let (descriptor, _) = try socket(connecting: port)
        defer { close(descriptor) }
        _ = send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return String(decoding: all, as: UTF8.self) }
            all += buffer[..<count]
        }
    }

    /// Asks until the answer begins so, or the port is closed when nothing is expected.
    private func eventually(_ port: UInt16, _ path: String, _ expected: String?) throws -> String {
        let end = WallClock.monotonicNanoseconds() + 60_000_000_000
        while WallClock.monotonicNanoseconds() < end {
            do {
                let answer = try exchange(port, "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                if let expected, answer.hasPrefix("HTTP/1.1 \(expected)") { return answer }
            } catch  where expected == nil {
                return ""
            } catch let error as SystemError where error.code == ECONNREFUSED {
                // Not yet.
            }
            usleep(2000)
        }
        XCTFail("\(port)\(path) does not come to \(expected ?? "an end")")
        return ""
    }

    func testPortsComeAndGo() throws {
        let ports = try freePorts(3)
        // A port that somebody has all the same is tried again.
        let server = try HealthServer(health: { RoutingHealth() }) { _, _ in }
        server.routes(by: "ebpf")
        func serve(_ checks: [HealthCheck]) {
            server.serve(
                [.init(port: ports[0], page: .routing), .init(port: ports[1], page: .status)]
                    + checks.map { .init(port: $0.port, page: .service($0)) })
        }
        serve([])
        XCTAssertTrue(try eventually(ports[0], "/healthz", "200").contains("lastUpdated"))
        XCTAssertTrue(try eventually(ports[1], "/proxyMode", "200").hasSuffix("ebpf"))
        serve([check(0, port: ports[2])])
        XCTAssertTrue(try eventually(ports[2], "/", "503").contains("\"localEndpoints\":0"))
        serve([check(3, port: ports[2])])
        XCTAssertTrue(try eventually(ports[2], "/healthz", "200").contains("\"localEndpoints\":3"))
        XCTAssertTrue(try exchange(ports[2], "HEAD / HTTP/1.1\r\n\r\n").hasSuffix("\r\n\r\n"), "no body")
        XCTAssertTrue(try exchange(ports[2], "what?\r\n\r\n").hasPrefix("HTTP/1.1 400"))
        XCTAssertEqual(try exchange(ports[2], String(repeating: "a", count: 9 << 10)), "", "too much")
        serve([])
        XCTAssertEqual(try eventually(ports[2], "/", nil), "")
        server.stop()
        XCTAssertThrowsError(try socket(connecting: ports[0]))
    }

    func testAPortThatIsTakenIsReportedOnce() throws {
        let other = try socket()
        XCTAssertEqual(listen(other.descriptor, 1), 0)
        defer { close(other.descriptor) }
        let reports = Mutex<[UInt16]>([])
        let reported = DispatchSemaphore(value: 0)
        let server = try HealthServer(health: { RoutingHealth() }) { site, _ in
            reports.withLock { $0.append(site.port) }
            reported.signal()
        }
        let site = HealthServer.Site(port: other.port, page: .service(check(1, port: other.port)))
        server.serve([site])
        XCTAssertEqual(reported.wait(timeout: .now() + 60), .success)
        server.serve([site])
        server.stop()
        XCTAssertEqual(reports.withLock { $0 }, [other.port])
    }
}
