import CPluginCheck
import Glibc
import PluginAPI

/// What one letter of a slot is given.
enum Value {
    case number(UInt64)
    case real(Double)
    /// Borrowed bytes; nil is NULL with size 0.
    case bytes([UInt8]?)
    /// A flat struct in: its bytes, the first four of which are struct_size.
    case structure([UInt8])
    /// Room for a flat struct out.
    case room(UInt64)
    /// A pointer to room for a number or buffer.
    case output
    case error(UInt64)
    case completion, sink, callback
    /// A descriptor: an open file or socket of its own, -1, or a number that is none.
    case file(FileKind)

    enum FileKind { case socket, regular, none, closed }

    /// In words, for the report.
    var words: String {
        switch self {
        case .number(let number): number > 1 << 32 ? "0x\(String(number, radix: 16))" : "\(number)"
        case .real(let real): "\(real)"
        case .bytes(nil): "NULL, 0 bytes"
        case .bytes(let bytes?): Self.words(bytes)
        case .structure(let bytes): "a struct of \(bytes.count) bytes"
        case .room(let size): "room for \(size) bytes"
        case .output: "room"
        case .error(let size): "an error of \(size) bytes"
        case .completion: "a completion"
        case .sink: "a sink"
        case .callback: "a callback"
        case .file(let kind): "descriptor: \(kind)"
        }
    }

    private static func words(_ bytes: [UInt8]) -> String {
        let shown = String(decoding: bytes.prefix(60), as: UTF8.self).debugDescription
        return bytes.count > 60 ? "\(shown)… (\(bytes.count) bytes)" : shown
    }

    static func text(_ text: String) -> Value { .bytes(Array(text.utf8)) }

    /// A flat struct of `size` bytes with values after its size.
    static func flat(size: Int, claimed: UInt32? = nil, fill: UInt8 = 0) -> Value {
        var bytes = [UInt8](repeating: fill, count: max(size, 4))
        let claimed = claimed ?? UInt32(size)
        for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: claimed >> (8 * UInt32(index))) }
        return .structure(bytes)
    }
}
