import CNGHTTP2

/// What all sessions share: nghttp2's options and the functions that it calls, on the thread of the session's loop.
struct HTTP2Library: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): both are only read by nghttp2 when a session is made, and never released.
    private let options: OpaquePointer
    private let callbacks: OpaquePointer

    /// nil when there was no memory.
    static let shared = HTTP2Library()

    private init?() {
        var options: OpaquePointer?
        var callbacks: OpaquePointer?
        guard nghttp2_option_new(&options) == 0, let options, nghttp2_session_callbacks_new(&callbacks) == 0,
            let callbacks
        else { return nil }
        // Windows are opened by what the server is ready to keep.
        nghttp2_option_set_no_auto_window_update(options, 1)
        // Streams that have ended are not kept.
        nghttp2_option_set_no_closed_streams(options, 1)
        nghttp2_option_set_stream_reset_rate_limit(options, HTTP2Limits.resets.burst, HTTP2Limits.resets.perSecond)
        nghttp2_option_set_max_continuations(options, HTTP2Limits.continuations)
        nghttp2_option_set_max_outbound_ack(options, HTTP2Limits.acknowledgements)
        nghttp2_option_set_max_settings(options, HTTP2Limits.settings)
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, onBeginHeaders)
        nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader)
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onData)
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame)
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, onFrameSent)
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onClose)
        self.options = options
        self.callbacks = callbacks
    }

    /// A server's session, which the caller deletes; nil when there was no memory.
    func session(for owner: HTTP2Session) -> OpaquePointer? {
        var session: OpaquePointer?
        let user = Unmanaged.passUnretained(owner).toOpaque()
        return nghttp2_session_server_new2(&session, callbacks, user, options) == 0 ? session : nil
    }

    /// What gives the bodies of responses.
    static let body: nghttp2_data_source_read_callback = { _, identifier, buffer, size, flags, _, user in
        guard let stream = owner(user)?.streams[identifier], let buffer, let flags else {
            return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
        }
        switch stream.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: size)) {
        case .bytes(let count, let isLast):
            if isLast { flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue) }
            return count
        case .nothing: return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        case .failed: return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
        }
    }
}

private func owner(_ user: UnsafeMutableRawPointer?) -> HTTP2Session? {
    // SAFETY: the HTTP2Session deletes nghttp2's session before it goes.
    user.map { Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
}

/// The last frame of the peer, or of the server, on a stream.
private func endsStream(_ head: nghttp2_frame_hd) -> Bool {
    (head.type == UInt8(NGHTTP2_DATA.rawValue) || head.type == UInt8(NGHTTP2_HEADERS.rawValue))
        && head.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
}

private func beginsRequest(_ frame: nghttp2_frame) -> Bool {
    frame.hd.type == UInt8(NGHTTP2_HEADERS.rawValue) && frame.headers.cat == NGHTTP2_HCAT_REQUEST
}

private let onBeginHeaders: nghttp2_on_begin_headers_callback = { _, frame, user in
    guard let frame, let owner = owner(user) else { return 0 }
    owner.headersBegin(frame.pointee.hd.stream_id, isRequest: beginsRequest(frame.pointee))
    return 0
}

private let onHeader: nghttp2_on_header_callback = { _, frame, name, nameSize, value, valueSize, _, user in
    guard let frame, beginsRequest(frame.pointee) else { return 0 }
    owner(user)?.streams[frame.pointee.hd.stream_id]?.add(
        UnsafeBufferPointer(start: name, count: nameSize), UnsafeBufferPointer(start: value, count: valueSize))
    return 0
}

private let onData: nghttp2_on_data_chunk_recv_callback = { _, _, identifier, data, size, user in
    owner(user)?.received(identifier, UnsafeRawBufferPointer(start: data, count: size))
    return 0
}

private let onFrame: nghttp2_on_frame_recv_callback = { _, frame, user in
    guard let frame, let owner = owner(user) else { return 0 }
    let head = frame.pointee.hd
    if head.type == UInt8(NGHTTP2_HEADERS.rawValue) { owner.headersEnd() }
    let stream = owner.streams[head.stream_id]
    if beginsRequest(frame.pointee) {
        stream?.headIsComplete(isLast: endsStream(head))
    } else if endsStream(head) {
        stream?.bodyIsComplete()
    }
    return 0
}

private let onFrameSent: nghttp2_on_frame_send_callback = { _, frame, user in
    if let head = frame?.pointee.hd, endsStream(head) { owner(user)?.answered(head.stream_id) }
    return 0
}

private let onClose: nghttp2_on_stream_close_callback = { _, identifier, _, user in
    owner(user)?.closed(identifier)
    return 0
}
