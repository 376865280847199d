import Glibc
import Objects
import Synchronization
import XCTest

@testable import Node

final class ProbeTests: XCTestCase {
    private func state(_ kind: ProbeKind, healthy: Bool? = nil, success: Int64 = 1, failure: Int64 = 3) -> ProbeState {
        ProbeState(
            kind: kind,
            configuration: ProbeConfiguration([
                "successThreshold": .integer(success), "failureThreshold": .integer(failure),
            ]), isHealthy: healthy)
    }

    private func verdicts(_ state: ProbeState, _ results: [Bool]) -> [Bool?] {
        var state = state
        return results.map { state.record(success: $0) }
    }

    func testThresholds() {
        XCTAssertEqual(verdicts(state(.readiness), [true, true]), [true, nil])
        XCTAssertEqual(verdicts(state(.readiness, success: 2), [true, false, true, true]), [nil, nil, nil, true])
        XCTAssertEqual(
            verdicts(state(.readiness), [true, false, false, false, false, true]), [true, nil, nil, false, nil, true])
        XCTAssertEqual(verdicts(state(.readiness), [false, false, false, false]), [nil, nil, nil, nil])
        XCTAssertEqual(
            verdicts(state(.liveness, healthy: true), [false, false, true, false, false, false]),
            [nil, nil, nil, nil, nil, false])
        XCTAssertEqual(verdicts(state(.startup), [false, false, false]), [nil, nil, false])
    }

    func testConfigurationDefaults() {
        XCTAssertEqual(
            ProbeConfiguration([:]).period, 10)
        XCTAssertEqual(ProbeConfiguration([:]).timeout, 1)
        XCTAssertEqual(ProbeConfiguration([:]).failureThreshold, 3)
        XCTAssertEqual(ProbeConfiguration(["periodSeconds": 2, "initialDelaySeconds": 5]).initialDelay, 5)
    }

    func testFreshContainersAreAskedSooner() {
        var state = state(.readiness)
        XCTAssertEqual(state.nextDelay, 10)
        var delays: [Double] = []
        for _ in 0..<6 {
            _ = state.record(success: false)
            delays.append(state.nextDelay)
        }
        XCTAssertEqual(delays, [0.1, 0.2, 0.4, 0.8, 1.6, 10])
        _ = state.record(success: true)
        XCTAssertEqual(state.nextDelay, 10)
    }

    func testHTTPRequest() {
        let action: JSON = [
            "path": "health?x=1",
            "httpHeaders": [["name": "host", "value": "example"], ["name": "X", "value": "a\r\nb"]],
        ]
        let text = String(
            decoding: HTTPProbeRequest.build(action, at: place("health?x=1"), program: "probe"), as: UTF8.self)
        XCTAssertEqual(
            text,
            "GET /health?x=1 HTTP/1.1\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n"
                + "host: example\r\n\r\n")
        let repeated: JSON = [
            "httpHeaders": [
                ["name": "X", "value": "1"], ["name": "X", "value": "2"], ["name": "User-Agent", "value": ""],
                ["name": "accept", "value": ""],
            ]
        ]
        XCTAssertEqual(
            String(decoding: HTTPProbeRequest.build(repeated, at: place("/"), program: "probe"), as: UTF8.self),
            "GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\nConnection: close\r\nX: 1\r\nX: 2\r\n\r\n")
    }

    private func place(_ path: String, host: String = "10.0.0.1") -> HTTPPlace {
        HTTPPlace(isTLS: false, host: host, port: 80, path: path)
    }

    func testLocations() {
        let rows: [(location: String, url: String?)] = [
            ("/b", "http://10.0.0.1:80/b"), ("c?y#z", "http://10.0.0.1:80/a/c?y"), ("?q", "http://10.0.0.1:80/a/b?q"),
            ("", "http://10.0.0.1:80/a/b?x=/1"), ("#f", "http://10.0.0.1:80/a/b?x=/1"),
            ("https://other/d", "https://other:443/d"), ("http://other:8080", "http://other:8080/"),
            ("http://other?q", "http://other:80/?q"), ("//[::1]:81/e", "http://[::1]:81/e"),
            ("http://user@host/", "http://host:80/"), ("ftp://x/", nil), ("http://x:99999/", nil), ("http://", nil),
        ]
        for row in rows {
            XCTAssertEqual(place("/a/b?x=/1").following(row.location)?.url, row.url, row.location)
        }
    }

