import CEpoll
import CNGHTTP2
import Glibc
import PluginKit

/// One HTTP/2 connection to a member. Callers send on their own threads; one thread reads for all of them.
/// See RFC 9113.
final class HTTP2Connection: @unchecked Sendable {
    // SAFETY: session, socket and streams are behind `monitor`; `thread` and `wake` are written in the initialiser alone.

    /// After so long without a byte the member is asked for a sign of life, and after as long again given up.
    private static let patience: UInt64 = 10_000_000_000
    private static let windowSize: Int32 = 16 << 20

    let endpoint: Endpoint
    private let monitor = Monitor()
    private let wake: Int32
    private let socket: ClientSocket
    private var session: OpaquePointer?
    fileprivate var streams: [Int32: HTTP2Stream] = [:]
    private var output: [UInt8] = []
    private var sent = 0
    private var isGoingAway = false
    private var failure: String?
    private var lastReceived = monotonicNanoseconds()
    private var isPinged = false
    private var thread: PluginThread?

    /// Connects; `deadline` in monotonic nanoseconds.
    init(_ endpoint: Endpoint, _ tls: TLSClient?, deadline: UInt64) throws(PluginError) {
        self.endpoint = endpoint
        socket = try ClientSocket(endpoint, tls, deadline: deadline)
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else {
            socket.close()
            throw .exhausted("no descriptor is left for a connection to \(endpoint)")
        }
        do {
            try begin()
            thread = try PluginThread(name: "etcd-reader") { [self] in read() }
        } catch {
            if let session { nghttp2_session_del(session) }
            socket.close()
            Glibc.close(wake)
            throw error
        }
    }

    private func begin() throws(PluginError) {
        var callbacks: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else {
            throw .exhausted("no memory for a connection to \(endpoint)")
        }
        defer { nghttp2_session_callbacks_del(callbacks) }
        nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader)
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onData)
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onClose)
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame)
        guard nghttp2_session_client_new(&session, callbacks, Unmanaged.passUnretained(self).toOpaque()) == 0 else {
            throw .exhausted("no memory for a connection to \(endpoint)")
        }
        var settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(Self.windowSize)),
            nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0),
        ]
        guard nghttp2_submit_settings(session, 0, &settings, settings.count) == 0,
            nghttp2_session_set_local_window_size(session, 0, 0, Self.windowSize) == 0
        else { throw .exhausted("no memory for a connection to \(endpoint)") }
        flush()
    }

    /// Whether new requests may be sent.
    var isUsable: Bool { monitor.locked { failure == nil && !isGoingAway } }

    // MARK: Sending

    /// Sends a request. `isLast`: nothing but `body` follows.
    func open(
        _ headers: [(String, String)], body: [UInt8], isLast: Bool
    ) throws(PluginError) -> HTTP2Stream {
        let stream = HTTP2Stream()
        stream.outgoing = body[...]
        stream.isLast = isLast
        monitor.lock()
        defer { monitor.unlock() }
        if let failure { throw .unavailable("\(endpoint): \(failure)") }
        var provider = nghttp2_data_provider(source: nghttp2_data_source(), read_callback: readBody)
        let identifier = withFields(headers) { fields, count in
            nghttp2_submit_request(session, nil, fields, count, &provider, nil)
        }
        guard identifier > 0 else {
            isGoingAway = true
            throw .unavailable("\(endpoint): no stream can be opened: \(text(identifier))")
        }
        stream.identifier = identifier
        streams[identifier] = stream
        flush()
        return stream
    }

    /// Sends more of a request's body.
    func send(_ bytes: [UInt8], on stream: HTTP2Stream, isLast: Bool = false) {
        monitor.locked {
            guard failure == nil, streams[stream.identifier] === stream else { return }  // Its end tells why.
            stream.outgoing.append(contentsOf: bytes)
            stream.isLast = isLast
            nghttp2_session_resume_data(session, stream.identifier)
            flush()
        }
    }

    /// Gives a request up.
    func cancel(_ stream: HTTP2Stream) {
        monitor.locked {
            guard failure == nil, streams[stream.identifier] === stream else { return }
            nghttp2_submit_rst_stream(session, 0, stream.identifier, UInt32(NGHTTP2_CANCEL.rawValue))
            flush()
        }
    }

    /// Ends the connection; streams that are open end with `reason`. Returns when its thread has ended.
    func close(_ reason: String) {
        monitor.locked {
            fail(reason)
            signal()
        }
        if let thread, !thread.isCurrent { thread.join() }
    }

    private func signal() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)  // Full only when it is signalled already.
    }

    /// Brings what the session has to say to the socket, as far as that takes it. The lock is held.
    private func flush() {
        while failure == nil {
            if sent == output.count {
                output.removeAll(keepingCapacity: true)
                sent = 0
                var data: UnsafePointer<UInt8>?
                while output.count < 1 << 16 {
                    let count = nghttp2_session_mem_send(session, &data)
                    if count < 0 { return fail("HTTP/2 failed: \(text(Int32(count)))") }
                    guard count > 0, let data else { break }
                    output.append(contentsOf: UnsafeBufferPointer(start: data, count: count))
                }
                if output.isEmpty { return }
            }
            let result = output.withUnsafeBytes { socket.write(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
            switch result {
            case .count(let count): sent += count
            case .wantsRead, .wantsWrite: return signal()  // The reading thread waits for room.
            case .end(let reason): return fail(reason)
            }
        }
    }

    /// The lock is held.
    private func fail(_ reason: String) {
        if failure != nil { return }
        failure = reason
        for stream in streams.values { stream.finish(HTTP2Stream.End(reason: "\(endpoint): \(reason)")) }
        streams = [:]
        signal()
    }

    // MARK: Reading

    private func read() {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let (hasOutput, hasStreams) = monitor.locked { (sent < output.count, !streams.isEmpty) }
            var files = [
                pollfd(
                    fd: socket.descriptor, events: Int16(POLLIN | (hasOutput ? POLLOUT : 0)), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&files, 2, hasStreams ? Int32(Self.patience / 1_000_000) : -1)
            let isOver = monitor.locked {
                var count: UInt64 = 0
                if files[1].revents != 0 { _ = Glibc.read(wake, &count, 8) }
                receive(into: buffer, isTimedOut: ready == 0)
                flush()
                return failure != nil
            }
            if isOver { break }
        }
        monitor.locked {
            nghttp2_session_del(session)
            session = nil
        }
        socket.close()
        Glibc.close(wake)
    }

    /// Takes all that the socket has. The lock is held.
    private func receive(into buffer: UnsafeMutableRawBufferPointer, isTimedOut: Bool) {
        while failure == nil {
            switch socket.read(into: buffer) {
            case .count(let count):
                lastReceived = monotonicNanoseconds()
                isPinged = false
                let taken = nghttp2_session_mem_recv(
                    session, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), count)
                if taken < 0 { fail("HTTP/2 failed: \(text(Int32(taken)))") }
            case .wantsRead, .wantsWrite:
                if isTimedOut { checkLife() }
                return
            case .end(let reason): fail(reason)
            }
        }
    }

    private func checkLife() {
        guard monotonicNanoseconds() - lastReceived >= Self.patience, !streams.isEmpty else { return }
        if isPinged { return fail("the member does not answer any more") }
        isPinged = true
        nghttp2_submit_ping(session, 0, nil)
    }

    // MARK: Called by the session, with the lock held

    fileprivate func closed(_ identifier: Int32, _ code: UInt32) {
        guard let stream = streams.removeValue(forKey: identifier) else { return }
        let isRefused = code == UInt32(NGHTTP2_REFUSED_STREAM.rawValue)
        stream.finish(
            HTTP2Stream.End(
                reason: code == 0 ? "" : "\(endpoint): \(String(cString: nghttp2_http2_strerror(code)))",
                isUntouched: isRefused))
    }

    fileprivate func goAway() { isGoingAway = true }

    /// Lends the fields of a request to nghttp2, which copies them.
    private func withFields<Result>(
        _ headers: [(String, String)], _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
    ) -> Result {
        var bytes: [UInt8] = []
        for (name, value) in headers { bytes += Array(name.utf8) + Array(value.utf8) }
        return bytes.withUnsafeMutableBufferPointer { bytes in
            var fields: [nghttp2_nv] = []
            var offset = 0
            for (name, value) in headers {
                let (nameSize, valueSize) = (name.utf8.count, value.utf8.count)
                let start = bytes.baseAddress.map { $0 + offset }
                fields.append(
                    nghttp2_nv(
                        name: start, value: start.map { $0 + nameSize }, namelen: nameSize, valuelen: valueSize,
                        flags: 0))
                offset += nameSize + valueSize
            }
            return fields.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
        }
    }
}

