import CStateStore
import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// A directory that goes away with the test.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/hostd-store-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/hostd-store-unmade"
        Leftovers.add(path)
    }

    deinit { Leftovers.remove(path) }

    func names(_ prefix: String = "") -> [String] {
        guard let directory = try? StoreDirectoryListing(path) else { return [] }
        return directory.names.filter { $0.hasPrefix(prefix) }.sorted()
    }

    func read(_ name: String) -> [UInt8] {
        guard let file = fopen(path + "/" + name, "r") else { return [] }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    func write(_ name: String, _ bytes: [UInt8]) {
        guard let file = fopen(path + "/" + name, "w") else { return XCTFail("cannot write \(name)") }
        XCTAssertEqual(fwrite(bytes, 1, bytes.count, file), bytes.count)
        fclose(file)
    }
}

private struct StoreDirectoryListing {
    var names: [String] = []
    init(_ path: String) throws {
        guard let stream = opendir(path) else { throw StoreError(HOSTD_ERROR_NOT_FOUND, path) }
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        closedir(stream)
    }
}

/// What a record says, copied.
struct Stored: Equatable {
    var key: String
    var value: String
    var revision: UInt64
    var kind = Record.Kind.put
    var flags: UInt32 = 0
    var version: UInt64 = 0

    init(_ record: Record) {
        key = record.key.text
        value = record.value.text
        revision = record.revision
        kind = record.kind
        flags = record.head.pointee.flags
        version = record.head.pointee.version
    }

    /// The records that lie behind each other in a batch.
    static func all(in data: UnsafeRawBufferPointer) -> [Stored] {
        var offset = 0
        var found: [Stored] = []
        while offset < data.count, let base = data.baseAddress,
            let size = Record.wellFormedSize(at: base + offset, available: data.count - offset),
            let record = try? Record.copy(UnsafeRawBufferPointer(start: base + offset, count: size))
        {
            found.append(Stored(record))
            record.release()
            offset += size
        }
        XCTAssertEqual(offset, data.count, "a batch consists of whole records")
        return found
    }
}

extension StateStore {
    @discardableResult
    func write(
        _ kind: Int32, _ key: String, _ value: String = "", index: [String: String] = [:], lease: UInt64 = 0,
        expected: UInt64 = 0
    ) throws -> UInt64 {
        let key = Array(key.utf8)
        let value = Array(value.utf8)
        let pairs = indexBytes(index)
        return try key.withUnsafeBytes { key in
            try value.withUnsafeBytes { value in
                try pairs.withUnsafeBytes { pairs in
                    try perform(kind, key: key, index: pairs, value: value, lease: lease, expected: expected)
                }
            }
        }
    }

    @discardableResult
    func create(_ key: String, _ value: String = "", index: [String: String] = [:], lease: UInt64 = 0) throws -> UInt64
    {
        try write(HOSTD_STORE_CREATE, key, value, index: index, lease: lease)
    }
    @discardableResult
    func put(_ key: String, _ value: String = "", index: [String: String] = [:]) throws -> UInt64 {
        try write(HOSTD_STORE_PUT, key, value, index: index)
    }
    @discardableResult
    func update(_ key: String, _ value: String, expected: UInt64 = 0) throws -> UInt64 {
        try write(HOSTD_STORE_UPDATE, key, value, expected: expected)
    }
    @discardableResult
    func remove(_ key: String, expected: UInt64 = 0) throws -> UInt64 {
        try write(HOSTD_STORE_DELETE, key, expected: expected)
    }

    func value(_ key: String, at revision: UInt64 = 0) throws -> Stored {
        let key = Array(key.utf8)
        return try key.withUnsafeBytes { key in
            let record = try get(key, revision: revision)
            defer { record.release() }
            return Stored(record)
        }
    }

    func names(
        _ prefix: String = "", selector: String = "", at revision: UInt64 = 0, limit: UInt64 = 0, after: String = ""
    ) throws -> [String] { try page(prefix, selector: selector, at: revision, limit: limit, after: after).keys }

    func page(
        _ prefix: String = "", selector: String = "", at revision: UInt64 = 0, limit: UInt64 = 0, after: String = ""
    ) throws -> (keys: [String], values: [String], revision: UInt64, more: Bool, remaining: UInt64) {
        let prefix = Array(prefix.utf8)
        let after = Array(after.utf8)
        let selector = try IndexSelector(selector)
        return try prefix.withUnsafeBytes { prefix in
            try after.withUnsafeBytes { after in
                let page = try list(prefix: prefix, selector: selector, revision: revision, limit: limit, after: after)
                defer { for record in page.records { record.release() } }
                return (
                    page.records.map { $0.key.text }, page.records.map { $0.value.text }, page.revision, page.hasMore,
                    page.remaining
                )
            }
        }
    }

