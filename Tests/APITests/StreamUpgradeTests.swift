import CEpoll
import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// Processes and ports over SPDY and WebSocket, with an extension that echoes.
final class StreamUpgradeTests: XCTestCase {
    private var server: TestServer!
    private let fake = EchoExtension()
    private let pod = "/api/v1/namespaces/default/pods/p"

    override func setUpWithError() throws {
        server = try TestServer()
        let routes = try XCTUnwrap(server.plugin.provider.pipeline).extensions
        routes.add(plugin: "fake", try fake.routes(), provider: fake)
    }

    override func tearDownWithError() throws {
        fake.join()
        try server.stop()
    }

    private func upgrade(
        _ client: TLSClient, _ path: String, method: String = "POST", _ headers: [String]
    ) throws -> TLSClient.Response {
        let lines = (["Host: a", "Authorization: Bearer \(TestServer.token)", "Connection: Upgrade"] + headers).joined(
            separator: "\r\n")
        client.send("\(method) \(pod)\(path) HTTP/1.1\r\n\(lines)\r\n\r\n")
        let head = try client.response(headOnly: true)
        guard head.status != 101 else { return head }
        return TLSClient.Response(
            status: head.status, headers: head.headers,
            body: try client.take(Int(head.headers["content-length"] ?? "0") ?? 0))
    }

    private static let spdy = ["Upgrade: SPDY/3.1"]
    private static func webSocket(_ subprotocol: String?) -> [String] {
        ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
            + (subprotocol.map { ["Sec-WebSocket-Protocol: \($0)"] } ?? [])
    }

    // MARK: - Processes

