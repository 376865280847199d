import CInterposer
import Glibc
import Objects
import PluginAPI

/// A plugin's image after a successful entry. Its life-cycle functions are called from one thread at a time.
final class OpenPlugin: PluginImage, @unchecked Sendable {
    // SAFETY: the table is written by the entry function alone; the life cycle is serial, and get_interface any-thread.
    static let schemaLimit = 256 << 10
    /// Room for what a plugin of a later header may write.
    private static let tableSize = 1024

    let path: String
    private let memory: UnsafeMutableRawPointer

    private var table: UnsafeMutablePointer<hostd_plugin> { memory.assumingMemoryBound(to: hostd_plugin.self) }
    private var this: UnsafeMutableRawPointer? { table.pointee.`self` }

    /// Opens the image, runs its entry and negotiates the version.
    init(path: String, host: UnsafePointer<hostd_host>) throws(PluginFailure) {
        try ImageFile(path: path).check()
        // RTLD_NODELETE: an image with Swift code cannot be unmapped.
        guard let image = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) else {
            throw PluginFailure(.open, Self.loaderMessage())
        }
        guard let symbol = dlsym(image, HOSTD_PLUGIN_ENTRY_SYMBOL) else {
            throw PluginFailure(
                .entry, code: HOSTD_ERROR_NOT_SUPPORTED,
                "\(path) exports no \(HOSTD_PLUGIN_ENTRY_SYMBOL): it is not a plugin of hostd")
        }
        let entry = unsafeBitCast(symbol, to: hostd_plugin_entry_function.self)
        self.path = path
        memory = .allocate(byteCount: Self.tableSize, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.tableSize)
        memory.storeBytes(of: UInt32(MemoryLayout<hostd_plugin>.size), as: UInt32.self)
        // An object whose parts are all set is ended by its deinit when this throws.
        try Self.enter(entry, host, memory, path)
    }

    deinit { memory.deallocate() }

    private static func loaderMessage() -> String {
        guard let text = dlerror() else { return "the dynamic loader failed without a reason" }
        return "the dynamic loader says: " + Log.cut(String(cString: text))
    }

    private static func enter(
        _ entry: hostd_plugin_entry_function, _ host: UnsafePointer<hostd_host>, _ memory: UnsafeMutableRawPointer,
        _ path: String
    ) throws(PluginFailure) {
        let offered = "\(host.pointee.abi_minimum) to \(host.pointee.abi_maximum)"
        let table = memory.assumingMemoryBound(to: hostd_plugin.self)
        do { try checked(.entry) { entry(host, table, $0) } } catch {
            guard error.code == HOSTD_ERROR_VERSION else { throw error }
            throw PluginFailure(
                .entry, code: error.code, "\(error.message) (this host offers the ABI versions \(offered))")
        }
        let (size, version) = (table.pointee.struct_size, table.pointee.abi_version)
        guard (host.pointee.abi_minimum...host.pointee.abi_maximum).contains(version) else {
            throw PluginFailure(
                .entry, code: HOSTD_ERROR_VERSION,
                "the plugin speaks ABI version \(version), this host offers \(offered): use a plugin built for this host"
            )
        }
        guard size >= UInt32(MemoryLayout<hostd_plugin>.size), size <= UInt32(tableSize) else {
            throw PluginFailure(
                .entry, code: HOSTD_ERROR_VERSION,
                "the plugin's table has \(size) bytes; version \(version) needs \(MemoryLayout<hostd_plugin>.size)")
        }
        if let missing = interposer_missing_plugin_function(memory) {
            throw PluginFailure(.entry, "the plugin's table lacks the function \(String(cString: missing))")
        }
    }

    /// Runs one step and turns what it says into a failure.
    private static func checked(
        _ step: PluginFailure.Step, _ body: (UnsafeMutablePointer<hostd_error>) -> Int32
    ) throws(PluginFailure) {
        var error = ForeignBytes.emptyError()
        let status = body(&error)
        if status == HOSTD_OK { return }
        guard status < 0 else {
            throw PluginFailure(step, "the plugin returned the status \(status); allowed are 0 and negative ones")
        }
        let message = ForeignBytes.message(of: error)
        throw PluginFailure(
            step, code: status,
            message.isEmpty ? "the plugin failed with \(statusName(status)) and gave no reason" : message)
    }

    private func buffer(
        _ step: PluginFailure.Step, limit: Int,
        _ body: (UnsafeMutablePointer<hostd_buffer>, UnsafeMutablePointer<hostd_error>) -> Int32
    ) throws(PluginFailure) -> [UInt8] {
        var buffer = hostd_buffer()
        do {
            try Self.checked(step) { body(&buffer, $0) }
        } catch {
            buffer.release?(buffer.context)
            throw error
        }
        do { return try ForeignBytes.take(buffer, limit: limit) } catch {
            throw PluginFailure(step, "the plugin returned \(error.size) bytes; at most \(error.limit) are allowed")
        }
    }

    func describe() throws(PluginFailure) -> PluginDescription {
        try PluginDescription(
            parsing: try buffer(.describe, limit: PluginDescription.sizeLimit) { table.pointee.describe(this, $0, $1) })
    }

    func schema() throws(PluginFailure) -> OptionSchema {
        let bytes = try buffer(.schema, limit: Self.schemaLimit) { table.pointee.schema(this, $0, $1) }
        if bytes.isEmpty { return .none }
        do { return try OptionSchema(try JSON(parsing: bytes)) } catch let error as JSONParseError {
            throw PluginFailure(.schema, "the schema is not JSON: \(error)")
        } catch {
            throw PluginFailure(.schema, "\(error)")
        }
    }

    func configure(_ envelope: JSON) throws(PluginFailure) {
        let bytes = envelope.serialized()
        try Self.checked(.configure) { error in
            bytes.withUnsafeBufferPointer { table.pointee.configure(this, $0.baseAddress!, UInt64($0.count), error) }
        }
    }

    func activate() throws(PluginFailure) { try Self.checked(.activate) { table.pointee.activate(this, $0) } }

    func deactivate() throws(PluginFailure) { try Self.checked(.deactivate) { table.pointee.deactivate(this, $0) } }

    /// Ends the plugin; nothing of it may be used afterwards.
    func destroy() { table.pointee.destroy(this) }

    /// The plugin's table for a role that it declares, checked against what the headers say of that role.
    func interface(_ id: String) throws(PluginFailure) -> (UnsafePointer<hostd_interface>, SlotDescriptor) {
        func failure(_ message: String) -> PluginFailure { PluginFailure(.interface, "\(id): \(message)") }
        guard let found = table.pointee.get_interface(this, id) else {
            throw failure("the plugin declares the role and returns no table for it")
        }
        let head = UnsafeRawPointer(found)
        let offsets = (
            MemoryLayout<hostd_interface>.offset(of: \.id), MemoryLayout<hostd_interface>.offset(of: \.slots)
        )
        guard let idOffset = offsets.0, let slotsOffset = offsets.1,
            let theirID = head.load(fromByteOffset: idOffset, as: UnsafePointer<CChar>?.self),
            let theirSlots = head.load(fromByteOffset: slotsOffset, as: UnsafePointer<CChar>?.self)
        else { throw failure("the table has no id or no slots") }
        guard strncmp(theirID, id, 129) == 0 else {
            let name = String(
                decoding: UnsafeRawBufferPointer(start: theirID, count: strnlen(theirID, 128)), as: UTF8.self)
            throw failure("the table says that it is \"\(name)\"")
        }
        let size = found.pointee.struct_size
        guard size >= UInt32(MemoryLayout<hostd_interface>.size), size <= 65536 else {
            throw failure("the table's struct_size is \(size)")
        }
        let descriptor: SlotDescriptor
        do { descriptor = try SlotDescriptor(theirSlots) } catch { throw failure(error.description) }
        if let slots = RoleCatalog.slots(id) {
            let expected: SlotDescriptor
            do { expected = try SlotDescriptor(slots) } catch { throw failure(error.description) }
            if let reason = expected.disagreement(of: descriptor) { throw failure(reason) }
        }
        return (found, descriptor)
    }
}
