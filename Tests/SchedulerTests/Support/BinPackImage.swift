import Foundation
import PluginAPI
import PluginKit
import Scheduler
import XCTest

/// Both schedulers behind their C tables, as a host opens them: the default one from this test's own image, scheduler-binpack
/// from a library that its build script makes.
final class SchedulerInstance: @unchecked Sendable {
    // SAFETY: used by one test, on its thread.
    enum Kind: CaseIterable { case standard, binPack }

    let kind: Kind
    let client: SchedulerClient
    private let plugin: UnsafeMutablePointer<hostd_plugin>
    private let state: UnsafePointer<hostd_state_1>

    init(_ kind: Kind, options: String = "{}") throws {
        self.kind = kind
        plugin = UnsafeMutablePointer<hostd_plugin>.allocate(capacity: 1)
        UnsafeMutableRawPointer(plugin).initializeMemory(
            as: UInt8.self, repeating: 0, count: MemoryLayout<hostd_plugin>.size)
        plugin.pointee.struct_size = UInt32(MemoryLayout<hostd_plugin>.size)
        let plugin = plugin
        switch kind {
        case .standard: try checked { PluginEntry.enter(SchedulerPlugin.self, TestHost.table, plugin, $0) }
        case .binPack:
            let entry = try BinPackImage.entry()
            try checked { entry(TestHost.table, plugin, $0) }
        }
        try checked { error in
            lend("{\"options\":\(options),\"settings\":{},\"paths\":{}}") {
                plugin.pointee.configure(plugin.pointee.`self`, $0, $1, error)
            }
        }
        func table<Table>(_ id: String, _ type: Table.Type) throws -> UnsafePointer<Table> {
            let found = try XCTUnwrap(plugin.pointee.get_interface(plugin.pointee.`self`, id), id)
            return UnsafeRawPointer(found).assumingMemoryBound(to: Table.self)
        }
        client = SchedulerClient(try table(HOSTD_SCHEDULER_1, hostd_scheduler_1.self))
        state = try table(HOSTD_STATE_1, hostd_state_1.self)
    }

    deinit {
        _ = plugin.pointee.deactivate(plugin.pointee.`self`, TestHost.error)
        plugin.pointee.destroy(plugin.pointee.`self`)
        plugin.deallocate()
    }

    func activate() throws { try checked { plugin.pointee.activate(plugin.pointee.`self`, $0) } }
    func deactivate() throws { try checked { plugin.pointee.deactivate(plugin.pointee.`self`, $0) } }

    func exportState() throws -> [UInt8] {
        try checkedBuffer { state.pointee.export_state(state.pointee.interface.`self`, $0, $1) }.array
    }

    func importState(_ bytes: [UInt8]) throws {
        try checked { error in lend(bytes) { state.pointee.import_state(state.pointee.interface.`self`, $0, $1, error) }
        }
    }

    func exportBase() throws -> (mark: UInt64, state: [UInt8]) {
        var mark: UInt64 = 0
        let base = try checkedBuffer { state.pointee.export_base(state.pointee.interface.`self`, &mark, $0, $1) }
        return (mark, base.array)
    }

    func exportChanges(since mark: UInt64) throws -> [UInt8] {
        try checkedBuffer { state.pointee.export_changes(state.pointee.interface.`self`, mark, $0, $1) }.array
    }

    func exportEnd(_ mark: UInt64) throws {
        try checked { state.pointee.export_end(state.pointee.interface.`self`, mark, $0) }
    }

    func importChanges(_ bytes: [UInt8]) throws {
        try checked { error in
            lend(bytes) { state.pointee.import_changes(state.pointee.interface.`self`, $0, $1, error) }
        }
    }

    /// What it knows in one order, whatever the kind.
    func canonicalState() throws -> [UInt8] {
        let copy = try SchedulerInstance(.binPack)
        try copy.importState(exportState())
        return try copy.exportState()
    }

    /// A fresh active instance that took over from this one.
    func successor(_ kind: Kind) throws -> SchedulerInstance {
        let successor = try SchedulerInstance(kind)
        try successor.importState(exportState())
        try successor.activate()
        return successor
    }
}

/// scheduler-binpack, built once for all tests of a run.
enum BinPackImage {
    private static let built = Result { try build() }

    static let root: String = {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(4)
        return "/" + parts.joined(separator: "/")
    }()

    static func entry() throws -> hostd_plugin_entry_function {
        let path = try built.get()
        let image = try XCTUnwrap(dlopen(path, RTLD_NOW | RTLD_LOCAL), "dlopen of \(path)")
        let symbol = try XCTUnwrap(dlsym(image, HOSTD_PLUGIN_ENTRY_SYMBOL))
        return unsafeBitCast(symbol, to: hostd_plugin_entry_function.self)
    }

    private static func build() throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "scheduler-binpack-\(ProcessInfo.processInfo.processIdentifier).so"
        ).path
        let output = try run(["\(root)/Plugins/SchedulerBinPack/build", path])
        XCTAssertEqual(output.status, 0, output.text)
        return path
    }

    static func run(_ arguments: [String]) throws -> (status: Int32, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}

/// A host that offers hostd.log/1 and nothing else.
private enum TestHost {
    nonisolated(unsafe) static let error: UnsafeMutablePointer<hostd_error> = {
        // SAFETY: passed where its content does not matter, by one test at a time.
        let error = UnsafeMutablePointer<hostd_error>.allocate(capacity: 1)
        error.initialize(to: hostd_error())
        return error
    }()

    nonisolated(unsafe) static let table: UnsafePointer<hostd_host> = {
        // SAFETY: written here once and only read afterwards.
        let table = UnsafeMutablePointer<hostd_host>.allocate(capacity: 1)
        table.initialize(
            to: hostd_host(
                struct_size: UInt32(MemoryLayout<hostd_host>.size), abi_minimum: 1, abi_maximum: 1, reserved: 0,
                self: nil,
                get_interface: { _, id in
                    String(cString: id) == HOSTD_LOG_1
                        ? UnsafeRawPointer(log).assumingMemoryBound(to: hostd_interface.self) : nil
                }))
        return UnsafePointer(table)
    }()

    nonisolated(unsafe) private static let log: UnsafePointer<hostd_log_1> = {
        // SAFETY: written here once and only read afterwards.
        let log = UnsafeMutablePointer<hostd_log_1>.allocate(capacity: 1)
        UnsafeMutableRawPointer(log).initializeMemory(
            as: UInt8.self, repeating: 0, count: MemoryLayout<hostd_log_1>.size)
        log.pointee.interface = hostd_interface(
            struct_size: UInt32(MemoryLayout<hostd_log_1>.size), reserved: 0, self: nil, id: strdup(HOSTD_LOG_1),
            slots: strdup(HOSTD_LOG_1_SLOTS))
        log.pointee.log = { _, _, _, _, _, _, _ in HOSTD_OK }
        return UnsafePointer(log)
    }()
}
