import Objects
import PluginAPI

/// Named topics between plugins (hostd.events/1). Any thread.
public struct Topics: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_events_1>

    init(_ table: UnsafePointer<hostd_events_1>) { self.table = table }

    /// Hands a message to every subscriber of a topic; a retained one also to those to come.
    public func publish(_ topic: String, _ message: JSON, retain: Bool = false) throws(PluginError) {
        let bytes = message.serialized()
        try checked { error in
            lend(topic) { name, nameSize in
                lend(bytes) { data, size in
                    table.pointee.publish(
                        table.pointee.interface.`self`, name, nameSize, data, size, retain ? 1 : 0, error)
                }
            }
        }
    }

    /// Subscribes; a retained message comes first. The handler runs serially on host threads.
    public func subscribe(
        _ topic: String, handler: @escaping @Sendable (JSON) -> Void
    ) throws(PluginError) -> Subscription {
        let table = table
        let address = UInt(bitPattern: table)
        return try SinkBox.subscribe(
            handler: { message in
                guard case .data(let bytes) = message, let json = try? JSON(parsing: bytes) else { return }
                handler(json)
            },
            start: { context, handle, error in
                lend(topic) { name, size in
                    table.pointee.subscribe(
                        table.pointee.interface.`self`, name, size, SinkBox.sink, context, handle, error)
                }
            },
            stop: { handle in
                guard let table = UnsafePointer<hostd_events_1>(bitPattern: address) else { return }
                cancelQuietly { table.pointee.unsubscribe(table.pointee.interface.`self`, handle, $0) }
            })
    }
}

/// Runs an idempotent cancel, whose only failure is that there is nothing left to cancel.
func cancelQuietly(_ call: (UnsafeMutablePointer<hostd_error>) -> Int32) {
    var error = hostd_error()
    error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
    if call(&error) < 0 { error.message.release?(error.message.context) }
}
