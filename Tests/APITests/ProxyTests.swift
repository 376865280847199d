import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// Requests that go on to pods, services and nodes.
final class ProxyTests: XCTestCase {
    private var server: TestServer!
    private let pods = TestPods()
    private let pod = "/api/v1/namespaces/default/pods/p"

    override func setUpWithError() throws {
        server = try TestServer()
        let routes = try XCTUnwrap(server.plugin.provider.pipeline).extensions
        routes.add(plugin: "pods", try pods.routes(), provider: pods)
        try put(
            "pods/default/p",
            [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "namespace": "default"],
                "spec": ["containers": [["name": "a"], ["name": "b", "ports": [["containerPort": 8080]]]]],
                "status": ["podIP": "10.244.0.5"],
            ])
    }

    override func tearDownWithError() throws {
        try server.stop()
        pods.join()
    }

    private func put(_ key: String, _ object: JSON, index: [UInt8] = []) throws {
        _ = try server.store.create(key, value: object.serialized(), index: index)
    }

    /// Answers each connection with the head of its request, in the body, and what the test adds.
    private func echoHeads(_ headers: String = "") -> TestPods.Port {
        .served { connection in
            let head = connection.head()
            // Who closes a connection of which something is unread resets it, and the answer may be lost.
            connection.takeBody(of: head)
            let body = head.joined(separator: "\n")
            connection.send("HTTP/1.1 200 Fine\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
        }
    }

    // MARK: - Connections that serve several requests

    /// Answers requests on one connection with their number on it, until the client ends it or `last` is answered.
    private func counting(last: Int = .max, headers: String = "") -> TestPods.Port {
        .served { connection in
            for number in 1...last {
                let head = connection.head()
                guard !head.isEmpty, connection.takeBody(of: head) else { return }
                let text = "\(number)"
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\(headers)\r\n\(text)")
            }
        }
    }

    func testRequestsShareConnectionsToAPod() throws {
        pods.serve(80, counting())
        let target = "\(pod):80/proxy/"
        for number in 1...4 { XCTAssertEqual(try server.request("GET", target).text, "\(number)") }
        XCTAssertEqual(pods.connections.count, 1)
        // What cannot be repeated does not meet a connection that may be ending.
        XCTAssertEqual(try server.request("POST", target, ["a": 1]).text, "1")
        XCTAssertEqual(pods.connections.count, 2)
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        XCTAssertEqual(try client.request("GET", target).body, Array("2".utf8), "of the connection that waited last")
        XCTAssertEqual(pods.connections.count, 2)
        let asAnn = ["Impersonate-User": "ann", "Impersonate-Group": "system:masters"]
        XCTAssertEqual(try server.request("GET", target, headers: asAnn).text, "1", "another's is not used")
        XCTAssertEqual(pods.connections.count, 3)
    }

    func testConnectionsThatServeOneRequest() throws {
        pods.serve(81, counting(headers: "Connection: close\r\n"))
        pods.serve(
            82,
            .served { connection in
                _ = connection.head()
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1and more")
                _ = connection.receive()
            })
        pods.serve(
            83,
            .served { connection in
                _ = connection.head()
                connection.send("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1")
            })
        for (index, port) in [81, 82, 83].enumerated() {
            for _ in 0..<2 { XCTAssertEqual(try server.request("GET", "\(pod):\(port)/proxy/").text, "1", "\(port)") }
            XCTAssertEqual(pods.connections.count, 2 * (index + 1), "\(port)")
        }
    }

    /// A pod that ends a connection while it waits, or at the very moment of a request, is asked on another one.
    func testConnectionsThatEndMeanwhile() throws {
        let hasEnded = BoundedSemaphore()
        let first = Counter()
        pods.serve(
            80,
            .served { connection in
                let isFirst = first.value.add(1, ordering: .relaxed).newValue == 1
                _ = connection.head()
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(isFirst ? "a" : "b")")
                // The second request is read, and not answered.
                if !isFirst { _ = connection.head() } else { hasEnded.signal() }
            })
        let target = "\(pod):80/proxy/"
        XCTAssertEqual(try server.request("GET", target).text, "a")
        hasEnded.wait()
        XCTAssertEqual(try server.request("GET", target).text, "b")
        XCTAssertEqual(try server.request("GET", target).text, "b", "asked again")
        XCTAssertEqual(pods.connections.count, 3)
    }

    // MARK: - Requests and answers

    func testARequestAsThePodSeesIt() throws {
        pods.serve(
            8080,
            echoHeads(
                "Content-Type: text/plain\r\nX-Own: 1\r\nX-Own: 2\r\nKeep-Alive: 5\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
                    + "Access-Control-Allow-Origin: *\r\n"))
        let client = try server.connect()
        defer { client.close() }
        let headers = [
            "X-Forwarded-For": "192.0.2.1", "Connection": "keep-alive, x-mine", "X-Mine": "1", "X-Remote-User": "root",
            "Accept": "text/*",
        ]
        let target = pod + "/proxy/a%20b//c/?x=1&y=%2F"
        let answer = try client.request("GET", target, headers: headers)
        XCTAssertEqual(answer.status, 200)
        let lines = answer.text.split(separator: "\n").map(String.init)
        XCTAssertEqual(lines.first, "GET /a%20b//c/?x=1&y=%2F HTTP/1.1")
        XCTAssertEqual(
            Set(lines.dropFirst()),
            [
                "Host: localhost", "Accept: text/*", "X-Forwarded-For: 192.0.2.1, 127.0.0.1",
                "X-Forwarded-Uri: \(pod)/proxy/a%20b//c/",
            ])
        XCTAssertEqual(answer.headers["content-type"], "text/plain")
        XCTAssertEqual(answer.headers["x-own"], "2")
        for name in ["keep-alive", "connection", "x-hop", "access-control-allow-origin", "transfer-encoding"] {
            XCTAssertNil(answer.headers[name], name)
        }
        XCTAssertEqual(pods.connections, ["default/p 10.244.0.5:8080"], "the first port of any container")
        XCTAssertEqual(try client.request("GET", "/livez").text, "ok", "the connection goes on")
        XCTAssertEqual(
            ProxyRequest.forwarded(
                [("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.abc, chat")], peer: "", path: "/"
            ).first?.value, "chat", "the token is the front's")
    }

    /// Over HTTP/2 the same requests go on, each on its stream, and answers come as they come.
    func testOverHTTP2() throws {
        pods.serve(8080, echoHeads("Content-Type: text/plain\r\nX-Own: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\n"))
        pods.serve(
            101,
            .served { connection in
                _ = connection.head()
                connection.send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
                for _ in 0..<40 { connection.send("1000\r\n" + String(repeating: "x", count: 4096) + "\r\n") }
                connection.send("0\r\n\r\n")
            })
        pods.serve(
            102,
            .served { connection in
                _ = connection.head()
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            })
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let plain = try client.request("GET", pod + "/proxy/a?x=1", headers: ["x-mine": "1"])
        XCTAssertEqual(plain.status, 200)
        let lines = String(decoding: plain.body, as: UTF8.self).split(separator: "\n")
        XCTAssertEqual(lines.first, "GET /a?x=1 HTTP/1.1")
        XCTAssertTrue(lines.contains("X-Mine: 1") && lines.contains("Host: localhost"), "\(lines)")
        XCTAssertEqual(plain.headers["x-own"], "1")
        for name in ["connection", "x-hop", "transfer-encoding"] { XCTAssertNil(plain.headers[name], name) }
        let posted = try client.request("POST", pod + "/proxy/b", body: Array("hello".utf8))
        XCTAssertTrue(String(decoding: posted.body, as: UTF8.self).contains("Content-Length: 5"))
        let streams = try (0..<5).map { _ in try client.open("GET", "\(pod):101/proxy/") }
        for stream in streams {
            let answer = try client.answer(stream)
            XCTAssertEqual(answer.status, 201)
            XCTAssertEqual(answer.body.count, 2 + 40 * 4096)
        }
        XCTAssertEqual(try client.request("GET", "\(pod):102/proxy/").code, 2, "cut short: INTERNAL_ERROR")
        XCTAssertEqual(try client.request("HEAD", pod + "/proxy/").body, [])
        XCTAssertEqual(try client.request("GET", "\(pod):99999/proxy/").status, 400)
        XCTAssertEqual(try client.request("GET", "/livez").body, Array("ok".utf8))
    }

    func testAnswersOfEveryShape() throws {
        let rows: [(answer: String, status: Int, body: String, reason: String)] = [
            ("HTTP/1.0 200 OK\r\n\r\nto the end", 200, "to the end", "without a length"),
            ("HTTP/1.1 200 OK\nContent-Length: 2\n\nabcd", 200, "ab", "lines that end with LF, and too much behind it"),
            ("HTTP/1.1 204\r\n\r\n", 204, "", "no body and no words"),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\nT: 1\r\n\r\n",
                201, "ab", "a word before, chunks with an extension and a trailer"
            ), ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 500, "", "a failure of the pod's own"),
        ]
        for (index, row) in rows.enumerated() {
            let port = Int64(100 + index)
            pods.serve(
                port,
                .served { connection in
                    _ = connection.head()
                    for byte in row.answer.utf8 { connection.send([byte]) }
                })
            let client = try server.connect()
            defer { client.close() }
            let answer = try client.request("GET", "\(pod):\(port)/proxy/")
            XCTAssertEqual(answer.status, row.status, row.reason)
            XCTAssertEqual(answer.text, row.body, row.reason)
            XCTAssertEqual(try client.request("GET", "/livez").text, "ok", row.reason)
        }
    }

    func testHeadHasALengthAndNoBody() throws {
        pods.serve(
            80,
            .served {
                _ = $0.head()
                $0.send("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
            })
        let client = try server.connect()
        defer { client.close() }
        client.send("HEAD \(pod):80/proxy/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).headers["content-length"], "77")
        XCTAssertEqual(try client.request("GET", "/livez").text, "ok")
    }

    func testPodsThatDoNotAnswer() throws {
        pods.serve(81, .served { _ = $0.head() })
        pods.serve(
            82,
            .served {
                _ = $0.head()
                $0.send("SSH-2.0-x\r\n")
            })
        pods.serve(
            83,
            .served {
                _ = $0.head()
                $0.send("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n")
            })
        try put("pods/default/new", ["apiVersion": "v1", "kind": "Pod", "metadata": ["name": "new"]])
        let rows: [(name: String, status: Int, message: String)] = [
            ("p:80", 503, "error trying to reach service: dial tcp 10.244.0.5:80: connection refused"),
            ("p:81", 503, "error trying to reach service: EOF"),
            ("p:82", 503, "error trying to reach service: malformed HTTP response \"SSH-2.0-x\""),
            ("p:83", 503, "error trying to reach service: bad Content-Length \"5, 6\""),
            ("p:http", 400, "invalid pod request \"p:http\": the port must be a number"),
            ("a:b:c:d", 400, "invalid pod request \"a:b:c:d\""), ("ftp:p:80", 400, "invalid pod request \"ftp:p:80\""),
            ("missing:80", 404, "pods \"missing\" not found"),
            ("new:80", 400, "address not allowed: pod \"new\" has no address yet"),
        ]
        for row in rows {
            let answer = try server.request("GET", "/api/v1/namespaces/default/pods/\(row.name)/proxy/")
            XCTAssertEqual(answer.status, row.status, row.name)
            XCTAssertEqual(try answer.json["message"].stringValue, row.message)
            XCTAssertEqual(try answer.json["kind"], "Status")
        }
        XCTAssertEqual(
            try server.request("GET", "\(pod):80/proxy/").json["reason"].stringValue, "ServiceUnavailable")
    }

    /// A client cannot take half an answer for a whole one.
    func testAnAnswerThatIsCutShort() throws {
        let begun = ["Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
        for (index, rest) in begun.enumerated() {
            pods.serve(
                Int64(90 + index),
                .served {
                    _ = $0.head()
                    $0.send("HTTP/1.1 200 OK\r\n" + rest)
                })
            let client = try server.connect()
            defer { client.close() }
            XCTAssertThrowsError(try client.request("GET", "\(pod):\(90 + index)/proxy/"), rest)
        }
    }

    func testRedirectsLeadBackThroughTheFront() throws {
        let prefix = "/api/v1/namespaces/n/pods/p/proxy"
        let answer = ProxyResponse(prefix: prefix, authority: "10.0.0.5:80", requestHost: "api:6443")
        let rows: [(location: String, wanted: String, reason: String)] = [
            ("/login?a=/b#c", prefix + "/login?a=/b#c", "a path"), ("/", prefix + "/", "the root"),
            ("next", "next", "relative to the page"), ("?x", "?x", "the same page"),
            ("http://10.0.0.5:80/x/", prefix + "/x/", "the server itself"),
            ("https://api:6443/x", prefix + "/x", "the front, as the client named it"),
            ("http://10.0.0.5:80", prefix + "/", "without a path"),
            ("https://example.com/x", "https://example.com/x", "elsewhere"),
            ("//example.com/x", "//example.com/x", "elsewhere"),
            (prefix + "/x", prefix + "/x", "the server knows of the front"),
            ("mailto:a@example.com", "mailto:a@example.com", "no web address"), ("", "", "nothing"),
        ]
        for row in rows { XCTAssertEqual(answer.rewritten(row.location), row.wanted, row.reason) }

        pods.serve(80, echoHeads("Location: /there\r\n"))
        XCTAssertEqual(
            try server.request("GET", "\(pod):80/proxy/here").headers["location"], "\(pod):80/proxy/there")
        let root = try server.request("GET", "\(pod):80/proxy?a=b")
        XCTAssertEqual(root.status, 301, "so that relative links of the page hold")
        XCTAssertEqual(root.headers["location"], "\(pod):80/proxy/?a=b")
        XCTAssertEqual(try server.request("POST", "\(pod):80/proxy").status, 200)
    }

    /// Pages of a pod lead back to it, however they come; what is no page does not change.
    func testLinksOfPagesLeadBackThroughTheFront() throws {
        let page = #"<html><body><a href="/next?a=b">on</a><img src=/i.png></body></html>"#
        let wanted =
            #"<html><body><a href="PREFIX/next?a=b">on</a><img src=PREFIX/i.png></body></html>"#
        let rows: [(head: String, isChanged: Bool, reason: String)] = [
            ("Content-Type: text/html; charset=utf-8\r\nContent-Length: \(page.utf8.count)\r\n", true, "counted"),
            ("Content-Type: Text/HTML\r\nConnection: close\r\n", true, "to the end of the connection"),
            ("Content-Type: text/plain\r\nContent-Length: \(page.utf8.count)\r\n", false, "no page"),
            ("Content-Length: \(page.utf8.count)\r\n", false, "of no type"),
            (
                "Content-Type: text/html\r\nContent-Encoding: br\r\nContent-Length: \(page.utf8.count)\r\n", false,
                "compressed"
            ),
        ]
        let client = try server.connect()
        defer { client.close() }
        for (index, row) in rows.enumerated() {
            let port = Int64(300 + index)
            pods.serve(
                port,
                .served { connection in
                    let asked = connection.head().filter { $0.hasPrefix("Accept-Encoding") }
                    connection.send("HTTP/1.1 200 OK\r\n\(row.head)X-Asked: \(asked.joined())\r\n\r\n")
                    for byte in page.utf8 { connection.send([byte]) }
                })
            let prefix = "\(pod):\(port)/proxy"
            let answer = try client.request(
                "GET", prefix + "/", headers: ["Accept": "text/html,*/*;q=0.5", "Accept-Encoding": "gzip, br"])
            XCTAssertEqual(answer.status, 200, row.reason)
            XCTAssertEqual(
                answer.text, row.isChanged ? wanted.replacing("PREFIX", with: prefix) : page, row.reason)
            XCTAssertEqual(answer.headers["x-asked"], "", "pages are asked for as they are")
        }
        pods.serve(
            400,
            .served { connection in
                let asked = connection.head().filter { $0.hasPrefix("Accept-Encoding") }
                connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Asked: \(asked.joined())\r\n")
                connection.send("Content-Length: 9\r\n\r\n")
            })
        client.send(
            "HEAD \(pod):400/proxy/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Accept-Encoding: gzip\r\n\r\n")
        let head = try client.response(headOnly: true)
        XCTAssertEqual(head.headers["content-length"], "9")
        XCTAssertEqual(head.headers["x-asked"], "Accept-Encoding: gzip", "what is no page may be compressed")
        XCTAssertEqual(try client.request("GET", "/livez").text, "ok")
    }

    // MARK: - Streams

    /// Reads a body, counted or in chunks, and answers with a sum of it.
    private func summing() -> TestPods.Port {
        .served { connection in
            let head = connection.head()
            var reader: HTTPBodyReader?
            let framing: HTTPBodyReader.Framing =
                head.contains("Transfer-Encoding: chunked")
                ? .chunked
                : .counted(head.compactMap { Int($0.split(separator: " ").last ?? "") }.max() ?? 0)
            var sum: UInt64 = 0
            var count = 0
            do {
                reader = try HTTPBodyReader(framing: framing, limit: .max)
                while reader?.isDone == false {
                    let bytes = connection.receive()
                    guard !bytes.isEmpty else { return }
                    _ = try bytes.withUnsafeBytes { try reader?.consume($0) }
                    for byte in reader?.takeBody() ?? [] { sum = sum &* 31 &+ UInt64(byte) }
                    count += bytes.count
                }
            } catch { return }
            let body = "\(head[0].prefix { $0 != " " }) \(sum)"
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
    }

    private static func sum(_ body: [UInt8]) -> UInt64 { body.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) } }

    /// Bodies larger than the front takes for itself, counted and in chunks, both ways.
    func testBodiesOfAnySize() throws {
        pods.serve(80, summing())
        let body = (0..<(5 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 9) }
        let sum = Self.sum(body)
        let client = try server.connect()
        defer { client.close() }
        XCTAssertEqual(try client.request("PUT", "\(pod):80/proxy/", body: body).text, "PUT \(sum)")
        client.send(
            "POST \(pod):80/proxy/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        XCTAssertEqual(try client.response().status, 100)
        for start in stride(from: 0, to: body.count, by: 100_000) {
            let piece = body[start..<min(start + 100_000, body.count)]
            client.send(Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [0x0D, 0x0A])
        }
        client.send("0\r\n\r\n")
        XCTAssertEqual(try client.response().text, "POST \(sum)")
        XCTAssertEqual(try client.request("PATCH", "\(pod):80/proxy/", body: [1]).text, "PATCH 1")
        XCTAssertEqual(try client.request("DELETE", "\(pod):80/proxy/").text, "DELETE 0")
    }

    /// The same over HTTP/2: bodies with a length and without one, several at once, and none.
    func testBodiesOfAnySizeOverHTTP2() throws {
        pods.serve(80, summing())
        let bodies = [4 << 20, (4 << 20) + 1, 100_000].map { size in
            (0..<size).map { UInt8(truncatingIfNeeded: ($0 + size) &* 7 ^ $0 >> 9) }
        }
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let target = "\(pod):80/proxy/"
        let streams = try bodies.enumerated().map { index, body in
            try client.open("PUT", target, body: body, lengthIsKnown: index != 1)
        }
        for (stream, body) in zip(streams, bodies) {
            let answer = try client.answer(stream)
            XCTAssertEqual(String(decoding: answer.body, as: UTF8.self), "PUT \(Self.sum(body))")
        }
        for isKnown in [true, false] {
            let empty = try client.answer(try client.open("POST", target, body: [], lengthIsKnown: isKnown))
            XCTAssertEqual(String(decoding: empty.body, as: UTF8.self), "POST 0")
        }
        XCTAssertEqual(try client.request("DELETE", target).body, Array("DELETE 0".utf8))
        XCTAssertEqual(
            try client.answer(try client.open("POST", "\(pod):99999/proxy/", body: bodies[0])).status, 400,
            "an answer does not wait for the body")
        XCTAssertEqual(try client.request("GET", "/livez").body, Array("ok".utf8))
    }

    /// A pod that does not read holds the client back, and neither the front nor other streams are filled.
    func testASlowPodHoldsTheClientBackOverHTTP2() throws {
        let mayRead = BoundedSemaphore()
        pods.serve(
            80,
            .served { connection in
                _ = connection.head()
                mayRead.wait()
                var count = 0
                while count < 12 << 20 {
                    let bytes = connection.receive()
                    guard !bytes.isEmpty else { return }
                    count += bytes.count
                }
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            })
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let stream = try client.open("PUT", "\(pod):80/proxy/", body: [UInt8](repeating: 1, count: 12 << 20))
        for _ in 0..<20 { XCTAssertEqual(try client.request("GET", "/livez").body, Array("ok".utf8)) }
        XCTAssertGreaterThan(client.unsent(stream), 8 << 20)
        mayRead.signal()
        XCTAssertEqual(try client.answer(stream).body, Array("ok".utf8))
        XCTAssertEqual(client.unsent(stream), 0)
    }

    /// A pod that sends without end is held back by a client that does not read, and nothing is lost.
    func testASlowClientHoldsThePodBack() throws {
        let total = 48 << 20
        let sent = Counter()
        pods.serve(
            80,
            .served { connection in
                _ = connection.head()
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
                for piece in 0..<(total >> 15) {
                    guard connection.send([UInt8](repeating: UInt8(truncatingIfNeeded: piece), count: 1 << 15)) else {
                        return
                    }
                    sent.value.add(1 << 15, ordering: .relaxed)
                }
            })
        let client = try server.connect()
        defer { client.close() }
        client.send("GET \(pod):80/proxy/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).status, 200)
        var before = -1
        try server.eventually("the pod stands still") {
            let now = sent.value.load(ordering: .relaxed)
            defer { before = now }
            usleep(100_000)  // That nothing more is taken has no event.
            return now == before
        }
        XCTAssertLessThan(sent.value.load(ordering: .relaxed), total / 2)
        for piece in 0..<(total >> 15) {
            let bytes = try client.take(1 << 15)
            guard bytes.first == UInt8(truncatingIfNeeded: piece), bytes.last == bytes.first else {
                return XCTFail("piece \(piece) is another")
            }
        }
        XCTAssertEqual(try client.request("GET", "/livez").text, "ok")
    }

    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    /// The pod hears that the client has gone, and need not go on.
    func testAClientThatGoes() throws {
        let hasEnded = BoundedSemaphore()
        pods.serve(
            80,
            .served { connection in
                _ = connection.head()
                connection.send("HTTP/1.1 200 OK\r\n\r\nhello")
                if connection.receive().isEmpty { hasEnded.signal() }
            })
        let client = try server.connect()
        client.send("GET \(pod):80/proxy/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        _ = try client.response(headOnly: true)
        client.close()
        hasEnded.wait()
    }

    func testUpgradesPassThrough() throws {
        pods.serve(
            80,
            .served { connection in
                let head = connection.head()
                guard head.contains("Upgrade: websocket"), head.contains("Connection: Upgrade") else {
                    connection.send("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
                    return
                }
                connection.send(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        + "Sec-WebSocket-Accept: abc\r\n\r\nfirst")
                while true {
                    let bytes = connection.receive()
                    guard !bytes.isEmpty, bytes != Array("end".utf8) else { return }
                    connection.send(bytes.reversed())
                }
            })
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(pod):80/proxy/ws HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
        let head = try client.response(headOnly: true)
        XCTAssertEqual(head.status, 101)
        XCTAssertEqual(head.headers["upgrade"], "websocket")
        XCTAssertEqual(head.headers["sec-websocket-accept"], "abc")
        XCTAssertEqual(try client.take(5), Array("first".utf8))
        client.send([1, 2, 3])
        XCTAssertEqual(try client.take(3), [3, 2, 1])
        client.send("end")
        XCTAssertTrue(client.isAtEnd())
        XCTAssertEqual(try server.request("GET", "\(pod):80/proxy/ws").status, 400, "without an upgrade")
    }

    func testPodsOverTLS() throws {
        let https = try TestHTTPSServer { $0.respond(.text(200, "over TLS: \($0.head.target)")) }
        defer { XCTAssertNoThrow(try https.stop()) }
        pods.serve(8443, .server(https.port))
        let name = "/api/v1/namespaces/default/pods/https:p:8443/proxy"
        XCTAssertEqual(try server.request("GET", name + "/x").text, "over TLS: /x")
        let plain = try server.request("GET", "/api/v1/namespaces/default/pods/p:8443/proxy/x")
        XCTAssertNotEqual(plain.status, 200)
        pods.serve(
            8444,
            .served { connection in
                _ = connection.receive()
                connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
            })
        let other = try server.request("GET", "/api/v1/namespaces/default/pods/https:p:8444/proxy/")
        XCTAssertEqual(other.status, 503)
        XCTAssertTrue(other.text.contains("error trying to reach service: TLS handshake"), other.text)
    }

    // MARK: - Services and nodes

    private func makeService() throws {
        try put(
            "services/default/web",
            [
                "apiVersion": "v1", "kind": "Service", "metadata": ["name": "web", "namespace": "default"],
                "spec": [
                    "ports": [["name": "http", "port": 80], ["name": "admin", "port": 81], ["name": "s", "port": 9]]
                ],
            ])
        let answer = try server.request(
            "POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            [
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": ["name": "web-1", "labels": ["kubernetes.io/service-name": "web"]],
                "endpoints": [
                    ["addresses": ["10.244.0.9"], "conditions": ["ready": false]],
                    [
                        "addresses": ["10.244.0.5"], "conditions": ["ready": true],
                        "targetRef": ["kind": "Pod", "name": "p", "namespace": "default"],
                    ],
                ], "ports": [["name": "http", "port": 8080], ["name": "admin", "port": 8081]],
            ])
        XCTAssertEqual(answer.status, 201, answer.text)
        try put(
            "services/default/local",
            ["apiVersion": "v1", "kind": "Service", "metadata": ["name": "local"], "spec": ["ports": [["port": 80]]]])
        // The API would refuse such an address.
        try put(
            "endpointslices.discovery.k8s.io/default/local-1",
            [
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": ["name": "local-1", "labels": ["kubernetes.io/service-name": "local"]],
                "endpoints": [["addresses": ["127.0.0.1"]]], "ports": [["name": "", "port": 22]],
            ], index: Array("kubernetes.io/service-name\0local\0".utf8))
    }

    func testServicesByNameAndNumber() throws {
        try makeService()
        pods.serve(8080, echoHeads())
        pods.serve(8081, echoHeads("X-Admin: 1\r\n"))
        let rows: [(name: String, status: Int, message: String)] = [
            ("web:http", 200, ""), ("web:80", 200, ""), ("http:web:http", 200, ""), (":web:80", 200, ""),
            ("web:81", 200, ""), ("web", 503, "no endpoints available for service \"web\""),
            ("web:82", 503, "no service port 82 found for service \"web\""),
            ("web:nope", 503, "no endpoints available for service \"web:nope\""),
            ("web:s", 503, "no endpoints available for service \"web:s\""),
            ("none:80", 404, "services \"none\" not found"), ("a:b:c:d", 400, "invalid service request \"a:b:c:d\""),
            ("local", 400, "address not allowed: 127.0.0.1"),
        ]
        for row in rows {
            let answer = try server.request("GET", "/api/v1/namespaces/default/services/\(row.name)/proxy/x")
            XCTAssertEqual(answer.status, row.status, row.name)
            if row.status == 200 {
                XCTAssertEqual(answer.text.split(separator: "\n").first, "GET /x HTTP/1.1", row.name)
                XCTAssertEqual(answer.headers["x-admin"] != nil, row.name == "web:81", row.name)
            } else {
                XCTAssertEqual(try answer.json["message"].stringValue, row.message)
            }
        }
        XCTAssertEqual(Set(pods.connections), ["default/p 10.244.0.5:8080", "default/p 10.244.0.5:8081"])
    }

    func testNodes() throws {
        try put(
            "nodes//n",
            [
                "apiVersion": "v1", "kind": "Node", "metadata": ["name": "n"],
                "status": ["addresses": [["type": "InternalIP", "address": "127.0.0.1"]]],
            ])
        XCTAssertEqual(try server.request("GET", "/api/v1/nodes/n/proxy/stats/summary").text, "node n: /stats/summary")
        XCTAssertEqual(try server.request("GET", "/api/v1/nodes/n:10250/proxy/pods").text, "node n:10250: /pods")
        XCTAssertEqual(try server.request("GET", "/api/v1/nodes/x/proxy/pods").status, 404)
        XCTAssertEqual(try server.request("POST", "/api/v1/nodes/n/proxy/run", ["a": 1]).status, 405)
        XCTAssertEqual(
            try server.request("GET", "/api/v1/nodes/n:22/proxy/").json["message"], "address not allowed: 127.0.0.1")
    }

    func testAddressesThatAreNotAllowed() {
        let rows: [(host: String, isAllowed: Bool)] = [
            ("10.244.0.5", true), ("192.0.2.1", true), ("fd00::5", true), ("2001:db8::1", true), ("127.0.0.1", false),
            ("127.9.9.9", false), ("0.0.0.0", false), ("169.254.169.254", false), ("224.0.0.1", false), ("::1", false),
            ("::", false), ("fe80::1", false), ("ff02::1", false), ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", true), ("localhost", false), ("", false),
        ]
        for row in rows { XCTAssertEqual(UpstreamAddress.isProxyable(row.host), row.isAllowed, row.host) }
    }

    // MARK: - Who may

    func testTheMethodIsTheVerb() throws {
        pods.serve(8080, echoHeads())
        let group = "rbac.authorization.k8s.io"
        for (path, object) in [
            (
                "roles",
                [
                    "apiVersion": .string(group + "/v1"), "kind": "Role", "metadata": ["name": "reader"],
                    "rules": [["verbs": ["get"], "apiGroups": [""], "resources": ["pods/proxy"]]],
                ] as JSON
            ),
            (
                "rolebindings",
                [
                    "apiVersion": .string(group + "/v1"), "kind": "RoleBinding", "metadata": ["name": "ann"],
                    "roleRef": ["apiGroup": .string(group), "kind": "Role", "name": "reader"],
                    "subjects": [["kind": "User", "name": "ann", "apiGroup": .string(group)]],
                ]
            ),
        ] {
            let answer = try server.request("POST", "/apis/\(group)/v1/namespaces/default/\(path)", object)
            XCTAssertEqual(answer.status, 201, answer.text)
        }
        let asAnn = ["Impersonate-User": "ann"]
        try server.eventually("ann may read") {
            try server.request("GET", pod + "/proxy/", headers: asAnn).status == 200
        }
        let answer = try server.request("GET", pod + "/proxy/", headers: asAnn)
        XCTAssertFalse(answer.text.contains("mpersonate"), "the pod is not told")
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let refused = try server.request(method, pod + "/proxy/", ["a": 1], headers: asAnn)
            XCTAssertEqual(refused.status, 403, method)
        }
        let verb = try server.request("POST", pod + "/proxy/", headers: asAnn).json["message"].stringValue ?? ""
        XCTAssertTrue(verb.contains("cannot create resource \"pods/proxy\""), verb)
        XCTAssertEqual(try server.request("GET", "/api/v1/nodes/n/proxy/pods", headers: asAnn).status, 403)
        XCTAssertEqual(try server.request("GET", pod + "/proxy/", token: nil).status, 401)
    }
}