    func watch(_ prefix: String = "", selector: String = "", from: UInt64 = 0, _ sink: @escaping Watch.Sink) throws
        -> UInt64
    {
        let prefix = Array(prefix.utf8)
        let selector = try IndexSelector(selector)
        return try prefix.withUnsafeBytes { prefix in
            try parts.hub.watch(prefix: prefix, selector: selector, from: from, sink: sink)
        }
    }
}

func indexBytes(_ index: [String: String]) -> [UInt8] {
    index.sorted { $0.key < $1.key }.flatMap { Array($0.key.utf8) + [0] + Array($0.value.utf8) + [0] }
}

/// One operation of a transaction, as bytes.
func operation(
    _ kind: Int32, _ key: String, _ value: String = "", expected: UInt64 = 0, lease: UInt64 = 0, flags: UInt32 = 0
) -> [UInt8] {
    let size = (48 + key.utf8.count + value.utf8.count + 7) & ~7
    let head = hostd_store_operation(
        struct_size: 48, operation_size: UInt32(size), kind: UInt32(kind), flags: flags, expected_revision: expected,
        lease: lease,
        key_size: UInt32(key.utf8.count), index_size: 0, value_size: UInt32(value.utf8.count), reserved: 0)
    var bytes = withUnsafeBytes(of: head) { Array($0) } + Array(key.utf8) + Array(value.utf8)
    bytes += [UInt8](repeating: 0, count: size - bytes.count)
    return bytes
}

/// Collects what a watch gets, and lets a test wait for it.
final class Collector: @unchecked Sendable {  // All state is behind `monitor`.
    private let monitor = Monitor()
    private var stored: [Stored] = []
    private var ends: [Int32] = []
    private var progressRevision: UInt64?

    var sink: Watch.Sink {
        { [self] kind, data in
            monitor.locked {
                switch kind {
                case HOSTD_SINK_DATA: stored += Stored.all(in: data)
                case HOSTD_SINK_PROGRESS: progressRevision = data.loadUnaligned(as: UInt64.self)
                default: ends.append(kind)
                }
                monitor.broadcast()
            }
        }
    }

    var all: [Stored] { monitor.locked { stored } }
    var ended: [Int32] { monitor.locked { ends } }
    var progress: UInt64? { monitor.locked { progressRevision } }

    private func wait(_ seconds: UInt64, _ done: () -> Bool) -> Bool {
        let deadline = monotonicNow() + seconds * 1_000_000_000
        return monitor.locked {
            while !done() { if !monitor.wait(until: deadline) { return done() } }
            return true
        }
    }

    @discardableResult
    func wait(count: Int, seconds: UInt64 = 60, file: StaticString = #filePath, line: UInt = #line) -> [Stored] {
        XCTAssertTrue(
            wait(seconds) { stored.count >= count }, "\(all.count) of \(count) events came", file: file, line: line)
        return all
    }

    func waitForProgress(_ revision: UInt64 = 0, file: StaticString = #filePath, line: UInt = #line) {
        XCTAssertTrue(
            wait(60) { progressRevision.map { $0 >= revision } ?? false }, "no progress", file: file, line: line)
    }

    func waitForEnd(file: StaticString = #filePath, line: UInt = #line) -> Int32? {
        XCTAssertTrue(wait(60) { !ends.isEmpty }, "no end", file: file, line: line)
        return ended.first
    }
}

/// Asserts that `body` fails with a code and that the message names something.
@discardableResult
func assertFails<Value>(
    _ code: Int32, naming part: String = "", file: StaticString = #filePath, line: UInt = #line,
    _ body: () throws -> Value
) -> StoreError? {
    do {
        _ = try body()
        XCTFail("no error", file: file, line: line)
        return nil
    } catch let other where !(other is StoreError) {
        XCTFail("\(other)", file: file, line: line)
        return nil
    } catch {
        guard let error = error as? StoreError else { return nil }
        XCTAssertEqual(error.code, code, error.message, file: file, line: line)
        XCTAssertTrue(
            part.isEmpty || error.message.contains(part), "\(error.message) does not name \(part)", file: file,
            line: line)
        return error
    }
}

/// Collects log lines.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])
    var log: KernelLog {
        { [self] _, message, fields in
            lines.withLock { $0.append(message + " " + fields.map { "\($0.0)=\($0.1)" }.joined(separator: " ")) }
        }
    }
    var all: [String] { lines.withLock { $0 } }
}

func smallOptions() -> StateStoreOptions {
    var options = StateStoreOptions()
    options.segmentSize = 64 << 10
    options.firstSegmentSize = 64 << 10
    options.reservedSpace = 0
    return options
}

extension iovec {
    /// Whether frames of the log are in it.
    var holdsFrames: Bool { store_find_word(iov_base, iov_len, 0, LogFormat.frameMagic) < iov_len }
}
