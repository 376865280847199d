import CZlib
import Objects
import XCTest

@testable import API

final class GzipCodingTests: XCTestCase {
    /// Decompresses with zlib's other half.
    private func inflated(_ bytes: [UInt8]) throws -> [UInt8] {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        XCTAssertEqual(inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)), Z_OK)
        defer { inflateEnd(stream) }
        var input = bytes
        var output: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 100_000)
        input.withUnsafeMutableBufferPointer { input in
            stream.pointee.next_in = input.baseAddress
            stream.pointee.avail_in = UInt32(input.count)
            while true {
                let (status, count) = piece.withUnsafeMutableBufferPointer { piece in
                    stream.pointee.next_out = piece.baseAddress
                    stream.pointee.avail_out = UInt32(piece.count)
                    let status = inflate(stream, Z_NO_FLUSH)
                    return (status, piece.count - Int(stream.pointee.avail_out))
                }
                output += piece[..<count]
                if status == Z_STREAM_END { return }
                guard status == Z_OK else { return XCTFail("inflate: \(status)") }
            }
        }
        return output
    }

    func testCompressedIsWhole() throws {
        for size in [0, 1, 65_536, 200_000, 3_000_000] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: ($0 &* 31) >> 3) }
            XCTAssertEqual(try inflated(try XCTUnwrap(GzipCoding.compress(bytes))), bytes, "\(size) bytes")
        }
    }

    func testWhoTakesIt() {
        let rows: [(header: String?, isAccepted: Bool)] = [
            (nil, false), ("", false), ("gzip", true), ("GZIP", true), ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true), ("identity", false), ("br, *;q=0", false), ("gzip;q=0, *", false), ("deflate,br", false),
        ]
        for row in rows { XCTAssertEqual(GzipCoding.isAccepted(row.header), row.isAccepted, row.header ?? "none") }
    }

    /// Lists above 128 KiB are compressed, nothing else is.
    func testAnswers() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let maps = "/api/v1/namespaces/default/configmaps"
        for number in 0..<3 {
            let map: JSON = [
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string("m\(number)")],
                "data": ["k": .string(String(repeating: "text \(number) ", count: 10_000))],
            ]
            XCTAssertEqual(try server.request("POST", maps, map).status, 201)
        }
        let gzip = ["Accept-Encoding": "gzip"]
        let plain = try server.request("GET", maps)
        XCTAssertNil(plain.headers["content-encoding"])
        XCTAssertEqual(plain.headers["vary"], "Accept-Encoding")
        // The same moment again: other writers move the version of a list that names none.
        let version = try XCTUnwrap(try plain.json["metadata"]["resourceVersion"].stringValue)
        let moment = maps + "?resourceVersion=\(version)&resourceVersionMatch=Exact"
        let list = try server.request("GET", moment, headers: gzip)
        XCTAssertEqual(list.headers["content-encoding"], "gzip")
        XCTAssertEqual(list.headers["vary"], "Accept-Encoding")
        XCTAssertLessThan(list.body.count, plain.body.count / 10)
        XCTAssertEqual(try inflated(list.body), plain.body)
        let small = try server.request("GET", maps + "/m0", headers: gzip)
        XCTAssertNil(small.headers["content-encoding"], "80 KB are not worth it")
        XCTAssertNil(small.headers["vary"])
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(maps)?watch=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Accept-Encoding: gzip\r\n\r\n")
        XCTAssertNil(try client.response(headOnly: true).headers["content-encoding"], "never a watch")
        XCTAssertEqual(try client.event()?["type"], "ADDED")
    }
}
