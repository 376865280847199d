/// The client broke SPDY.
struct SPDYError: Error, Equatable {
    var reason: String
    init(_ reason: String) { self.reason = reason }
}

/// Layout of SPDY/3.1 frames (draft-mbelshe-httpbis-spdy-00, section 2.2; 3.1 adds flow control of the session).
enum SPDYFrame {
    static let version: UInt16 = 3
    static let headerSize = 8
    /// Most bytes of a control frame that are taken; more would be headers that no client of this server sends.
    static let controlLimit = 16 * 1024
    /// A frame's last bytes on its stream.
    static let finFlag: UInt8 = 1

    enum Kind: UInt16 {
        case openStream = 1
        case reply = 2
        case reset = 3
        case settings = 4
        case ping = 6
        case goAway = 7
        case headers = 8
        case windowUpdate = 9
    }

    /// Status codes of RST_STREAM.
    enum ResetStatus: UInt32 {
        case protocolError = 1
        case invalidStream = 2
        case refusedStream = 3
        case cancel = 5
        case internalError = 6
    }

    static func append(_ value: UInt32, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt32(24), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    static func number(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// Appends a control frame.
    static func control(_ kind: Kind, flags: UInt8 = 0, _ payload: [UInt8], to bytes: inout [UInt8]) {
        append(UInt32(0x8000 | version) << 16 | UInt32(kind.rawValue), to: &bytes)
        append(UInt32(flags) << 24 | UInt32(payload.count), to: &bytes)
        bytes += payload
    }

    /// Appends a data frame; `payload` has less than 16 MiB.
    static func data(_ stream: UInt32, ends: Bool, _ payload: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
        append(stream, to: &bytes)
        append(UInt32(ends ? finFlag : 0) << 24 | UInt32(payload.count), to: &bytes)
        bytes.append(contentsOf: payload)
    }
}
