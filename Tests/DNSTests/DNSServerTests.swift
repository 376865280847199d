import CEpoll
import Glibc
import Objects
import Synchronization
import XCTest

@testable import DNS

/// The server at the loopback address, asked by a small client of the test and, where it is installed, by `dig`.
final class DNSServerTests: XCTestCase {
    private var servers: [DNSServer] = []

    override func tearDown() {
        for server in servers { server.stop() }
        servers = []
    }

    private func freePort() throws -> UInt16 {
        let socket = try Descriptor(socket: SOCK_DGRAM)
        XCTAssertEqual(socket.with(0x7f00_0001, 0, bind), 0)
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(socket.number, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// A server for a domain with `web`, many endpoints under `many`, and aliases.
    private func serve(domain: String, upstreams: [UInt16] = []) throws -> UInt16 {
        var zone = ClusterZone(domain: try XCTUnwrap(DomainName(domain)), timeToLive: 5)
        func service(_ name: String, _ spec: JSON) {
            zone.setService(["metadata": ["name": .string(name), "namespace": "default"], "spec": spec])
        }
        service("web", ["clusterIP": "10.96.0.20"])
        service("near", ["type": "ExternalName", "externalName": .string("web.default.svc.\(domain)")])
        service("far", ["type": "ExternalName", "externalName": "web.default.svc.upstream.test"])
        service("loop", ["type": "ExternalName", "externalName": .string("loop.default.svc.\(domain)")])
        service("many", ["clusterIP": "None"])
        zone.setSlice([
            "metadata": ["name": "many-1", "namespace": "default", "labels": ["kubernetes.io/service-name": "many"]],
            "endpoints": .array((0..<200).map { ["addresses": [.string("10.244.\($0).1")]] }),
        ])
        // A port that was free for datagrams may have a stream of another process, or get one meanwhile.
        for _ in 0..<20 {
            let port = try freePort()
            let server = try DNSServer(
                zone: zone,
                upstreams: Upstreams(
                    fixed: upstreams.compactMap { Upstreams.Server("127.0.0.1:\($0)") }, path: "/dev/null",
                    excluded: []), cacheCapacity: 100, report: { print($0) })
            servers.append(server)
            let listening = DispatchGate()
            let isComplete = Mutex(false)
            server.listen(at: [0x7f00_0001], port: port) { missing in
                isComplete.withLock { $0 = missing.isEmpty }
                listening.open()
            }
            listening.wait()
            if isComplete.withLock({ $0 }) { return port }
        }
        throw TestFailure()
    }

    private struct TestFailure: Error, CustomStringConvertible {
        let description = "twenty ports in a row were taken"
    }

    /// Asks once and reads the answer's code and addresses.
    private func ask(
        _ name: String, _ port: UInt16, stream: Bool = false, extended: Bool = true
    ) throws -> (code: UInt16, addresses: [String], isTruncated: Bool, names: Int) {
        let question = Question(name: try XCTUnwrap(DomainName(name)), type: RecordType.a)
        let query = Query(
            identifier: 0, question: question, questionBytes: MessageWriter.bytes(of: question), wantsRecursion: true,
            isCheckingDisabled: false,
            extended: extended ? ExtendedQuery(datagramSize: 1232, version: 0, wantsSignatures: false) : nil)
        let message = MessageWriter.query(identifier: 77, query)
        let descriptor = socket(AF_INET, Int32((stream ? SOCK_STREAM : SOCK_DGRAM).rawValue), 0)
        let socket = Descriptor(taking: descriptor)
        var timeout = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        XCTAssertEqual(socket.with(0x7f00_0001, port, connect), 0)
        var buffer = [UInt8](repeating: 0, count: 65537)
        var bytes: [UInt8] = []
        if stream {
            XCTAssertGreaterThan(socket.send([UInt8(message.count >> 8), UInt8(message.count & 255)] + message), 0)
            while bytes.count < 2 || bytes.count < 2 + Int(bytes[0]) << 8 + Int(bytes[1]) {
                let count = read(descriptor, &buffer, buffer.count)
                guard count > 0 else { break }
                bytes += buffer[..<count]
            }
            bytes = Array(bytes.dropFirst(2))
        } else {
            XCTAssertGreaterThan(socket.send(message), 0)
            let count = read(descriptor, &buffer, buffer.count)
            bytes = Array(buffer[..<max(0, count)])
        }
        let response = try XCTUnwrap(
            UpstreamResponse(bytes, identifier: 77, question: question), "no answer to \(name)")
        let addresses = response.answers.compactMap { record -> String? in
            if case .address(let address) = record.data { formatAddress(address) } else { nil }
        }
        return (response.code, addresses, response.isTruncated, response.answers.count)
    }

    func testAnswersByDatagramAndStream() throws {
        let port = try serve(domain: "cluster.local")
        for stream in [false, true] {
            let answer = try ask("web.default.svc.cluster.local", port, stream: stream)
            XCTAssertEqual(answer.addresses, ["10.96.0.20"])
            XCTAssertEqual(try ask("no.default.svc.cluster.local", port, stream: stream).code, 3)
            XCTAssertEqual(try ask("near.default.svc.cluster.local", port, stream: stream).names, 2)
            XCTAssertEqual(try ask("loop.default.svc.cluster.local", port, stream: stream).code, 2)
        }
    }

    func testLongAnswersAreTruncatedAndComeWholeByStream() throws {
        let port = try serve(domain: "cluster.local")
        for extended in [true, false] {
            let short = try ask("many.default.svc.cluster.local", port, extended: extended)
            XCTAssertTrue(short.isTruncated)
        }
        let whole = try ask("many.default.svc.cluster.local", port, stream: true)
        XCTAssertFalse(whole.isTruncated)
        XCTAssertEqual(Set(whole.addresses).count, 200)
        XCTAssertNotEqual(
            try ask("many.default.svc.cluster.local", port, stream: true).addresses.first, whole.addresses.first)
    }

    func testForwards() throws {
        let upstream = try serve(domain: "upstream.test")
        let dead: UInt16 = 1  // Not one of those that are handed out, so nobody gets it meanwhile.
        let port = try serve(domain: "cluster.local", upstreams: [dead, upstream])
        XCTAssertEqual(try ask("web.default.svc.upstream.test", port).addresses, ["10.96.0.20"])
        XCTAssertEqual(try ask("web.default.svc.upstream.test", port, stream: true).addresses, ["10.96.0.20"])
        XCTAssertEqual(try ask("no.default.svc.upstream.test", port).code, 3)
        let alias = try ask("far.default.svc.cluster.local", port)
        XCTAssertEqual(alias.addresses, ["10.96.0.20"])
        XCTAssertEqual(alias.names, 2)
        // Too long for a datagram of the upstream's: asked again by stream.
        XCTAssertEqual(try ask("many.default.svc.upstream.test", port, stream: true).addresses.count, 200)
        XCTAssertTrue(try ask("many.default.svc.upstream.test", port).isTruncated)
    }

    func testWithoutUpstreams() throws {
        let port = try serve(domain: "cluster.local")
        XCTAssertEqual(try ask("example.org", port).code, 2)
        let alone = try serve(domain: "cluster.local", upstreams: [1])
        XCTAssertEqual(try ask("example.org", alone).code, 2)
    }

    func testDigUnderstands() throws {
        try XCTSkipUnless(access("/usr/bin/dig", X_OK) == 0, "needs dig (package bind9-dnsutils)")
        let port = try serve(domain: "cluster.local")
        for (arguments, expected) in [
            ("+short web.default.svc.cluster.local A", "10.96.0.20\n"),
            ("+short +tcp web.default.svc.cluster.local A", "10.96.0.20\n"),
            ("+short near.default.svc.cluster.local A", "web.default.svc.cluster.local.\n10.96.0.20\n"),
            ("+short +noedns web.default.svc.cluster.local AAAA", ""),
            ("+short cluster.local NS", "ns.dns.cluster.local.\n"),
            ("+short +edns=1 +noednsneg web.default.svc.cluster.local", ""),
        ] {
            guard let pipe = popen("dig @127.0.0.1 -p \(port) +time=60 +tries=1 \(arguments)", "r") else {
                return XCTFail("popen")
            }
            var output = ""
            var buffer = [CChar](repeating: 0, count: 1024)
            while fgets(&buffer, 1024, pipe) != nil {
                output += String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
            XCTAssertEqual(pclose(pipe), 0, arguments)
            XCTAssertEqual(output, expected, arguments)
        }
    }
}

/// Opened once by another thread.
final class DispatchGate: @unchecked Sendable {
    // SAFETY: a semaphore may be used from any thread.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    deinit { semaphore.deallocate() }
    func open() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 && errno == EINTR {} }
}
