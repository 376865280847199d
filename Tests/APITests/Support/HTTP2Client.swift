import CNGHTTP2
import Glibc
import Objects

@testable import API

/// A blocking HTTP/2 client for tests: it opens streams and reads until what it waits for has come.
final class HTTP2Client {
    struct Failure: Error { var message: String }

    /// Bytes that the server may send on all streams together before the client takes some.
    static let connectionWindow = 8 << 20

    /// What has come on a stream.
    struct Answer {
        var status = 0
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        var hasEnded = false
        /// The code of the stream's end, once it is closed.
        var code: UInt32?

        var json: JSON { get throws { try JSON(parsing: body) } }
    }

    let client: TLSClient
    private var session: OpaquePointer?
    private(set) var answers: [Int32: Answer] = [:]
    private var bodies: [Int32: ArraySlice<UInt8>] = [:]
    /// Last stream and code of a GOAWAY frame.
    private(set) var goAway: (last: Int32, code: UInt32)?
    private(set) var pongs = 0
    private(set) var settings: [Int32: UInt32] = [:]
    /// Streams whose bytes are not taken: their window closes.
    var slow: Set<Int32> = []

    init(port: UInt16, window: Int32 = 65_535) throws {
        client = try TLSClient(port: port, protocols: ["h2", "http/1.1"])
        guard client.agreedProtocol == "h2" else { throw Failure(message: "agreed: \(client.agreedProtocol)") }
        var callbacks: OpaquePointer?
        var options: OpaquePointer?
        nghttp2_session_callbacks_new(&callbacks)
        nghttp2_option_new(&options)
        defer {
            nghttp2_session_callbacks_del(callbacks)
            nghttp2_option_del(options)
        }
        nghttp2_option_set_no_auto_window_update(options, 1)
        // Heads that the server refuses can be sent.
        nghttp2_option_set_max_send_header_block_length(options, 1 << 20)
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameSize, value, valueSize, _, user in
            func text(_ start: UnsafePointer<UInt8>?, _ size: Int) -> String {
                String(decoding: UnsafeBufferPointer(start: start, count: size), as: UTF8.self)
            }
            HTTP2Client.from(user).header(
                frame!.pointee.hd.stream_id, text(name, nameSize), text(value, valueSize))
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, identifier, data, size, user in
            HTTP2Client.from(user).data(identifier, UnsafeBufferPointer(start: data, count: size))
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            HTTP2Client.from(user).frame(frame!.pointee)
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, identifier, code, user in
            HTTP2Client.from(user).answers[identifier, default: Answer()].code = code
            return 0
        }
        nghttp2_session_client_new2(&session, callbacks, Unmanaged.passUnretained(self).toOpaque(), options)
        var settings = nghttp2_settings_entry(
            settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(window))
        nghttp2_submit_settings(session, 0, &settings, 1)
        nghttp2_session_set_local_window_size(session, 0, 0, Int32(Self.connectionWindow))
        flush()
    }

    private static func from(_ user: UnsafeMutableRawPointer?) -> HTTP2Client {
        Unmanaged<HTTP2Client>.fromOpaque(user!).takeUnretainedValue()
    }

    func close() {
        nghttp2_session_del(session)
        session = nil
        client.close()
    }

    private func header(_ stream: Int32, _ name: String, _ value: String) {
        if name == ":status" {
            // Of an interim response and the final one, the last counts.
            answers[stream, default: Answer()].status = Int(value) ?? 0
        } else {
            answers[stream, default: Answer()].headers[name] = value
        }
    }

    private func data(_ stream: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
        answers[stream, default: Answer()].body += bytes
        nghttp2_session_consume_connection(session, bytes.count)
        if !slow.contains(stream) { nghttp2_session_consume_stream(session, stream, bytes.count) }
    }

    private func frame(_ frame: nghttp2_frame) {
        let head = frame.hd
        if head.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0, head.type <= UInt8(NGHTTP2_HEADERS.rawValue) {
            answers[head.stream_id, default: Answer()].hasEnded = true
        }
        if head.type == UInt8(NGHTTP2_GOAWAY.rawValue) {
            goAway = (frame.goaway.last_stream_id, frame.goaway.error_code)
        }
        if head.type == UInt8(NGHTTP2_PING.rawValue) { pongs += 1 }
        if head.type == UInt8(NGHTTP2_SETTINGS.rawValue) {
            for index in 0..<frame.settings.niv {
                settings[frame.settings.iv[index].settings_id] = frame.settings.iv[index].value
            }
        }
    }

    /// Sends what waits.
    func flush() {
        var data: UnsafePointer<UInt8>?
        while true {
            let count = nghttp2_session_mem_send(session, &data)
            guard count > 0 else { return }
            client.send(Array(UnsafeBufferPointer(start: data, count: count)))
        }
    }

    /// Begins a request, and sends what it can of it.
    func open(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil,
        lengthIsKnown: Bool = true,
        token: String? = TestServer.token
    ) throws -> Int32 {
        var fields = HTTP2Fields()
        fields.add(":method", method)
        fields.add(":scheme", "https")
        fields.add(":authority", "localhost")
        fields.add(":path", path)
        if let token { fields.add("authorization", "Bearer \(token)") }
        if let body {
            if headers["content-type"] == nil { fields.add("content-type", "application/json") }
            if lengthIsKnown { fields.add("content-length", String(body.count)) }
        }
        for (name, value) in headers { fields.add(name, value) }
        var provider = nghttp2_data_provider(source: nghttp2_data_source()) {
            _, identifier, buffer, size, flags, _, user in
            let client = HTTP2Client.from(user)
            let rest = client.bodies[identifier] ?? []
            let count = min(size, rest.count)
            rest.prefix(count).withUnsafeBytes {
                if let base = $0.baseAddress {
                    UnsafeMutableRawPointer(buffer!).copyMemory(from: base, byteCount: count)
                }
            }
            client.bodies[identifier] = rest.dropFirst(count)
            if count == rest.count { flags!.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue) }
            return count
        }
        let identifier = fields.withFields { fields, count in
            guard body != nil else { return nghttp2_submit_request(session, nil, fields, count, nil, nil) }
            return nghttp2_submit_request(session, nil, fields, count, &provider, nil)
        }
        guard identifier > 0 else { throw Failure(message: String(cString: nghttp2_strerror(identifier))) }
        bodies[identifier] = body?[...]
        answers[identifier] = Answer()
        flush()
        return identifier
    }

    /// Bytes of a request's body that the server has not let the client send.
    func unsent(_ stream: Int32) -> Int { bodies[stream]?.count ?? 0 }

    /// Reads once; false at the end of the connection.
    func read() -> Bool {
        let bytes = client.read()
        guard !bytes.isEmpty else { return false }
        guard nghttp2_session_mem_recv(session, bytes, bytes.count) >= 0 else { return false }
        flush()
        return true
    }

    /// Reads until a condition holds, or throws when the connection ends first.
    func read(until what: String, _ holds: () -> Bool) throws {
        while !holds() { guard read() else { throw Failure(message: "the connection ended before \(what)") } }
    }

    /// The whole answer of a stream.
    func answer(_ stream: Int32) throws -> Answer {
        try read(until: "the answer on stream \(stream)") {
            answers[stream]?.code != nil || answers[stream]?.hasEnded == true
        }
        return answers[stream] ?? Answer()
    }

    func request(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) throws -> Answer {
        try answer(try open(method, path, headers: headers, body: body))
    }

    /// The next event of a watch.
    func event(_ stream: Int32) throws -> JSON {
        try read(until: "an event") { answers[stream]?.body.contains(0x0A) == true || answers[stream]?.code != nil }
        guard let end = answers[stream]?.body.firstIndex(of: 0x0A) else { throw Failure(message: "the watch ended") }
        let line = Array(answers[stream]?.body[..<end] ?? [])
        answers[stream]?.body.removeSubrange(...end)
        return try JSON(parsing: line)
    }

    func reset(_ stream: Int32, _ code: nghttp2_error_code = NGHTTP2_CANCEL) {
        nghttp2_submit_rst_stream(session, 0, stream, code.rawValue)
        flush()
    }

    func ping() {
        nghttp2_submit_ping(session, 0, nil)
        flush()
    }

    /// Opens the window of a slow stream again.
    func takeOn(_ stream: Int32) {
        slow.remove(stream)
        nghttp2_session_consume_stream(session, stream, answers[stream]?.body.count ?? 0)
        flush()
    }
}
