import Glibc
import Objects
import PluginAPI
import Synchronization

/// What one generation of a plugin gets from the host: its `hostd_host` and its own log table. Lives until the plugin has been
/// destroyed, and somewhat longer, for a thread of it that is late.
final class HostContext: @unchecked Sendable {
    // SAFETY: everything is written once, in the initialiser, but for the ledgers, which have a lock.
    let name: String
    let log: Log
    /// Finds an interface for the plugin of that name. Unowned by nature: the host outlives its plugins.
    private let find: @Sendable (String) -> UnsafePointer<hostd_interface>?
    private let ledgers = Mutex<[String: ServiceLedger]>([:])
    private(set) var host: UnsafeMutablePointer<hostd_host>
    private(set) var logTable: UnsafeMutablePointer<hostd_log_1>

    init(name: String, log: Log, find: @escaping @Sendable (String) -> UnsafePointer<hostd_interface>?) {
        self.name = name
        self.log = log
        self.find = find
        host = .allocate(capacity: 1)
        logTable = .allocate(capacity: 1)
        let this = Unmanaged.passRetained(self).toOpaque()
        host.initialize(
            to: hostd_host(
                struct_size: UInt32(MemoryLayout<hostd_host>.size), abi_minimum: UInt32(HOSTD_ABI_VERSION),
                abi_maximum: UInt32(HOSTD_ABI_VERSION), reserved: 0, self: this,
                get_interface: { this, id in HostContext.of(this).interface(id) }))
        logTable.initialize(
            to: hostd_log_1(
                interface: NativeTable.head(hostd_log_1.self, HOSTD_LOG_1, HOSTD_LOG_1_SLOTS, this),
                log: { this, level, message, messageSize, fields, fieldsSize, error in
                    HostContext.of(this).write(
                        level, ForeignBytes.borrowed(message, messageSize), ForeignBytes.borrowed(fields, fieldsSize),
                        error)
                }))
    }

    deinit {
        NativeTable.free(logTable.pointee.interface)
        logTable.deallocate()
        host.deallocate()
    }

    /// Contexts of plugins that were destroyed, the latest last.
    private static let retired = Mutex<[HostContext]>([])
    /// How many of them stay.
    private static let retention = 8

    /// The plugin has been destroyed. Once.
    func release() {
        let gone = Self.retired.withLock { retired -> HostContext? in
            retired.append(self)
            return retired.count > Self.retention ? retired.removeFirst() : nil
        }
        gone?.forget()
    }

    /// Gives up what the tables hold.
    private func forget() { Unmanaged.passUnretained(self).release() }

    private static func of(_ pointer: UnsafeMutableRawPointer?) -> HostContext {
        // SAFETY: `self` of both tables is the context that made them, retained until `release`; null is a broken caller.
        Unmanaged<HostContext>.fromOpaque(pointer!).takeUnretainedValue()
    }

    private func interface(_ id: UnsafePointer<CChar>) -> UnsafePointer<hostd_interface>? {
        let id = String(cString: id)
        guard let ends = RoleCatalog.ends[id], let table = table(id) else { return table(id) }
        let ledger = ledgers.withLock { ledgers -> ServiceLedger? in
            if ledgers[id] == nil { ledgers[id] = ServiceLedger(table, ends: ends.isEmpty ? nil : ends) }
            return ledgers[id]
        }
        return ledger?.table ?? table
    }

    /// Ends what the plugin began and has not ended: subscriptions, timers, queues. What that was, by service and slot.
    func endForgotten() -> [(service: String, slot: String, count: Int)] {
        ledgers.withLock { $0 }.sorted { $0.key < $1.key }.flatMap { id, ledger in
            let open = ledger.open
            if !open.isEmpty { ledger.end() }
            return open.map { (id, $0.slot, $0.count) }
        }
    }

    /// An interface as the plugin gets it.
    func table(_ id: String) -> UnsafePointer<hostd_interface>? {
        if id == HOSTD_LOG_1 { return UnsafeRawPointer(logTable).assumingMemoryBound(to: hostd_interface.self) }
        return find(id)
    }

    private func write(
        _ level: UInt32, _ message: UnsafeBufferPointer<UInt8>, _ fields: UnsafeBufferPointer<UInt8>,
        _ error: UnsafeMutablePointer<hostd_error>
    ) -> Int32 {
        guard let level = Log.Level(rawValue: level) else {
            return error.fail(HOSTD_ERROR_INVALID_ARGUMENT, "the level \(level) is not 1 to 4")
        }
        guard log.isEnabled(level) else { return HOSTD_OK }
        var members = JSONObject()
        if !fields.isEmpty {
            guard fields.count <= Log.fieldsLimit else {
                return error.fail(HOSTD_ERROR_INVALID_ARGUMENT, "the fields have more than \(Log.fieldsLimit) bytes")
            }
            guard let parsed = try? JSON(parsing: UnsafeRawBufferPointer(fields)), let object = parsed.objectValue
            else {
                return error.fail(HOSTD_ERROR_INVALID_ARGUMENT, "the fields are not a JSON object")
            }
            members = object
        }
        // One byte more than the limit, so that the log marks the cut.
        let text = String(decoding: message.prefix(Log.messageLimit + 1), as: UTF8.self)
        log.write(level, name, text, members)
        return HOSTD_OK
    }
}

/// Heads of tables that the host itself provides.
enum NativeTable {
    /// The strings live until `free`: plugins may keep the pointers.
    static func head<Table>(
        _ type: Table.Type, _ id: String, _ slots: String, _ owner: UnsafeMutableRawPointer?
    ) -> hostd_interface {
        hostd_interface(
            struct_size: UInt32(MemoryLayout<Table>.size), reserved: 0, self: owner, id: UnsafePointer(strdup(id)!),
            slots: UnsafePointer(strdup(slots)!))
    }

    /// Frees the strings of a head.
    static func free(_ head: hostd_interface) {
        Glibc.free(UnsafeMutableRawPointer(mutating: head.id))
        Glibc.free(UnsafeMutableRawPointer(mutating: head.slots))
    }
}
