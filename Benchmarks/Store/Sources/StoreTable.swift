import BenchmarkReport
import Glibc
import Kernel
import PluginAPI
import Synchronization

/// The store's table as a plugin uses it.
struct StoreTable: @unchecked Sendable {  // The table is constant and its functions may be called from any thread.
    private let functions: hostd_store_1
    private var this: UnsafeMutableRawPointer? { functions.interface.`self` }
    /// The labels and fields of an object, as its writer hands them in.
    static let index: [UInt8] = Array("app\0web\0.spec.nodeName\0node-1\0".utf8)

    init(_ store: StateStore) {
        functions = UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self).pointee
    }

    private func check(_ status: Int32, _ error: hostd_error, _ what: String) {
        if status == HOSTD_OK { return }
        let message = UnsafeBufferPointer(start: error.message.data, count: Int(error.message.size))
        fail("\(what): status \(status) \(String(decoding: message, as: UTF8.self))")
    }

    private func emptyError() -> hostd_error {
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        return error
    }

    /// A durable create. [blocking]
    func create(_ key: String, _ value: [UInt8]) {
        var key = key
        var revision: UInt64 = 0
        var error = emptyError()
        let status = key.withUTF8 { key in
            functions.create(
                this, key.baseAddress!, UInt64(key.count), value, UInt64(value.count), Self.index,
                UInt64(Self.index.count), 0, &revision, &error)
        }
        check(status, error, "create")
    }

    /// A durable put, whose `completion` runs on the store's thread when it is on disk.
    func put(_ key: String, _ value: [UInt8], completion: @escaping @Sendable () -> Void) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(value.count + 160)
        Self.append(key, value, to: &bytes)
        var error = emptyError()
        let context = Unmanaged.passRetained(Completion(body: completion))
        let status = functions.transaction(
            this, bytes, UInt64(bytes.count),
            { context, status, _, _, _ in
                let completion = Unmanaged<Completion>.fromOpaque(context!).takeRetainedValue()
                guard status == HOSTD_OK else { fail("put: status \(status)") }
                completion.body()
            }, context.toOpaque(), &error)
        check(status, error, "put")
    }

    /// Puts many objects in one transaction and waits until it is on disk. [blocking]
    func put(_ keys: [String], _ value: [UInt8]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(keys.count * (value.count + 160))
        for key in keys { Self.append(key, value, to: &bytes) }
        var error = emptyError()
        let ending = Ending()
        let context = Unmanaged.passRetained(ending)
        let status = functions.transaction(
            this, bytes, UInt64(bytes.count),
            { context, status, _, _, _ in
                Unmanaged<Ending>.fromOpaque(context!).takeRetainedValue().status.store(status, ordering: .releasing)
            }, context.toOpaque(), &error)
        check(status, error, "transaction")
        while ending.status.load(ordering: .acquiring) == Ending.isOpen { usleep(100) }
        check(ending.status.load(ordering: .acquiring), error, "transaction")
    }

    private static func append(_ key: String, _ value: [UInt8], to bytes: inout [UInt8]) {
        let head = MemoryLayout<hostd_store_operation>.size
        let used = head + key.utf8.count + index.count + value.count
        let size = (used + 7) & ~7
        let operation = hostd_store_operation(
            struct_size: UInt32(head), operation_size: UInt32(size), kind: UInt32(HOSTD_STORE_PUT), flags: 0,
            expected_revision: 0, lease: 0, key_size: UInt32(key.utf8.count), index_size: UInt32(index.count),
            value_size: UInt32(value.count), reserved: 0)
        withUnsafeBytes(of: operation) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: key.utf8)
        bytes.append(contentsOf: index)
        bytes.append(contentsOf: value)
        bytes.append(contentsOf: repeatElement(0, count: size - used))
    }

    func get(_ key: [UInt8]) {
        var buffer = hostd_buffer()
        var error = emptyError()
        check(functions.get(this, key, UInt64(key.count), 0, &buffer, &error), error, "get")
        buffer.release?(buffer.context)
    }

    func list(_ prefix: String, limit: UInt64) {
        var page = hostd_buffer()
        var error = emptyError()
        let prefix = Array(prefix.utf8)
        let status = functions.list(
            this, prefix, UInt64(prefix.count), nil, 0, 0, limit, nil, 0, &page, &error)
        check(status, error, "list")
        page.release?(page.context)
    }

    /// A member of the store's status that is a number.
    func status(_ name: String) -> Int {
        var json = hostd_buffer()
        var error = emptyError()
        check(functions.status(this, &json, &error), error, "status")
        defer { json.release?(json.context) }
        let text = String(decoding: UnsafeBufferPointer(start: json.data, count: Int(json.size)), as: UTF8.self)
        for member in text.split(separator: ",") {
            let parts = member.split(separator: ":")
            if parts.count == 2 && parts[0].hasSuffix("\"\(name)\"") { return Int(parts[1]) ?? 0 }
        }
        fail("the store's status has no \(name): \(text)")
    }
}

private final class Completion: Sendable {
    let body: @Sendable () -> Void
    init(body: @escaping @Sendable () -> Void) { self.body = body }
}

/// How a transaction ended.
private final class Ending: Sendable {
    static let isOpen = Int32.max
    let status = Atomic<Int32>(Ending.isOpen)
}

/// The bytes that one object of these benchmarks takes in memory at the least: its record.
func recordSize(key: Int, value: Int) -> Int {
    (MemoryLayout<hostd_store_record>.size + key + StoreTable.index.count + value + 7) & ~7
}

/// Opens a store, or ends the program.
func openStore(_ path: String, _ change: (inout StateStoreOptions) -> Void = { _ in }) -> StateStore {
    var options = StateStoreOptions()
    change(&options)
    do throws(StoreError) { return try StateStore(directory: path, options: options) } catch { fail(error.message) }
}