private func text(_ code: Int32) -> String { String(cString: nghttp2_strerror(code)) }

private func connection(_ user: UnsafeMutableRawPointer?) -> HTTP2Connection? {
    // SAFETY: the session is deleted by the connection's own thread, which keeps the connection alive.
    user.map { Unmanaged<HTTP2Connection>.fromOpaque($0).takeUnretainedValue() }
}

private let onHeader: nghttp2_on_header_callback = { _, frame, name, nameSize, value, valueSize, _, user in
    guard let frame, let stream = connection(user)?.streams[frame.pointee.hd.stream_id] else { return 0 }
    func text(_ start: UnsafePointer<UInt8>?, _ size: Int) -> String {
        String(decoding: UnsafeBufferPointer(start: start, count: size), as: UTF8.self)
    }
    stream.add(header: text(name, nameSize), text(value, valueSize))
    return 0
}

private let onData: nghttp2_on_data_chunk_recv_callback = { _, _, identifier, data, size, user in
    guard let stream = connection(user)?.streams[identifier] else { return 0 }
    let isTaken = stream.add(UnsafeRawBufferPointer(start: data, count: size))
    return isTaken ? 0 : Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
}

private let onClose: nghttp2_on_stream_close_callback = { _, identifier, code, user in
    connection(user)?.closed(identifier, code)
    return 0
}

private let onFrame: nghttp2_on_frame_recv_callback = { _, frame, user in
    if let frame, frame.pointee.hd.type == UInt8(NGHTTP2_GOAWAY.rawValue) { connection(user)?.goAway() }
    return 0
}

private let readBody: nghttp2_data_source_read_callback = { _, identifier, buffer, size, flags, _, user in
    guard let stream = connection(user)?.streams[identifier], let buffer, let flags else {
        return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    }
    let count = min(size, stream.outgoing.count)
    if count == 0 && !stream.isLast { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
    stream.outgoing.prefix(count).withUnsafeBytes { bytes in
        if let start = bytes.baseAddress { memcpy(buffer, start, count) }
    }
    stream.outgoing = stream.outgoing.dropFirst(count)
    if stream.outgoing.isEmpty && stream.isLast { flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue) }
    return count
}
