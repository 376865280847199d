import CObjectSchema
import Synchronization

/// The field numbers of Kubernetes' messages, read from the embedded text message by message, as they are needed.
final class ProtobufTable: Sendable {
    enum Kind: Sendable, Equatable { case integer, boolean, string, bytes, message(String) }

    struct Field: Sendable {
        let name: String
        let isRepeated: Bool
        let isInlined: Bool
        let kind: Kind
    }

    static let shared = ProtobufTable()

    private let text = EmbeddedText(hostd_protobuf_text())
    private struct State {
        /// Offset of the first row of each message.
        var offsets: [String: Int] = [:]
        var messages: [String: [UInt64: Field]] = [:]
    }
    private let state: Mutex<State>

    private init() {
        var offsets: [String: Int] = [:]
        text.forEachLine { offset, line in
            if line.first == UInt8(ascii: "M") { offsets[line.dropFirst().text] = offset + line.count + 1 }
        }
        state = Mutex(State(offsets: offsets))
    }

    /// The fields of a message by number; nil for an unknown message.
    func fields(of message: String) -> [UInt64: Field]? {
        state.withLock { state in
            if let known = state.messages[message] { return known }
            guard let offset = state.offsets[message] else { return nil }
            let fields = readRows(from: offset)
            state.messages[message] = fields
            return fields
        }
    }

    private func readRows(from start: Int) -> [UInt64: Field] {
        var fields: [UInt64: Field] = [:]
        var offset = start
        while offset < text.bytes.count, text.bytes[offset] != UInt8(ascii: "M") {
            let end = text.lineEnd(from: offset)
            let parts = text.string(offset, end).split(separator: " ")
            if parts.count == 3, let number = UInt64(parts[0]), let field = Field(name: parts[1], type: parts[2]) {
                fields[number] = field
            }
            offset = end + 1
        }
        return fields
    }
}

extension ProtobufTable.Field {
    fileprivate init?(name: Substring, type: Substring) {
        let kind: ProtobufTable.Kind? =
            switch type.dropFirst().first {
            case "i": .integer
            case "t": .boolean
            case "s": .string
            case "b": .bytes
            case "m": .message(String(type.dropFirst(2)))
            default: nil
            }
        guard let kind else { return nil }
        self.init(name: String(name), isRepeated: type.first == "*", isInlined: type.first == "^", kind: kind)
    }
}
