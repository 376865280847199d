/// What a SPDY client does.
enum SPDYEvent {
    case opened(stream: UInt32, headers: [(name: String, value: String)])
    case data(stream: UInt32, bytes: [UInt8])
    /// The client sends nothing more on this stream.
    case finished(stream: UInt32)
    case reset(stream: UInt32)
    case ping(UInt32)
    /// The client opens no more streams.
    case goAway
}

/// The server's half of SPDY/3.1 as kubectl and client-go speak it behind an upgrade: takes frames apart and puts them
/// together. A frame's data is given on as it comes, so no frame is held whole. Flow control is that of the connection below,
/// as with the clients: they neither send nor heed WINDOW_UPDATE. Confined to its connection's thread.
final class SPDYSession {
    /// Most bytes of one `.data`, so that it fits a packet to an extension with a channel's byte before it.
    static let pieceLimit = 32 * 1024
    /// Streams that may be open at once; a forwarded connection needs two.
    static let streamLimit = 2048

    private let reader: SPDYHeaderReader
    private let writer: SPDYHeaderWriter
    private var lastStream: UInt32 = 0
    private var open: Set<UInt32> = []
    /// The data frame whose payload is being read.
    private var current: (stream: UInt32, remaining: Int, ends: Bool)?
    /// A SYN_STREAM that closes its own direction gives two events.
    private var pending: SPDYEvent?

    init() throws(SPDYError) {
        reader = try SPDYHeaderReader()
        writer = try SPDYHeaderWriter()
    }

    /// The next event at the front of `bytes`, if any, and how many bytes were taken; nil when more are needed.
    func take(_ bytes: UnsafeRawBufferPointer) throws(SPDYError) -> (event: SPDYEvent?, size: Int)? {
        if let event = pending {
            pending = nil
            return (event, 0)
        }
        if current != nil { return takeData(bytes, headerSize: 0) }
        guard bytes.count >= SPDYFrame.headerSize else { return nil }
        let first = SPDYFrame.number(bytes, at: 0)
        let second = SPDYFrame.number(bytes, at: 4)
        let length = Int(second & 0xFF_FFFF)
        let flags = UInt8(second >> 24)
        guard first & 0x8000_0000 != 0 else {
            current = (first, length, flags & SPDYFrame.finFlag != 0)
            return takeData(bytes, headerSize: SPDYFrame.headerSize)
        }
        guard UInt16(first >> 16 & 0x7FFF) == SPDYFrame.version else {
            throw SPDYError("a frame is of another version")
        }
        guard length <= SPDYFrame.controlLimit else { throw SPDYError("a control frame is too long") }
        guard bytes.count >= SPDYFrame.headerSize + length else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[SPDYFrame.headerSize..<(SPDYFrame.headerSize + length)])
        let event = try control(UInt16(first & 0xFFFF), flags, payload)
        return (event, SPDYFrame.headerSize + length)
    }

    private func takeData(_ bytes: UnsafeRawBufferPointer, headerSize: Int) -> (event: SPDYEvent?, size: Int)? {
        guard var frame = current else { return nil }
        let count = min(frame.remaining, bytes.count - headerSize, Self.pieceLimit)
        guard count > 0 || frame.remaining == 0 else { return headerSize > 0 ? (nil, headerSize) : nil }
        frame.remaining -= count
        current = frame.remaining > 0 ? frame : nil
        let isOpen = open.contains(frame.stream)
        let ends = frame.remaining == 0 && frame.ends && isOpen
        // What comes for a stream that is gone was under way when it went.
        guard isOpen, count > 0 else { return (ends ? .finished(stream: frame.stream) : nil, headerSize + count) }
        if ends { pending = .finished(stream: frame.stream) }
        return (.data(stream: frame.stream, bytes: Array(bytes[headerSize..<(headerSize + count)])), headerSize + count)
    }

    private func control(
        _ kind: UInt16, _ flags: UInt8, _ payload: UnsafeRawBufferPointer
    ) throws(SPDYError) -> SPDYEvent? {
        func need(_ count: Int) throws(SPDYError) {
            guard payload.count >= count else { throw SPDYError("a control frame is cut off") }
        }
        switch SPDYFrame.Kind(rawValue: kind) {
        case .openStream:
            try need(10)
            let stream = SPDYFrame.number(payload, at: 0) & 0x7FFF_FFFF
            // The headers are read in any case: the compression's state goes on with each block.
            let headers = try reader.read(UnsafeRawBufferPointer(rebasing: payload[10...]))
            guard stream > lastStream, stream % 2 == 1 else { throw SPDYError("stream \(stream) is out of order") }
            guard open.count < Self.streamLimit else {
                throw SPDYError("more than \(Self.streamLimit) streams are open")
            }
            lastStream = stream
            open.insert(stream)
            if flags & SPDYFrame.finFlag != 0 { pending = .finished(stream: stream) }
            return .opened(stream: stream, headers: headers)
        case .headers:
            try need(4)
            _ = try reader.read(UnsafeRawBufferPointer(rebasing: payload[4...]))
            let stream = SPDYFrame.number(payload, at: 0) & 0x7FFF_FFFF
            return flags & SPDYFrame.finFlag != 0 && open.contains(stream) ? .finished(stream: stream) : nil
        case .reset:
            try need(8)
            let stream = SPDYFrame.number(payload, at: 0) & 0x7FFF_FFFF
            return open.remove(stream) == nil ? nil : .reset(stream: stream)
        case .ping:
            try need(4)
            let number = SPDYFrame.number(payload, at: 0)
            return number % 2 == 1 ? .ping(number) : nil
        case .goAway: return .goAway
        case .reply, .settings, .windowUpdate, nil: return nil
        }
    }

    // MARK: - To the client

    /// Accepts a stream. Before anything is sent on it.
    func reply(_ stream: UInt32, to bytes: inout [UInt8]) {
        var payload: [UInt8] = []
        SPDYFrame.append(stream, to: &payload)
        SPDYFrame.control(.reply, payload + writer.write([]), to: &bytes)
    }

    /// Sends data; nothing on a stream that is gone.
    func send(_ stream: UInt32, _ payload: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
        guard open.contains(stream), !payload.isEmpty else { return }
        SPDYFrame.data(stream, ends: false, payload, to: &bytes)
    }

    /// Ends the server's direction of a stream.
    func finish(_ stream: UInt32, to bytes: inout [UInt8]) {
        guard open.contains(stream) else { return }
        SPDYFrame.data(stream, ends: true, UnsafeRawBufferPointer(start: nil, count: 0), to: &bytes)
    }

    /// Ends a stream at once, in both directions.
    func reset(_ stream: UInt32, _ status: SPDYFrame.ResetStatus, to bytes: inout [UInt8]) {
        guard open.remove(stream) != nil else { return }
        var payload: [UInt8] = []
        SPDYFrame.append(stream, to: &payload)
        SPDYFrame.append(status.rawValue, to: &payload)
        SPDYFrame.control(.reset, payload, to: &bytes)
    }

    /// Forgets a stream that both sides have finished.
    func forget(_ stream: UInt32) { open.remove(stream) }

    func pong(_ number: UInt32, to bytes: inout [UInt8]) {
        var payload: [UInt8] = []
        SPDYFrame.append(number, to: &payload)
        SPDYFrame.control(.ping, payload, to: &bytes)
    }

    /// Says that the server takes no more streams.
    func goAway(to bytes: inout [UInt8]) {
        var payload: [UInt8] = []
        SPDYFrame.append(lastStream, to: &payload)
        SPDYFrame.append(0, to: &payload)
        SPDYFrame.control(.goAway, payload, to: &bytes)
    }
}
