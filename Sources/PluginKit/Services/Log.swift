import Objects
import PluginAPI

/// Structured log lines (hostd.log/1), tagged with the plugin's name by the host. Any thread.
public struct Log: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_log_1>

    init(_ table: UnsafePointer<hostd_log_1>) { self.table = table }

    public func debug(_ message: String, _ fields: JSONObject = [:]) { write(UInt32(HOSTD_LOG_DEBUG), message, fields) }
    public func info(_ message: String, _ fields: JSONObject = [:]) { write(UInt32(HOSTD_LOG_INFO), message, fields) }
    public func warning(_ message: String, _ fields: JSONObject = [:]) {
        write(UInt32(HOSTD_LOG_WARNING), message, fields)
    }
    public func error(_ message: String, _ fields: JSONObject = [:]) { write(UInt32(HOSTD_LOG_ERROR), message, fields) }

    private func write(_ level: UInt32, _ message: String, _ fields: JSONObject) {
        let encoded = fields.isEmpty ? [] : JSON.object(fields).serialized()
        lend(message) { text, textSize in
            lend(encoded) { data, dataSize in
                var error = hostd_error()
                error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
                // A log line that cannot be written has nowhere to be reported.
                let status = table.pointee.log(
                    table.pointee.interface.`self`, level, text, textSize, data, dataSize, &error)
                if status < 0 { error.message.release?(error.message.context) }
            }
        }
    }
}
