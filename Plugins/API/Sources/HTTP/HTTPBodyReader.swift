/// Collects the body of a request or response, within a bound (RFC 9112, sections 6 and 7). Pure.
struct HTTPBodyReader: Sendable {
    /// How the end of a body is known.
    enum Framing: Sendable, Equatable {
        case none
        /// By its length in bytes.
        case counted(Int)
        case chunked
        /// A response's, by the end of the connection: `finish` says that it has come.
        case untilClose
    }

    /// Longest chunk-size line and longest trailer section, in bytes.
    private static let lineLimit = 256
    private static let trailerLimit = 4096

    private enum State {
        case counted(remaining: Int)
        case untilClose
        case chunkSize
        case chunkData(remaining: Int)
        case chunkEnd
        case trailer(size: Int)
        case done
    }

    private var state: State
    private var line: [UInt8] = []
    private let limit: Int
    let framing: Framing
    /// What has been collected and not taken yet.
    private(set) var body: [UInt8] = []

    /// - Parameter limit: Most bytes of the body.
    init(head: HTTPRequestHead, limit: Int) throws(HTTPParseError) {
        try self.init(framing: head.isChunked ? .chunked : .counted(head.contentLength ?? 0), limit: limit)
    }

    /// - Parameter limit: Most bytes that are collected and not taken.
    init(framing: Framing, limit: Int) throws(HTTPParseError) {
        self.limit = limit
        self.framing = framing
        switch framing {
        case .none, .counted(0): state = .done
        case .counted(let length):
            guard length <= limit else { throw .bodyTooLarge(limit: limit) }
            state = .counted(remaining: length)
        case .chunked: state = .chunkSize
        case .untilClose: state = .untilClose
        }
    }

    /// The collected bytes, which are no longer kept: a body may be carried on while it comes.
    mutating func takeBody() -> [UInt8] {
        defer { body = [] }
        return body
    }

    /// The connection has ended; whether that is where the body ends.
    mutating func finish() -> Bool {
        if case .untilClose = state { state = .done }
        return isDone
    }

    var isDone: Bool {
        if case .done = state { true } else { false }
    }

    /// Takes bytes from the front of `bytes`; the result is how many. Stops at the end of the body.
    mutating func consume(_ bytes: UnsafeRawBufferPointer) throws(HTTPParseError) -> Int {
        var position = 0
        while position < bytes.count, !isDone {
            switch state {
            case .counted(let remaining):
                let count = min(remaining, bytes.count - position)
                if body.isEmpty { body.reserveCapacity(min(remaining, 1 << 20)) }
                body.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)]))
                position += count
                state = count == remaining ? .done : .counted(remaining: remaining - count)
            case .chunkData(let remaining):
                let count = min(remaining, bytes.count - position)
                body.append(contentsOf: bytes[position..<(position + count)])
                position += count
                state = count == remaining ? .chunkEnd : .chunkData(remaining: remaining - count)
            case .untilClose:
                body.append(contentsOf: bytes[position...])
                position = bytes.count
            case .chunkSize, .chunkEnd, .trailer:
                let byte = bytes[position]
                position += 1
                try takeLineByte(byte)
            case .done:
                break
            }
        }
        return position
    }

    private mutating func takeLineByte(_ byte: UInt8) throws(HTTPParseError) {
        guard byte == 0x0A else {
            if line.last == 0x0D { throw .malformed("a chunk line holds a bare CR") }
            guard line.count < Self.lineLimit else { throw .malformed("a chunk line is too long") }
            line.append(byte)
            return
        }
        guard line.popLast() == 0x0D else { throw .malformed("a chunk line does not end with CR LF") }
        defer { line.removeAll(keepingCapacity: true) }
        switch state {
        case .chunkSize:
            let size = try Self.chunkSize(line)
            guard body.count + size <= limit else { throw .bodyTooLarge(limit: limit) }
            state = size == 0 ? .trailer(size: 0) : .chunkData(remaining: size)
        case .chunkEnd:
            guard line.isEmpty else { throw .malformed("a chunk is longer than its size") }
            state = .chunkSize
        case .trailer(let size):
            guard size + line.count <= Self.trailerLimit else { throw .malformed("the trailer is too long") }
            state = line.isEmpty ? .done : .trailer(size: size + line.count)
        case .counted, .untilClose, .chunkData, .done:
            break
        }
    }

    private static func chunkSize(_ line: [UInt8]) throws(HTTPParseError) -> Int {
        var size = 0
        var digits = 0
        for byte in line {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            case 0x3B:
                guard digits > 0 else { throw .malformed("a chunk has no size") }
                return size
            default: throw .malformed("a chunk size is not hexadecimal")
            }
            digits += 1
            guard digits <= 8 else { throw .malformed("a chunk size is too large") }
            size = size << 4 | Int(digit)
        }
        guard digits > 0 else { throw .malformed("a chunk has no size") }
        return size
    }
}
