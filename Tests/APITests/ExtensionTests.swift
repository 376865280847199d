import CEpoll
import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// Streams of other plugins behind the front: logs as chunks, exec as a WebSocket.
final class ExtensionTests: XCTestCase {
    private var server: TestServer!
    private let fake = FakeExtension()

    override func setUpWithError() throws {
        server = try TestServer()
        let routes = try XCTUnwrap(server.plugin.provider.pipeline).extensions
        routes.add(plugin: "fake", try fake.routes(), provider: fake)
    }

    override func tearDownWithError() throws {
        fake.join()
        try server.stop()
    }

    private let pod = "/api/v1/namespaces/default/pods/p"

    func testPlainAnswers() throws {
        let answer = try server.request("GET", pod + "/log?container=c&container=d")
        XCTAssertEqual(answer.status, 200)
        XCTAssertEqual(answer.headers["content-type"], "text/plain")
        XCTAssertEqual(answer.text, "log of p in default, c d, kubernetes-admin")
        XCTAssertEqual(try server.request("GET", pod + "/log?missing=1").status, 404)
        XCTAssertEqual(try server.request("GET", "/dashboards/a/b/c").text, "a/b/c")
        XCTAssertEqual(try server.request("GET", pod + "/attach").status, 404, "nobody serves it")
        XCTAssertEqual(try server.request("PUT", pod + "/log").status, 405)
        XCTAssertEqual(try server.request("GET", pod + "/log", token: nil).status, 401)
    }

    /// The server holds no more than its bound of what a slow client does not read, and loses nothing of it.
    func testStreamedAnswerIsWholeAndHeldBack() throws {
        let client = try server.connect()
        defer { client.close() }
        client.send("GET \(pod)/log?follow=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).headers["transfer-encoding"], "chunked")
        var count = 0
        var next: UInt8 = 0
        while let chunk = try client.chunk() {
            XCTAssertEqual(chunk.first, next)
            next &+= 1
            count += chunk.count
        }
        XCTAssertEqual(count, FakeExtension.packets * FakeExtension.packetSize)
        XCTAssertEqual(try client.request("GET", "/livez").text, "ok", "the connection goes on")
    }

    /// The same over HTTP/2, where other requests go on beside it; what needs an upgrade is refused with a reason.
    func testStreamedAnswerOverHTTP2() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let stream = try client.open("GET", "\(pod)/log?follow=1")
        client.slow = [stream]
        try client.read(until: "the window is full") { client.answers[stream]?.body.count == 65_535 }
        XCTAssertEqual(try client.request("GET", "/livez").body, Array("ok".utf8))
        client.takeOn(stream)
        XCTAssertEqual(try client.answer(stream).body.count, FakeExtension.packets * FakeExtension.packetSize)
        let refused = try client.request("GET", "\(pod)/exec?command=x")
        XCTAssertEqual(refused.status, 400)
        XCTAssertEqual(try refused.json["message"], "Upgrade request required")
    }

