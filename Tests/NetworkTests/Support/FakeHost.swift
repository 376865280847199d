import Objects
import PluginAPI
import PluginKit
import Synchronization

/// A host with the services that the plugin uses: log, events, environment. What it was told is kept here.
enum FakeHost {
    struct State: Sendable {
        var log: [String] = []
        var topics: [String: String] = [:]
        var stopsWorkloads = false
    }
    static let state = Mutex(State())

    private static func interface<Table>(
        _ type: Table.Type, _ id: String, _ slots: String, _ fill: (UnsafeMutablePointer<Table>) -> Void
    ) -> UnsafePointer<hostd_interface> {
        let table = UnsafeMutablePointer<Table>.allocate(capacity: 1)
        UnsafeMutableRawPointer(table).initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<Table>.size)
        let head = UnsafeMutableRawPointer(table).assumingMemoryBound(to: hostd_interface.self)
        head.initialize(
            to: hostd_interface(
                struct_size: UInt32(MemoryLayout<Table>.size), reserved: 0, self: nil, id: permanent(id),
                slots: permanent(slots)))
        fill(table)
        return UnsafePointer(head)
    }

    /// Tables and their texts live as long as the test process.
    private static func permanent(_ text: String) -> UnsafePointer<CChar> {
        let bytes = text.utf8CString
        let memory = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (index, byte) in bytes.enumerated() { memory[index] = byte }
        return UnsafePointer(memory)
    }

    private struct Tables: @unchecked Sendable {
        // SAFETY: made once, never changed.
        let log = interface(hostd_log_1.self, HOSTD_LOG_1, HOSTD_LOG_1_SLOTS) { table in
            table.pointee.log = { _, _, message, size, _, _, _ in
                let text = borrowedText(message, size)
                FakeHost.state.withLock { $0.log.append(text) }
                return HOSTD_OK
            }
        }
        let events = interface(hostd_events_1.self, HOSTD_EVENTS_1, HOSTD_EVENTS_1_SLOTS) { table in
            table.pointee.publish = { _, topic, topicSize, message, size, _, _ in
                let (name, text) = (borrowedText(topic, topicSize), borrowedText(message, size))
                FakeHost.state.withLock { $0.topics[name] = text }
                return HOSTD_OK
            }
        }
        let environment = interface(hostd_environment_1.self, HOSTD_ENVIRONMENT_1, HOSTD_ENVIRONMENT_1_SLOTS) { table in
            table.pointee.describe = { _, buffer, _ in
                let stops = FakeHost.state.withLock { $0.stopsWorkloads }
                buffer.pointee = hostd_buffer(copying: ["stopWorkloads": .bool(stops)])
                return HOSTD_OK
            }
        }
    }
    private static let tables = Tables()

    /// A host for one plugin.
    static func make() throws -> Host {
        let table = UnsafeMutablePointer<hostd_host>.allocate(capacity: 1)
        table.initialize(
            to: hostd_host(
                struct_size: UInt32(MemoryLayout<hostd_host>.size), abi_minimum: 1, abi_maximum: 1, reserved: 0,
                self: nil,
                get_interface: { _, id in
                    switch String(cString: id) {
                    case HOSTD_LOG_1: FakeHost.tables.log
                    case HOSTD_EVENTS_1: FakeHost.tables.events
                    case HOSTD_ENVIRONMENT_1: FakeHost.tables.environment
                    default: nil
                    }
                }))
        return try Host(table)
    }
}
