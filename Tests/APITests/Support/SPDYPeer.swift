import Objects

@testable import API

/// The client's half of SPDY/3.1, for tests.
final class SPDYPeer {
    struct Frame: Equatable {
        /// nil for data.
        var kind: SPDYFrame.Kind?
        var stream: UInt32
        var ends = false
        var payload: [UInt8] = []
    }

    private let writer: SPDYHeaderWriter
    private let reader: SPDYHeaderReader

    init() throws {
        writer = try SPDYHeaderWriter()
        reader = try SPDYHeaderReader()
    }

    func open(_ stream: UInt32, _ headers: [String: String], ends: Bool = false) -> [UInt8] {
        var payload: [UInt8] = []
        SPDYFrame.append(stream, to: &payload)
        SPDYFrame.append(0, to: &payload)
        payload += [0, 0] + writer.write(headers.map { (name: $0.key.lowercased(), value: $0.value) })
        var bytes: [UInt8] = []
        SPDYFrame.control(.openStream, flags: ends ? 1 : 0, payload, to: &bytes)
        return bytes
    }

    func data(_ stream: UInt32, _ payload: [UInt8], ends: Bool = false) -> [UInt8] {
        var bytes: [UInt8] = []
        payload.withUnsafeBytes { SPDYFrame.data(stream, ends: ends, $0, to: &bytes) }
        return bytes
    }

    func ping(_ number: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        var payload: [UInt8] = []
        SPDYFrame.append(number, to: &payload)
        SPDYFrame.control(.ping, payload, to: &bytes)
        return bytes
    }

    /// Reads the server's next frame by `take`, which gives so many bytes.
    func next(_ take: (Int) throws -> [UInt8]) throws -> Frame {
        let head = try take(8)
        let length = Int(head[5]) << 16 | Int(head[6]) << 8 | Int(head[7])
        let payload = length > 0 ? try take(length) : []
        func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }
        guard head[0] & 0x80 != 0 else {
            return Frame(kind: nil, stream: number(head[..<4]), ends: head[4] & 1 != 0, payload: payload)
        }
        let kind = SPDYFrame.Kind(rawValue: UInt16(head[2]) << 8 | UInt16(head[3]))
        if kind == .reply {
            // The compression's state goes on over all replies.
            _ = try Array(payload[4...]).withUnsafeBytes { try reader.read($0) }
        }
        return Frame(
            kind: kind, stream: payload.count >= 4 ? number(payload[..<4]) : 0, ends: head[4] & 1 != 0,
            payload: Array(payload.dropFirst(4)))
    }
}