    func testHTTPVerdicts() {
        let exchange = ProbeExchange.http(request: [], url: "u")
        let rows: [(received: String, isClosed: Bool, progress: ProbeProgress)] = [
            ("HTTP/1.1 200 OK\r\n", false, .succeeded), ("HTTP/1.0 399 x\r\n", false, .succeeded),
            ("HTTP/1.1 404 Not Found\r\n", false, .failed("HTTP probe failed with statuscode: 404")),
            ("HTTP/1.1 20", false, .needsMore), ("", true, .failed("Get \"u\": EOF")),
            ("nonsense\r\n", false, .failed("Get \"u\": malformed HTTP response")),
            ("HTTP/1.1 302 Found\r\nLocation: /x\r\n", false, .needsMore),
            ("HTTP/1.1 302 Found\r\nlocation:  /x\r\n\r\n", false, .redirected("/x")),
            ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\na", false, .needsMore),
            ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\na", true, .redirected("/x")),
            ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nab", false, .redirected("/x")),
            ("HTTP/1.1 302 Found\r\n\r\nLocation: /x\r\n\r\n", false, .succeeded),
            ("HTTP/1.1 304 Not Modified\r\n", false, .succeeded),
        ]
        for row in rows {
            XCTAssertEqual(exchange.judge(Array(row.received.utf8), isClosed: row.isClosed), row.progress, row.received)
        }
    }

    func testGRPCVerdicts() {
        let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
        func data(_ message: [UInt8]) -> [UInt8] {
            let payload: [UInt8] = [0, 0, 0, 0, UInt8(message.count)] + message
            return [0, 0, UInt8(payload.count), 0, 0, 0, 0, 0, 1] + payload
        }
        XCTAssertEqual(GRPCHealth.verdict(settings + data([8, 1])), true)
        XCTAssertEqual(GRPCHealth.verdict(settings + data([8, 2])), false)
        XCTAssertEqual(GRPCHealth.verdict(settings + data([])), false)
        XCTAssertNil(GRPCHealth.verdict(settings))
        XCTAssertNil(GRPCHealth.verdict(Array(data([8, 1]).dropLast())))
        XCTAssertEqual(GRPCHealth.verdict([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]), false)
        let request = GRPCHealth.request(service: "s", authority: "h:1")
        XCTAssertTrue(request.starts(with: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    }

    // MARK: The loop, against a server on loopback

    private final class Reports: Sendable {
        private let list = Mutex<[ProbeReport]>([])
        private let semaphore: ExitSignal
        init() throws { semaphore = try ExitSignal() }
        func add(_ report: ProbeReport) {
            list.withLock { $0.append(report) }
            semaphore.signal()
        }
        /// Waits until a report is there that fits; fails after a minute.
        func wait(_ matches: (ProbeReport) -> Bool) -> Bool {
            let end = WallClock.now() + 60
            while WallClock.now() < end {
                if list.withLock({ $0.contains(where: matches) }) { return true }
                var wait = pollfd(fd: semaphore.descriptor, events: Int16(POLLIN), revents: 0)
                poll(&wait, 1, 1000)
                var value: UInt64 = 0
                _ = read(semaphore.descriptor, &value, 8)
            }
            return false
        }
        var all: [ProbeReport] { list.withLock { $0 } }
    }

    /// Answers every connection with one text, on a port of its own.
    private final class Server: Sendable {
        let port: Int
        private let listener: Int32
        private let thread = NodeThread(name: "server")

        init(answer: String) throws {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let bound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    bind(listener, address, size) == 0 && listen(listener, 16) == 0
                        && getsockname(listener, address, &size) == 0
                }
            }
            XCTAssertTrue(bound)
            port = Int(UInt16(bigEndian: address.sin_port))
            self.listener = listener
            let bytes = Array(answer.utf8)
            thread.start {
                while true {
                    let client = accept(listener, nil, nil)
                    if client < 0 { return }
                    var buffer = [UInt8](repeating: 0, count: 1024)
                    _ = recv(client, &buffer, buffer.count, 0)
                    _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                    close(client)
                }
            }
        }

        func stop() {
            shutdown(listener, Int32(SHUT_RDWR))
            thread.join()
            close(listener)
        }
    }

    private func container(_ probes: JSONObject) -> PodContainer {
        var object: JSONObject = ["name": "main", "image": "x"]
        for entry in probes { object[entry.key] = entry.value }
        return PodContainer(object: .object(object), kind: .regular, podPolicy: .always)
    }

    private func run(_ probes: JSONObject, _ check: (Reports) -> Void) throws {
        let reports = try Reports()
        let operations = OperationPool(maximum: 4)
        let manager = try ProbeManager(runtime: FakeRuntime(), operations: operations) { reports.add($0) }
        manager.add(
            container(probes), instance: TestPods.container("main", "running"), podUID: "u1", startupPassed: false,
            target: ProbeTarget(podIP: "127.0.0.1", startedAt: WallClock.now() - 100))
        check(reports)
        manager.stop()
        operations.close()
    }