    private func upgrade(
        _ client: TLSClient, _ path: String = "exec?command=x", subprotocols: String? = "v5.channel.k8s.io",
        method: String = "GET"
    ) throws -> TLSClient.Response {
        client.send(
            "\(method) \(pod)/\(path) HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                + (subprotocols.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? "") + "\r\n")
        return try client.response(headOnly: true)
    }

    private func frame(_ opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let size: [UInt8] =
            payload.count < 126
            ? [0x80 | UInt8(payload.count)] : [0xFE, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        return [0x80 | opcode] + size + [0, 0, 0, 0] + payload
    }

    private func message(_ client: TLSClient) throws -> (opcode: UInt8, payload: [UInt8]) {
        let head = try client.take(2)
        var count = Int(head[1])
        if count >= 126 { count = try client.take(count == 126 ? 2 : 8).reduce(0) { $0 << 8 | Int($1) } }
        return (head[0] & 15, try client.take(count))
    }

    func testWebSocket() throws {
        let client = try server.connect()
        defer { client.close() }
        let head = try upgrade(client, subprotocols: "other, v5.channel.k8s.io")
        XCTAssertEqual(head.status, 101)
        XCTAssertEqual(head.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        XCTAssertEqual(head.headers["sec-websocket-protocol"], "v5.channel.k8s.io")
        for size in [1, 125, 126, 30_000] {
            let payload = [UInt8](repeating: 7, count: size)
            client.send(frame(2, payload))
            let answer = try message(client)
            XCTAssertEqual(answer.opcode, 2)
            XCTAssertEqual(answer.payload, payload)
        }
        client.send(frame(9, [1, 2]))
        let pong = try message(client)
        XCTAssertEqual(pong.opcode, 10)
        XCTAssertEqual(pong.payload, [1, 2])
        client.send(frame(2, [255]))
        let end = try message(client)
        XCTAssertEqual(end.opcode, 8, "the extension has closed its side")
        XCTAssertEqual(end.payload, [0x03, 0xE8])
        XCTAssertTrue(client.isAtEnd())
    }

    /// A client that names no subprotocol speaks the first one that there was.
    func testWebSocketWithoutASubprotocol() throws {
        let client = try server.connect()
        defer { client.close() }
        let head = try upgrade(client, subprotocols: nil)
        XCTAssertEqual(head.status, 101)
        XCTAssertNil(head.headers["sec-websocket-protocol"])
        client.send(frame(2, [255]))
        XCTAssertEqual(try message(client).opcode, 8)
    }

    /// A body that is a stream comes in messages to whoever asks for a WebSocket, and as a body to all others.
    func testBodyOverAWebSocket() throws {
        for subprotocol in ["binary.k8s.io", nil] {
            let client = try server.connect()
            defer { client.close() }
            let head = try upgrade(client, "log?follow=1", subprotocols: subprotocol)
            XCTAssertEqual(head.status, 101)
            XCTAssertEqual(head.headers["sec-websocket-protocol"], subprotocol)
            for number in 0..<FakeExtension.packets {
                let (opcode, payload) = try message(client)
                XCTAssertEqual(opcode, 2)
                XCTAssertEqual(payload.count, FakeExtension.packetSize)
                XCTAssertEqual(payload.first, UInt8(truncatingIfNeeded: number))
            }
            XCTAssertEqual(try message(client).opcode, 8)
            XCTAssertTrue(client.isAtEnd())
        }
        let client = try server.connect()
        defer { client.close() }
        XCTAssertEqual(try upgrade(client, "log?missing=1", subprotocols: "binary.k8s.io").status, 404)
        let other = try server.connect()
        defer { other.close() }
        XCTAssertEqual(try upgrade(other, "log?follow=1", subprotocols: "text.k8s.io").status, 400)
    }

    /// What is in base 64 is text, and the same to the extension as what is not.
    func testBase64() throws {
        let client = try server.connect()
        defer { client.close() }
        let body = try upgrade(client, "log?follow=1", subprotocols: "base64.binary.k8s.io")
        XCTAssertEqual(body.headers["sec-websocket-protocol"], "base64.binary.k8s.io")
        for number in 0..<FakeExtension.packets {
            let (opcode, payload) = try message(client)
            XCTAssertEqual(opcode, 1)
            let packet = try XCTUnwrap(Base64.decode(String(decoding: payload, as: UTF8.self)))
            XCTAssertEqual(packet.count, FakeExtension.packetSize)
            XCTAssertEqual(packet.first, UInt8(truncatingIfNeeded: number))
        }
        XCTAssertEqual(try message(client).opcode, 8)
        for subprotocol in ["base64.channel.k8s.io", "v4.base64.channel.k8s.io"] {
            let client = try server.connect()
            defer { client.close() }
            let head = try upgrade(client, subprotocols: subprotocol)
            XCTAssertEqual(head.status, 101)
            XCTAssertEqual(head.headers["sec-websocket-protocol"], subprotocol)
            client.send(frame(1, Array("0?".utf8)))
            client.send(frame(1, Array("0aGVsbG8=".utf8)))
            let answer = try message(client)
            XCTAssertEqual(answer.opcode, 1)
            XCTAssertEqual(answer.payload, Array("0aGVsbG8=".utf8), "what is no base 64 is passed over")
        }
    }

    func testClientClosesTheWebSocket() throws {
        let client = try server.connect()
        defer { client.close() }
        _ = try upgrade(client)
        client.send(frame(8, [0x03, 0xE8]))
        XCTAssertEqual(try message(client).opcode, 8)
        XCTAssertTrue(client.isAtEnd())
    }

    func testBrokenFramesEndTheWebSocket() throws {
        let client = try server.connect()
        defer { client.close() }
        _ = try upgrade(client)
        client.send([0x82, 0x01, 0x00])
        let end = try message(client)
        XCTAssertEqual(end.opcode, 8)
        XCTAssertEqual(Array(end.payload.prefix(2)), [0x03, 0xEA])
    }

    func testRefusedUpgrades() throws {
        let plain = try server.request("GET", pod + "/exec")
        XCTAssertEqual(plain.status, 400)
        let spdy = try server.request("POST", pod + "/exec", headers: ["Upgrade": "SPDY/3.1", "Connection": "Upgrade"])
        XCTAssertEqual(spdy.status, 403, "the client names no version of the protocol")
        let client = try server.connect()
        defer { client.close() }
        XCTAssertEqual(try upgrade(client, subprotocols: "v9.channel.k8s.io").status, 400)
    }
}

private final class FakeExtension: APIExtensionProvider {
    static let packets = 200
    static let packetSize = 60_000
    private let threads = Mutex<[LoopThread]>([])

    func routes() throws -> JSON {
        let pod = "/api/v1/namespaces/{namespace}/pods/{name}"
        return [
            "routes": [
                ["methods": ["GET"], "path": .string(pod + "/log"), "upgrade": "none"],
                [
                    "methods": ["GET", "POST"], "path": .string(pod + "/exec"), "upgrade": "websocket",
                    "subprotocols": ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"],
                ], ["methods": ["GET"], "path": "/dashboards/{rest...}"],
            ]
        ]
    }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        let parameters = request["parameters"]
        if request["path"].stringValue?.hasSuffix("/exec") == true {
            run { Self.echo(stream) }
            return ["status": 200, "stream": true]
        }
        if request["query"]["follow"].exists {
            run { Self.pour(into: stream) }
            return ["status": 200, "headers": ["Content-Type": "text/plain"], "stream": true]
        }
        close(stream)
        if request["query"]["missing"].exists { throw PluginError.notFound("no such container") }
        if let rest = parameters["rest"].stringValue { return ["status": 200, "body": .string(rest)] }
        let containers = request["query"]["container"].arrayValue.compactMap(\.stringValue).joined(separator: " ")
        return [
            "status": 200, "headers": ["Content-Type": "text/plain"],
            "body": .string(
                "log of \(parameters["name"].stringValue ?? "") in \(parameters["namespace"].stringValue ?? ""), \(containers), "
                    + (request["user"]["name"].stringValue ?? "")),
        ]
    }

    private func run(_ body: @escaping @Sendable () -> Void) {
        do {
            let thread = try LoopThread(name: "extension", body)
            threads.withLock { $0.append(thread) }
        } catch {
            XCTFail("\(error)")
        }
    }

    func join() {
        for thread in threads.withLock({ $0 }) { thread.join() }
    }

    /// Sends each packet back; closes when one begins with 255.
    private static func echo(_ stream: Int32) {
        defer { close(stream) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(stream, &buffer, buffer.count, 0)
            guard count > 0, buffer[0] != 255 else { return }
            send(stream, buffer, count, Int32(MSG_NOSIGNAL))
        }
    }

    private static func pour(into stream: Int32) {
        defer { close(stream) }
        for number in 0..<packets {
            let packet = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: packetSize)
            guard send(stream, packet, packet.count, Int32(MSG_NOSIGNAL)) == packet.count else { return }
        }
    }
}
