import Objects
import PluginKit

/// The log of the node; a closure behind it lets tests read what was written.
struct NodeLog: Sendable {
    enum Level: Sendable { case debug, info, warning, error }
    let write: @Sendable (Level, String, JSONObject) -> Void

    init(_ write: @escaping @Sendable (Level, String, JSONObject) -> Void) { self.write = write }

    init(_ log: Log) {
        write = { level, message, fields in
            switch level {
            case .debug: log.debug(message, fields)
            case .info: log.info(message, fields)
            case .warning: log.warning(message, fields)
            case .error: log.error(message, fields)
            }
        }
    }

    func debug(_ message: String, _ fields: JSONObject = [:]) { write(.debug, message, fields) }
    func info(_ message: String, _ fields: JSONObject = [:]) { write(.info, message, fields) }
    func warning(_ message: String, _ fields: JSONObject = [:]) { write(.warning, message, fields) }
    func error(_ message: String, _ fields: JSONObject = [:]) { write(.error, message, fields) }

    /// The fields that tell which pod a line is about.
    static func fields(_ pod: Pod, _ more: JSONObject = [:]) -> JSONObject {
        var fields: JSONObject = [
            "pod": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid),
        ]
        for entry in more { fields[entry.key] = entry.value }
        return fields
    }
}