    func testHTTPReadiness() throws {
        let server = try Server(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        defer { server.stop() }
        try run(["readinessProbe": ["httpGet": ["port": .integer(Int64(server.port))], "timeoutSeconds": 60]]) {
            reports in
            XCTAssertTrue(reports.wait { $0.change == .ready(true) })
        }
    }

    /// A server that sends every request on: to itself, over and over, or to a place that nobody may ask.
    func testRedirects() throws {
        let loop = try Server(answer: "HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
        defer { loop.stop() }
        try run([
            "livenessProbe": [
                "httpGet": ["port": .integer(Int64(loop.port))], "failureThreshold": 1, "timeoutSeconds": 60,
            ]
        ]) {
            reports in
            XCTAssertTrue(
                reports.wait { $0.change == .failed(graceSeconds: nil) }, "a host's own redirects are followed")
            XCTAssertTrue(
                reports.all.contains {
                    if case .unhealthy(let message) = $0.change {
                        return message.contains("stopped after 10 redirects")
                    }
                    return false
                })
        }
        let away = try Server(
            answer: "HTTP/1.1 302 Found\r\nContent-Length: 5\r\nLocation: http://192.0.2.1/\r\n\r\nthere")
        defer { away.stop() }
        try run(["readinessProbe": ["httpGet": ["port": .integer(Int64(away.port))], "timeoutSeconds": 60]]) {
            reports in
            XCTAssertTrue(reports.wait { $0.change == .ready(true) }, "those to others are as good as an answer")
            XCTAssertEqual(reports.all.first?.change, .warning("Probe terminated redirects, Response body: there"))
        }
    }

    func testReadinessIsAskedUntilTheEnd() throws {
        let server = try Server(answer: "HTTP/1.1 200 OK\r\n\r\n")
        defer { server.stop() }
        let action: JSON = ["port": .integer(Int64(server.port))]
        let reports = try Reports()
        let operations = OperationPool(maximum: 1)
        let manager = try ProbeManager(runtime: FakeRuntime(), operations: operations) { reports.add($0) }
        manager.add(
            container([
                "readinessProbe": ["httpGet": action, "timeoutSeconds": 60],
                "livenessProbe": ["tcpSocket": ["port": 1], "initialDelaySeconds": 20, "failureThreshold": 1],
            ]), instance: TestPods.container("main", "running"), podUID: "u1", startupPassed: false,
            target: ProbeTarget(podIP: "127.0.0.1", startedAt: WallClock.now()))
        manager.remove(containerID: "main-0", keepsReadiness: true)
        XCTAssertTrue(reports.wait { $0.change == .ready(true) })
        manager.stop()
        operations.close()
        XCTAssertEqual(reports.all.map(\.kind), [.readiness])
    }

    func testHooksAskForNoMoreThanAnAnswer() throws {
        let server = try Server(answer: "HTTP/1.1 500 Oh\r\n\r\n")
        defer { server.stop() }
        let runner = HookRunner(runtime: FakeRuntime())
        func hook(_ scheme: String, _ port: JSON) throws {
            try runner.run(
                ["httpGet": ["port": port, "scheme": .string(scheme), "host": "127.0.0.1"]], containerID: "c",
                container: container(["ports": [["name": "web", "containerPort": .integer(Int64(server.port))]]]),
                podIP: "", timeoutSeconds: 60, isCancelled: { false })
        }
        try hook("HTTP", "web")
        XCTAssertThrowsError(try hook("HTTPS", "web"), "the server does not speak TLS")
        XCTAssertThrowsError(try hook("HTTP", "other")) { XCTAssertTrue("\($0)".contains("not a port")) }
        XCTAssertThrowsError(try hook("HTTP", 1)) { XCTAssertTrue("\($0)".contains("refused")) }
    }

    func testStartupGatesTheOthers() throws {
        let server = try Server(answer: "HTTP/1.1 200 OK\r\n\r\n")
        defer { server.stop() }
        let action: JSON = ["tcpSocket": ["port": .integer(Int64(server.port))], "timeoutSeconds": 60]
        try run(["startupProbe": action, "readinessProbe": action]) { reports in
            XCTAssertTrue(reports.wait { $0.change == .ready(true) })
            XCTAssertEqual(reports.all.first?.change, .started)
        }
    }

    func testLivenessFailureKills() throws {
        let probe: JSON = [
            "tcpSocket": ["port": 1], "failureThreshold": 1, "terminationGracePeriodSeconds": 3, "timeoutSeconds": 60,
        ]
        try run(["livenessProbe": probe]) { reports in
            XCTAssertTrue(reports.wait { $0.change == .failed(graceSeconds: 3) })
            XCTAssertTrue(
                reports.all.contains {
                    if case .unhealthy(let message) = $0.change { return message.contains("Connection refused") }
                    return false
                })
        }
    }

    func testCommandProbe() throws {
        try run(["readinessProbe": ["exec": ["command": ["true"]]]]) { reports in
            XCTAssertTrue(reports.wait { $0.change == .ready(true) })
        }
    }
}
