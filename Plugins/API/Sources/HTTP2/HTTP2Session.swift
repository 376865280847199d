import CNGHTTP2
import Glibc

/// The HTTP/2 side of one connection (RFC 9113): frames come in by `receive` and go out by `send`; streams are requests.
/// nghttp2 has no sockets of its own. Lives on the connection's loop.
final class HTTP2Session {
    let loop: EventLoop
    let handler: any HTTPHandler
    let certificate: ClientCertificate?
    /// The connection's socket; -1 for none.
    private let descriptor: Int32
    private let wake: () -> Void
    private var session: OpaquePointer?
    private(set) var streams: [Int32: HTTP2Stream] = [:]
    private var budget = HTTP2BodyBudget()
    /// Requests that have not been answered, those included whose stream is gone.
    private(set) var running = 0
    /// Whether `send` left something for want of room.
    private(set) var isHeldBack = false
    private var isBroken = false
    private var isLeaving = false
    private var idleDeadline = UInt64.max
    /// By when a header block that has begun must be complete; nothing else may come before its end.
    private var headerDeadline = UInt64.max

    /// - Parameter wake: Called on the loop when there is something to send.
    init(
        loop: EventLoop, handler: any HTTPHandler, certificate: ClientCertificate?, descriptor: Int32,
        wake: @escaping () -> Void
    ) throws(HTTPServerError) {
        self.loop = loop
        self.handler = handler
        self.certificate = certificate
        self.descriptor = descriptor
        self.wake = wake
        session = HTTP2Library.shared?.session(for: self)
        var settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: UInt32(HTTP2Limits.streams)
            ),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(HTTPRequestParser.headLimit)),
            // Streams take turns (`headersBegin`) instead of following a client's tree of priorities.
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1),
        ]
        guard session != nil, nghttp2_submit_settings(session, 0, &settings, settings.count) == 0,
            nghttp2_session_set_local_window_size(session, 0, 0, HTTP2Limits.connectionWindow) == 0
        else {
            nghttp2_session_del(session)
            session = nil
            throw .system(call: "nghttp2_session_server_new2", code: ENOMEM, detail: "an HTTP/2 connection")
        }
        setIdle()
    }

    deinit { nghttp2_session_del(session) }

    /// Whether all has been said: the connection ends when what is queued has been sent.
    var isOver: Bool {
        isBroken || (nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0)
    }

    // MARK: - Frames

    /// Takes bytes of the client.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard let session, !isBroken, let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        // What follows an error is not read; nghttp2 says GOAWAY where the protocol has a word for it.
        if nghttp2_session_mem_recv(session, start, bytes.count) < 0 { isBroken = true }
    }

    /// Appends frames to `output`, up to `limit` bytes in it or somewhat more.
    func send(into output: inout OutputQueue, limit: Int) {
        isHeldBack = false
        while let first = nextFrames() {
            output.append { bytes in
                let start = bytes.count
                bytes.append(contentsOf: first)
                while bytes.count - start < HTTP2Limits.batch, let more = nextFrames() {
                    bytes.append(contentsOf: more)
                }
            }
            guard output.count < limit else {
                isHeldBack = true
                return
            }
        }
    }

    /// What nghttp2 has to send next, valid until it is called again.
    private func nextFrames() -> UnsafeBufferPointer<UInt8>? {
        var data: UnsafePointer<UInt8>?
        let count = nghttp2_session_mem_send(session, &data)
        if count < 0 { isBroken = true }
        return count > 0 ? UnsafeBufferPointer(start: data, count: count) : nil
    }

    // MARK: - What streams ask for

    /// The client's address, without its port; nil when it has gone.
    var peerAddress: String? { session == nil ? nil : SocketAddress.peer(of: descriptor) }

    /// Begins a request; false when too many are running.
    func begin() -> Bool {
        guard running < HTTP2Limits.streams else { return false }
        running += 1
        return true
    }

    func requestIsAnswered() { running -= 1 }

    /// Submits a header block; `hasBody` says that `HTTP2Stream.read` gives what follows.
    func submit(_ stream: HTTP2Stream, _ fields: inout HTTP2Fields, hasBody: Bool) {
        let status = fields.withFields { fields, count in
            guard hasBody else { return nghttp2_submit_response(session, stream.identifier, fields, count, nil) }
            var provider = nghttp2_data_provider(source: nghttp2_data_source(), read_callback: HTTP2Library.body)
            return nghttp2_submit_response(session, stream.identifier, fields, count, &provider)
        }
        if status != 0 { reset(stream, NGHTTP2_INTERNAL_ERROR) }
        wake()
    }

    /// Asks for the body that the client holds back until it is wanted.
    func submitContinue(_ stream: HTTP2Stream) {
        var fields = HTTP2Fields()
        fields.add(":status", "100")
        // Without memory for it, the client sends its body after a moment all the same.
        _ = fields.withFields { nghttp2_submit_headers(session, 0, stream.identifier, nil, $0, $1, nil) }
        wake()
    }

    /// The stream's body has something new to read.
    func resume(_ stream: HTTP2Stream) {
        nghttp2_session_resume_data(session, stream.identifier)
        wake()
    }

    /// Bytes of a body that is carried on have been taken: the client may send as many more.
    func consume(_ stream: HTTP2Stream, _ bytes: Int) {
        nghttp2_session_consume_stream(session, stream.identifier, bytes)
        wake()
    }

    func reset(_ stream: HTTP2Stream, _ code: nghttp2_error_code) {
        nghttp2_submit_rst_stream(session, 0, stream.identifier, code.rawValue)
        wake()
    }

    /// Lets the client send a body of `bytes`, as soon as the connection's share of memory permits.
    func awaitBody(_ stream: HTTP2Stream, _ bytes: Int) {
        stream.awaited = bytes
        if budget.ask(stream.identifier, bytes) { enlarge(stream) }
    }

    /// The stream's body has come.
    func bodyIsComplete(_ stream: HTTP2Stream) { release(stream.identifier) }

    private func release(_ identifier: Int32) {
        for next in budget.release(identifier) {
            if let stream = streams[next] { enlarge(stream) }
        }
    }

    private func enlarge(_ stream: HTTP2Stream) {
        nghttp2_session_set_local_window_size(session, 0, stream.identifier, Int32(stream.awaited))
        wake()
    }

    /// Takes no more requests; the connection ends when those that are there have been answered.
    func leave() {
        guard !isLeaving else { return }
        isLeaving = true
        let last = nghttp2_session_get_last_proc_stream_id(session)
        nghttp2_submit_goaway(session, 0, last, NGHTTP2_NO_ERROR.rawValue, nil, 0)
        wake()
    }

    /// The server stops: requests may end, streams without an end are ended.
    func drain() {
        leave()
        for stream in streams.values { stream.drain() }
    }

    /// Ends all streams; the connection is gone.
    func end() {
        let last = streams
        streams = [:]
        for stream in last.values { stream.closed() }
        nghttp2_session_del(session)
        session = nil
        isBroken = true
    }

    // MARK: - Deadlines

    private func setIdle() {
        idleDeadline = loop.now + HTTPConnection.idleTimeout
        loop.schedule(deadline: idleDeadline)
    }

    /// The next deadline; nil when the connection is to end at once.
    func checkDeadline(now: UInt64) -> UInt64? {
        guard now < headerDeadline else { return nil }
        if streams.isEmpty, now >= idleDeadline {
            idleDeadline = now + HTTPConnection.closeTimeout
            guard !isLeaving else { return nil }
            leave()
        }
        var next = min(headerDeadline, streams.isEmpty ? idleDeadline : .max)
        for stream in streams.values { next = min(next, stream.checkDeadline(now: now)) }
        return next
    }

    // MARK: - Called by nghttp2

    func headersBegin(_ identifier: Int32, isRequest: Bool) {
        headerDeadline = loop.now + HTTPConnection.headTimeout
        loop.schedule(deadline: headerDeadline)
        guard isRequest else { return }
        streams[identifier] = HTTP2Stream(identifier, self)
        // Frames of all streams that have something to send take turns: a long list does not hold up a watch.
        var priority = nghttp2_extpri(urgency: UInt32(NGHTTP2_EXTPRI_DEFAULT_URGENCY), inc: 1)
        nghttp2_session_change_extpri_stream_priority(session, identifier, &priority, 1)
    }

    func headersEnd() { headerDeadline = .max }

    func received(_ identifier: Int32, _ bytes: UnsafeRawBufferPointer) {
        nghttp2_session_consume_connection(session, bytes.count)
        streams[identifier]?.take(bytes)
    }

    /// The response is complete: what the client may still send of its request is of no use.
    func answered(_ identifier: Int32) {
        guard nghttp2_session_get_stream_remote_close(session, identifier) == 0 else { return }
        nghttp2_submit_rst_stream(session, 0, identifier, NGHTTP2_NO_ERROR.rawValue)
    }

    func closed(_ identifier: Int32) {
        guard let stream = streams.removeValue(forKey: identifier) else { return }
        release(identifier)
        stream.closed()
        if streams.isEmpty { setIdle() }
    }
}