    func testProcessOverSPDY() throws {
        let client = try server.connect()
        defer { client.close() }
        let head = try upgrade(
            client, "/exec?command=x&stdin=true&stdout=true&stderr=true",
            Self.spdy + ["X-Stream-Protocol-Version: v4.channel.k8s.io", "X-Stream-Protocol-Version: channel.k8s.io"])
        XCTAssertEqual(head.status, 101)
        XCTAssertEqual(head.headers["upgrade"], "SPDY/3.1")
        XCTAssertEqual(head.headers["x-stream-protocol-version"], "v4.channel.k8s.io")
        let peer = try SPDYPeer()
        for (stream, type) in [(1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")] {
            client.send(peer.open(UInt32(stream), ["streamType": type]))
            XCTAssertEqual(try peer.next(client.take).kind, .reply)
        }
        XCTAssertEqual(fake.lastSubprotocol, "v5.channel.k8s.io")
        // More than a packet holds comes back whole.
        let text = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        client.send(peer.data(3, text))
        var back: [UInt8] = []
        while back.count < text.count {
            let frame = try peer.next(client.take)
            XCTAssertEqual(frame.stream, 5)
            back += frame.payload
        }
        XCTAssertEqual(back, text)
        client.send(peer.ping(1))
        XCTAssertEqual(try peer.next(client.take).kind, .ping)
        // The end of input ends the process: its status, the ends of all streams, and of the connection.
        client.send(peer.data(3, [], ends: true))
        let status = try peer.next(client.take)
        XCTAssertEqual(status.stream, 1)
        XCTAssertEqual(try JSON(parsing: status.payload)["status"], "Success")
        var ended: Set<UInt32> = []
        for _ in 0..<4 {
            let frame = try peer.next(client.take)
            XCTAssertTrue(frame.ends)
            ended.insert(frame.stream)
        }
        XCTAssertEqual(ended, [1, 3, 5, 7])
        XCTAssertEqual(try peer.next(client.take).kind, .goAway)
        XCTAssertTrue(client.isAtEnd())
    }

    /// What the process says before the client has opened its streams is not lost.
    func testOutputWaitsForItsStreams() throws {
        let client = try server.connect()
        defer { client.close() }
        _ = try upgrade(
            client, "/exec?command=early&stdout=true", Self.spdy + ["X-Stream-Protocol-Version: v4.channel.k8s.io"])
        fake.waitUntilSent()
        let peer = try SPDYPeer()
        client.send(peer.open(1, ["streamType": "error"]))
        XCTAssertEqual(try peer.next(client.take).kind, .reply)
        client.send(peer.open(3, ["streamType": "stdout"]))
        XCTAssertEqual(try peer.next(client.take).kind, .reply)
        let frame = try peer.next(client.take)
        XCTAssertEqual(frame.stream, 3)
        XCTAssertEqual(String(decoding: frame.payload, as: UTF8.self), "early")
    }

    func testSizesOfATerminalAreCutApart() throws {
        let client = try server.connect()
        defer { client.close() }
        _ = try upgrade(
            client, "/exec?command=x&stdout=true&tty=true",
            Self.spdy + ["X-Stream-Protocol-Version: v4.channel.k8s.io"])
        let peer = try SPDYPeer()
        for (stream, type) in [(1, "error"), (3, "stdout"), (5, "resize")] {
            client.send(peer.open(UInt32(stream), ["streamType": type]))
            _ = try peer.next(client.take)
        }
        client.send(peer.data(5, Array("{\"Width\":1,\"Height\":2}\n{\"Width\":3,".utf8)))
        client.send(peer.data(5, Array("\"Height\":4}\n".utf8)))
        XCTAssertEqual(fake.sizes(2), [#"{"Width":1,"Height":2}"#, #"{"Width":3,"Height":4}"#])
        // A stream of a kind that nobody knows is refused, and the others go on.
        client.send(peer.open(7, ["streamType": "other"]))
        XCTAssertEqual(try peer.next(client.take).kind, .reset)
    }

    func testRefusedUpgrades() throws {
        let v4 = "X-Stream-Protocol-Version: v4.channel.k8s.io"
        for (path, headers, status, words) in [
            ("/exec?command=x&stdout=true", Self.spdy, 403, "unable to negotiate protocol"),
            (
                "/exec?command=x", Self.spdy + ["X-Stream-Protocol-Version: v1"], 403,
                "server accepts [v4.channel.k8s.io]"
            ),
            ("/exec?command=x", ["Upgrade: h2c", v4], 400, "h2c"),
            ("/portforward", Self.spdy + [v4], 403, "server accepts [portforward.k8s.io]"),
            ("/portforward", ["Upgrade: h2c"], 400, "SPDY/3.1"),
            (
                "/portforward?missing=1", Self.spdy + ["X-Stream-Protocol-Version: portforward.k8s.io"], 404,
                "no such pod"
            ),
        ] {
            let client = try server.connect()
            defer { client.close() }
            let answer = try upgrade(client, path, headers)
            XCTAssertEqual(answer.status, status, path)
            XCTAssertTrue(answer.text.contains(words), answer.text)
        }
        for (query, status, words) in [
            ("", 400, #"\"ports\" is required"#), ("?ports=x", 400, "invalid port"), ("?ports=0", 400, "invalid port"),
            ("?" + Array(repeating: "ports=1", count: 128).joined(separator: "&"), 400, "at most 127"),
        ] {
            let client = try server.connect()
            defer { client.close() }
            let answer = try upgrade(
                client, "/portforward" + query, method: "GET", Self.webSocket("v4.channel.k8s.io"))
            XCTAssertEqual(answer.status, status, query)
            XCTAssertTrue(answer.text.contains(words), answer.text)
        }
    }

    // MARK: - Ports

    private func openPorts() throws -> (TLSClient, SPDYPeer) {
        let client = try server.connect()
        let head = try upgrade(client, "/portforward", Self.spdy + ["X-Stream-Protocol-Version: portforward.k8s.io"])
        XCTAssertEqual(head.status, 101)
        XCTAssertEqual(head.headers["x-stream-protocol-version"], "portforward.k8s.io")
        return (client, try SPDYPeer())
    }

    private func openPort(_ client: TLSClient, _ peer: SPDYPeer, _ stream: UInt32, port: String, request: String) throws
    {
        client.send(peer.open(stream, ["streamType": "error", "port": port, "requestID": request]))
        XCTAssertEqual(try peer.next(client.take).kind, .reply)
        client.send(peer.open(stream + 2, ["streamType": "data", "port": port, "requestID": request]))
        XCTAssertEqual(try peer.next(client.take).kind, .reply)
    }

    func testPortsOverSPDY() throws {
        let (client, peer) = try openPorts()
        defer { client.close() }
        // Two connections at once, each with its own end.
        try openPort(client, peer, 1, port: "80", request: "0")
        try openPort(client, peer, 5, port: "81", request: "1")
        let text = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        client.send(peer.data(3, text))
        client.send(peer.data(7, Array("other".utf8)))
        var back: [UInt32: [UInt8]] = [:]
        while (back[3]?.count ?? 0) < text.count || (back[7]?.count ?? 0) < 5 {
            let frame = try peer.next(client.take)
            back[frame.stream, default: []] += frame.payload
        }
        XCTAssertEqual(back[3], text)
        XCTAssertEqual(back[7], Array("other".utf8))
        XCTAssertEqual(Set(fake.ports), [80, 81])
        client.send(peer.data(3, [], ends: true))
        var ended: Set<UInt32> = []
        while ended.count < 2 {
            let frame = try peer.next(client.take)
            XCTAssertTrue(frame.ends)
            ended.insert(frame.stream)
        }
        XCTAssertEqual(ended, [1, 3], "the other connection goes on")
        client.send(peer.data(7, Array("still".utf8)))
        XCTAssertEqual(try peer.next(client.take).payload, Array("still".utf8))
    }

    /// What is sent before the pod is connected arrives; a port that nobody listens on is an error of its connection alone.
    func testRefusedPort() throws {
        let (client, peer) = try openPorts()
        defer { client.close() }
        try openPort(client, peer, 1, port: "9", request: "a")
        let error = try peer.next(client.take)
        XCTAssertEqual(error.stream, 1)
        XCTAssertEqual(
            String(decoding: error.payload, as: UTF8.self),
            "error forwarding port 9 to pod default/p: connection refused")
        XCTAssertTrue(try peer.next(client.take).ends)
        XCTAssertTrue(try peer.next(client.take).ends)
        try openPort(client, peer, 5, port: "80", request: "b")
        client.send(peer.data(7, Array("x".utf8)))
        XCTAssertEqual(try peer.next(client.take).payload, Array("x".utf8))
        for headers in [["streamType": "data"], ["streamType": "data", "port": "0"], ["port": "80"]] {
            let stream: UInt32 = [1: 9, 2: 11, 3: 13][headers.count] ?? 15
            client.send(peer.open(stream + (headers["streamType"] == nil ? 6 : 0), headers))
            XCTAssertEqual(try peer.next(client.take).kind, .reset)
        }
    }

    private func frame(_ payload: [UInt8]) -> [UInt8] {
        let size: [UInt8] =
            payload.count < 126
            ? [0x80 | UInt8(payload.count)] : [0xFE, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        return [0x82] + size + [0, 0, 0, 0] + payload
    }

    private func message(_ client: TLSClient) throws -> (opcode: UInt8, payload: [UInt8]) {
        let head = try client.take(2)
        var count = Int(head[1])
        if count >= 126 { count = try client.take(count == 126 ? 2 : 8).reduce(0) { $0 << 8 | Int($1) } }
        return (head[0] & 15, try client.take(count))
    }

    func testPortsOverATunnel() throws {
        let client = try server.connect()
        defer { client.close() }
        let head = try upgrade(client, "/portforward", method: "GET", Self.webSocket("SPDY/3.1+portforward.k8s.io"))
        XCTAssertEqual(head.status, 101)
        XCTAssertEqual(head.headers["sec-websocket-protocol"], "SPDY/3.1+portforward.k8s.io")
        let peer = try SPDYPeer()
        var plain: [UInt8] = []
        func take(_ count: Int) throws -> [UInt8] {
            while plain.count < count { plain += try message(client).payload }
            defer { plain.removeFirst(count) }
            return Array(plain[..<count])
        }
        let opening =
            peer.open(1, ["streamType": "error", "port": "80", "requestID": "0"])
            + peer.open(3, ["streamType": "data", "port": "80", "requestID": "0"]) + peer.data(3, Array("hello".utf8))
        // Messages cut the frames anywhere.
        for start in stride(from: 0, to: opening.count, by: 11) {
            client.send(frame(Array(opening[start..<min(start + 11, opening.count)])))
        }
        XCTAssertEqual(try peer.next(take).kind, .reply)
        XCTAssertEqual(try peer.next(take).kind, .reply)
        XCTAssertEqual(try peer.next(take).payload, Array("hello".utf8))
        client.send(frame([0x80, 2, 0, 1, 0, 0, 0, 0]))
        XCTAssertEqual(try message(client).opcode, 8, "what is no SPDY/3.1 ends the tunnel")
    }

    func testPortsOverChannels() throws {
        let client = try server.connect()
        defer { client.close() }
        let head = try upgrade(
            client, "/portforward?ports=80&ports=9", method: "GET", Self.webSocket("v4.channel.k8s.io"))
        XCTAssertEqual(head.status, 101)
        var messages: [[UInt8]] = []
        for _ in 0..<5 { messages.append(try message(client).payload) }
        XCTAssertEqual(Array(messages[..<4]), [[0, 80, 0], [1, 80, 0], [2, 9, 0], [3, 9, 0]])
        XCTAssertEqual(messages[4].first, 3)
        XCTAssertTrue(String(decoding: messages[4].dropFirst(), as: UTF8.self).contains("connection refused"))
        client.send(frame([0] + Array("hello".utf8)))
        XCTAssertEqual(try message(client).payload, [0] + Array("hello".utf8))
        client.send(frame([0] + Array("end!".utf8)))
        XCTAssertEqual(try message(client).opcode, 8, "when all ports have ended, so does the connection")
    }

    func testPortsOverChannelsInBase64() throws {
        let client = try server.connect()
        defer { client.close() }
        let head = try upgrade(
            client, "/portforward?ports=80", method: "GET", Self.webSocket("v4.base64.channel.k8s.io"))
        XCTAssertEqual(head.headers["sec-websocket-protocol"], "v4.base64.channel.k8s.io")
        XCTAssertEqual(try message(client).payload, Array("0UAA=".utf8))
        XCTAssertEqual(try message(client).payload, Array("1UAA=".utf8))
        client.send(frame(Array("0aGVsbG8=".utf8)))
        XCTAssertEqual(try message(client).payload, Array("0aGVsbG8=".utf8))
    }
}

/// Processes that give their input back, and ports that do; nobody listens on port 9.
private final class EchoExtension: APIExtensionProvider {
    private struct State {
        var threads: [LoopThread] = []
        var ports: [Int64] = []
        var subprotocol: String?
        var sizes: [String] = []
    }
    private let state = Mutex(State())
    private let sizeSignal = BoundedSemaphore()
    private let sent = BoundedSemaphore()

    var ports: [Int64] { state.withLock { $0.ports } }
    var lastSubprotocol: String? { state.withLock { $0.subprotocol } }

    func waitUntilSent() { sent.wait() }

    func sizes(_ count: Int) -> [String] {
        for _ in 0..<count { sizeSignal.wait() }
        return state.withLock { $0.sizes }
    }

    func routes() throws -> JSON {
        let pod = "/api/v1/namespaces/{namespace}/pods/{name}"
        return [
            "routes": [
                [
                    "methods": ["GET", "POST"], "path": .string(pod + "/exec"), "upgrade": "websocket",
                    "subprotocols": ["v5.channel.k8s.io", "v4.channel.k8s.io"],
                ], ["methods": ["GET", "POST"], "path": .string(pod + "/portforward"), "upgrade": "ports"],
            ]
        ]
    }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        state.withLock { $0.subprotocol = request["subprotocol"].stringValue }
        if request["query"]["missing"].exists {
            close(stream)
            throw PluginError.notFound("no such pod")
        }
        if request["path"].stringValue?.contains("/portforward") == true {
            guard let port = request["connection"]["port"].integerValue else {
                close(stream)
                return ["status": 200, "stream": false]
            }
            state.withLock { $0.ports.append(port) }
            guard port != 9 else {
                close(stream)
                return ["status": 502, "body": #"{"message":"connection refused"}"#]
            }
            run { Self.echo(stream) }
            return ["status": 200, "stream": true]
        }
        let isEarly = request["query"]["command"][0].stringValue == "early"
        run { [self] in process(stream, isEarly: isEarly) }
        return ["status": 101, "stream": true]
    }

    private func run(_ body: @escaping @Sendable () -> Void) {
        do {
            let thread = try LoopThread(name: "extension", body)
            state.withLock { $0.threads.append(thread) }
        } catch {
            XCTFail("\(error)")
        }
    }

    func join() { for thread in state.withLock({ $0.threads }) { thread.join() } }

    /// Gives back what comes, until the end of input or a packet "end!".
    private static func echo(_ stream: Int32) {
        defer { close(stream) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(stream, &buffer, buffer.count, 0)
            guard count > 0, !buffer[..<count].elementsEqual("end!".utf8) else { return }
            Glibc.send(stream, buffer, count, Int32(MSG_NOSIGNAL))
        }
    }

    private func process(_ stream: Int32, isEarly: Bool) {
        defer { close(stream) }
        func send(_ bytes: [UInt8]) { Glibc.send(stream, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
        if isEarly {
            send([1] + Array("early".utf8))
            sent.signal()
        }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(stream, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            switch buffer[0] {
            case 0: send([1] + buffer[1..<count])
            case 4:
                let text = String(decoding: buffer[1..<count], as: UTF8.self)
                state.withLock { $0.sizes.append(text) }
                sizeSignal.signal()
            case 255:
                send([3] + Array(#"{"metadata":{},"status":"Success"}"#.utf8))
                return
            default: XCTFail("channel \(buffer[0])")
            }
        }
    }
}
