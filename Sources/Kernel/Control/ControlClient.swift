import Glibc
import Objects

/// Speaks to the hostd that uses a data directory.
public struct ControlClient: Sendable {
    private let directory: String

    public init(directory: String) { self.directory = directory }

    /// Sends a request and waits for its answer. The files are lent; the receiver gets descriptors of its own.
    public func request(_ request: JSON, files: [Int32] = []) throws(ControlFailure) -> JSON {
        let socket = try ControlSocket.connect(to: directory)
        defer { close(socket) }
        try ControlMessage(request, files: files).send(to: socket)
        guard let answer = try ControlMessage.receive(from: socket) else {
            throw ControlFailure("hostd closed the connection without an answer; its log says why")
        }
        for file in answer.files { close(file) }
        guard answer.json["ok"].boolValue == true else {
            throw ControlFailure(
                code: Int32(clamping: answer.json["code"].integerValue ?? -1),
                answer.json["error"].stringValue ?? "hostd failed without a reason")
        }
        return answer.json["result"]
    }
}

extension ControlClient {
    /// Calls a slot by name; the answer has `value`, `text`, `bytes` or `number`. See `ControlCommands`.
    public func call(
        _ role: String, _ slot: String, _ arguments: [JSON], plugin: String? = nil, files: [Int32] = [],
        timeoutMilliseconds: Int64 = 0
    ) throws(ControlFailure) -> JSON {
        var request: JSON = [
            "command": "call", "role": .string(role), "slot": .string(slot), "arguments": .array(arguments),
            "timeoutMilliseconds": .integer(timeoutMilliseconds),
        ]
        if let plugin { request["plugin"] = .string(plugin) }
        return try self.request(request, files: files)
    }
}
