import Glibc
import PluginAPI
import PluginKit
import XCTest

@testable import Etcd
@testable import Kernel

/// An engine of hostd.store/1 under test, as its users see it.
final class Engine {
    let name: String
    let store: StoreClient
    let table: UnsafePointer<hostd_interface>
    private let close: () -> Void

    private init(_ name: String, _ table: UnsafePointer<hostd_interface>, _ close: @escaping () -> Void) {
        self.name = name
        self.table = table
        self.close = close
        store = StoreClient(UnsafeRawPointer(table).assumingMemoryBound(to: hostd_store_1.self))
    }

    deinit { close() }

    static func embedded() throws -> Engine {
        var template = Array("/tmp/hostd-engine-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw XCTSkip("no directory in /tmp") }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let store = try StateStore(directory: directory, options: StateStoreOptions())
        return Engine("embedded", store.makeInterface()) {
            store.close()
            try? FileTree.remove(directory)  // What is left of it lies in /tmp.
        }
    }

    static func etcd() throws -> Engine {
        let server = try EtcdServer()
        let store = try server.open()
        return Engine("etcd", RoleTable.store(store)) {
            store.close()
            withExtendedLifetime(server) {}
        }
    }
}

/// Gathers what a watch delivers.
final class Gathered: @unchecked Sendable {
    // SAFETY: everything is behind `monitor`.
    private let monitor = PluginKit.Monitor()
    private var events: [String] = []
    private var revisions: [UInt64] = []
    private var progress: UInt64 = 0
    private var isResynced = false
    private var ending: String?

    func take(_ message: StoreWatchMessage) {
        monitor.locked {
            switch message {
            case .events(let batch):
                for event in batch {
                    let value = event.record.withValue { String(decoding: $0, as: UTF8.self) }
                    var text = event.isDelete ? "-\(event.record.key)" : "\(event.record.key)=\(value)"
                    if event.record.hasEntered { text += " entered" }
                    if event.record.hasLeft { text += " left" }
                    if let previous = event.previous {
                        text += " was \(previous.withValue { String(decoding: $0, as: UTF8.self) })"
                    }
                    events.append(text)
                    revisions.append(event.record.revision)
                }
            case .progress(let revision): progress = max(progress, revision)
            case .resync: isResynced = true
            case .ended(let reason): ending = reason
            }
            monitor.broadcast()
        }
    }

    private func wait(_ what: String, _ condition: () -> Bool, file: StaticString, line: UInt) {
        let deadline = monotonicNanoseconds() + 60_000_000_000
        monitor.locked {
            while !condition() {
                if !monitor.wait(until: deadline), monotonicNanoseconds() >= deadline {
                    return XCTFail("\(what): there are \(events)", file: file, line: line)
                }
            }
        }
    }

    func wait(count: Int, file: StaticString = #filePath, line: UInt = #line) -> [String] {
        wait("\(count) events did not come", { events.count >= count }, file: file, line: line)
        return monitor.locked { events }
    }
    func waitForProgress(_ revision: UInt64, file: StaticString = #filePath, line: UInt = #line) {
        wait("progress to \(revision) did not come", { progress >= revision }, file: file, line: line)
    }
    func waitForResync(file: StaticString = #filePath, line: UInt = #line) {
        wait("no resync came", { isResynced }, file: file, line: line)
    }
    var all: [String] { monitor.locked { events } }
    var allRevisions: [UInt64] { monitor.locked { revisions } }
}
