import CObjectSchema
import Synchronization

/// The field numbers of Kubernetes' messages, read from the embedded text message by message, as they are needed.
final class ProtobufTable: Sendable {
    enum Kind: Sendable, Equatable { case integer, double, boolean, string, bytes, message(String) }

    struct Field: Sendable {
        let number: UInt64
        let name: String
        let isRepeated: Bool
        let isInlined: Bool
        /// Whether a written zero was set: the field is a pointer in Kubernetes' type, or never left out in JSON.
        let keepsZero: Bool
        let kind: Kind

        /// The message of the entries, when the field is a map. It lies in the message that has the field, and so has a longer
        /// name than others that end the same, such as ManagedFieldsEntry.
        var entry: String? {
            guard isRepeated, case .message(let type) = kind, type.hasSuffix("Entry"),
                type.utf8.count(where: { $0 == UInt8(ascii: ".") }) > 2
            else { return nil }
            return type
        }
    }

    final class Message: Sendable {
        let name: String
        let byNumber: [UInt64: Field]
        /// In the order of their numbers.
        let ordered: [Field]

        init(name: String, fields: [Field]) {
            self.name = name
            byNumber = Dictionary(fields.map { ($0.number, $0) }) { first, _ in first }
            ordered = fields.sorted { $0.number < $1.number }
        }
    }

    static let shared = ProtobufTable()

    private let text = EmbeddedText(hostd_protobuf_text())
    private struct State {
        /// Offsets of the first rows of each message, which may be described in parts.
        var offsets: [String: [Int]] = [:]
        var messages: [String: Message] = [:]
    }
    private let state: Mutex<State>

    private init() {
        var offsets: [String: [Int]] = [:]
        text.forEachLine { offset, line in
            if line.first == UInt8(ascii: "M") {
                offsets[line.dropFirst().text, default: []].append(offset + line.count + 1)
            }
        }
        state = Mutex(State(offsets: offsets))
    }

    /// All messages' names.
    var names: [String] { state.withLock { Array($0.offsets.keys) } }

    func knows(_ name: String) -> Bool { state.withLock { $0.offsets[name] != nil } }

    /// A message by its name; nil for an unknown one.
    func message(_ name: String) -> Message? {
        state.withLock { state in
            if let known = state.messages[name] { return known }
            guard let offsets = state.offsets[name] else { return nil }
            let message = Message(name: name, fields: offsets.flatMap { readRows(from: $0) })
            state.messages[name] = message
            return message
        }
    }

    private func readRows(from start: Int) -> [Field] {
        var fields: [Field] = []
        var offset = start
        while offset < text.bytes.count, text.bytes[offset] != UInt8(ascii: "M") {
            let end = text.lineEnd(from: offset)
            let parts = text.string(offset, end).split(separator: " ")
            if parts.count == 3, let field = Field(number: parts[0], name: parts[1], type: parts[2]) {
                fields.append(field)
            }
            offset = end + 1
        }
        return fields
    }
}

extension ProtobufTable.Field {
    fileprivate init?(number: Substring, name: Substring, type: Substring) {
        let kind: ProtobufTable.Kind? =
            switch type.dropFirst().first {
            case "i": .integer
            case "d": .double
            case "t": .boolean
            case "s": .string
            case "b": .bytes
            case "m": .message(String(type.dropFirst(2)))
            default: nil
            }
        guard let kind, let number = UInt64(number) else { return nil }
        self.init(
            number: number, name: String(name), isRepeated: type.first == "*", isInlined: type.first == "^",
            keepsZero: type.first == "?", kind: kind)
    }
}
