import FieldManagement
import ObjectSchema
import Objects

@testable import API

/// Targets that read what clients of the API send.
enum ClientBytes {
    private static let bodyLimit = 3 << 20

    /// A request and what follows it: head, path, query and body, in pieces of a size that the first byte says. However it
    /// is cut, the outcome is that of the whole.
    static func readRequest(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let whole = read(bytes, step: bytes.count)
        let inPieces = read(bytes, step: Int(first) + 1)
        precondition(
            whole == inPieces, "in pieces of \(Int(first) + 1) bytes it reads otherwise: \(whole), \(inPieces)")
    }

    private enum Request: Equatable {
        case incomplete, refused
        case whole(target: String, body: [UInt8])
    }

    private static func read(_ bytes: UnsafeRawBufferPointer, step: Int) -> Request {
        var parser = HTTPRequestParser()
        var end = 0
        do throws(HTTPParseError) {
            while end < bytes.count {
                end = min(end + max(step, 1), bytes.count)
                guard let (head, size) = try parser.parse(UnsafeRawBufferPointer(rebasing: bytes[..<end])) else {
                    continue
                }
                look(at: head)
                return try readBody(head, UnsafeRawBufferPointer(rebasing: bytes[size...]), step: step)
            }
            return .incomplete
        } catch {
            return .refused
        }
    }

    private static func readBody(
        _ head: HTTPRequestHead, _ bytes: UnsafeRawBufferPointer, step: Int
    ) throws(HTTPParseError) -> Request {
        var reader = try HTTPBodyReader(head: head, limit: bodyLimit)
        var offset = 0
        while !reader.isDone {
            if offset == bytes.count { return .incomplete }
            let piece = UnsafeRawBufferPointer(rebasing: bytes[offset..<min(offset + max(step, 1), bytes.count)])
            let taken = try reader.consume(piece)
            precondition(taken > 0 || reader.isDone, "the body's reader takes nothing")
            offset += taken
        }
        return .whole(target: head.target, body: reader.body)
    }

    private static func look(at head: HTTPRequestHead) {
        _ = (head.method, head.allHeaders, head.header("host"), head.keepsAlive)
        let parts = head.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        _ = try? RequestPath(parsing: parts[0])
        guard parts.count == 2, let query = try? Query(parsing: parts[1]) else { return }
        if let text = query["labelSelector"] { _ = try? LabelSelector(parsing: text) }
        if let text = query["fieldSelector"] { _ = try? FieldSelector(parsing: text) }
    }

    /// Frames, in pieces of a size that the first byte says; messages are the same however they are cut.
    static func readWebSocket(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let whole = readMessages(bytes, step: bytes.count)
        let inPieces = readMessages(bytes, step: Int(first) + 1)
        precondition(whole == inPieces, "in pieces of \(Int(first) + 1) bytes there are other messages")
    }

    private static func readMessages(_ bytes: UnsafeRawBufferPointer, step: Int) -> [WebSocketMessage] {
        var parser = WebSocketParser()
        var messages: [WebSocketMessage] = []
        var (start, end) = (0, 0)
        do throws(WebSocketError) {
            while end < bytes.count {
                end = min(end + max(step, 1), bytes.count)
                while let (message, size) = try parser.parse(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) {
                    precondition(size > 0 && size <= end - start, "a message took \(size) bytes of \(end - start)")
                    if let message { messages.append(message) }
                    start += size
                }
            }
        } catch {
            precondition(!error.reason.isEmpty, "a refusal without a reason")
        }
        return messages
    }

    /// A body in Kubernetes' protobuf encoding, then through what every created object goes through.
    static func readProtobuf(_ input: UnsafeRawBufferPointer) {
        guard var object = try? KubernetesProtobuf.decode(input) else { return }
        Texts.checkText(of: object)
        guard let schema = Schema.shared.kind(of: object) else { return }
        guard (try? Schema.shared.prune(&object, as: schema)) != nil else { return }
        Texts.checkText(of: object)
    }

    /// An object and a strategic merge patch of it, between them a zero byte.
    static func applyStrategicPatch(_ input: UnsafeRawBufferPointer) {
        let parts = input.parts(2)
        guard parts.count == 2, let object = try? JSON(parsing: parts[0]), let patch = try? JSON(parsing: parts[1])
        else {
            return
        }
        guard let result = try? StrategicMergePatch.apply(patch, to: object, schema: Schema.shared.kind(of: object))
        else { return }
        Texts.checkText(of: result)
    }

    /// A live object with its managed fields, and a configuration to be applied, between them a zero byte. What was applied
    /// once, applied again, changes nothing.
    static func applyConfiguration(_ input: UnsafeRawBufferPointer) {
        let parts = input.parts(2)
        guard parts.count == 2, var live = try? JSON(parsing: parts[0]), let config = try? JSON(parsing: parts[1]),
            live.objectValue != nil, config.objectValue != nil,
            let managed = try? ManagedFields(decoding: live["metadata"]["managedFields"])
        else { return }
        if live["metadata"].objectValue != nil { live["metadata"].removeValue(forKey: "managedFields") }
        let manager = FieldManager(
            apiVersion: live["apiVersion"].stringValue ?? "", schema: Schema.shared.kind(of: live),
            convert: { object, _ in (object, nil) })
        guard
            let first = try? manager.apply(
                config, to: live, managed, manager: "fuzz", force: true, time: "2026-01-01T00:00:00Z")
        else { return }
        Texts.checkText(of: first.object)
        Texts.checkText(of: first.managed.encoded)
        do {
            let again = try manager.apply(
                config, to: first.object, first.managed, manager: "fuzz", force: true, time: "2026-01-01T00:00:00Z")
            precondition(again.object == first.object, "applying again changes the object")
        } catch {
            fatalError("applying again fails: \(error)")
        }
    }
}
