import Glibc
import Kernel
import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import API

/// The API plugin over the real kernel services, in a directory of its own, listening on a free port of loopback.
final class TestServer {
    static let token = "test-token"

    let directory: String
    let plugin: APIPlugin
    private(set) var port: UInt16 = 0
    private let services: KernelServices
    private let host: TestHost
    /// The same services as another plugin gets them.
    let kit: PluginKit.Host
    let client: APIRoleClient
    /// The store behind the API.
    let store: StoreClient

    /// `files`: the system calls under the store.
    init(options: JSON = [:], listen: String = "127.0.0.1:0", files: FileOperations = .system) throws {
        var template = Array("/tmp/hostd-api-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let configuration = try HostConfiguration(text: Array("plugins: []\n".utf8), file: "test.yaml")
        services = try KernelServices(
            directory: directory, store: configuration.store, log: Kernel.Log(level: .error), files: files)
        host = TestHost(services.forPlugins)
        kit = try PluginKit.Host(host.table)
        plugin = try APIPlugin(host: kit)
        var all = options
        all["adminToken"] = .string(Self.token)
        try plugin.configure(
            PluginConfiguration(
                options: all, settings: ["listen": .string(listen)], dataDirectory: directory,
                pluginDirectory: directory,
                libexecDirectory: directory))
        host.provide(HOSTD_API_1, try XCTUnwrap(plugin.interface(HOSTD_API_1)))
        client = try APIRoleClient(kit)
        store = try kit.store()
        do {
            try plugin.activate()
            try findPort()
        } catch {
            services.close()
            try FileTree.remove(directory)
            throw error
        }
    }

    private func findPort() throws {
        let kubeconfig = String(decoding: try AtomicFile.read(directory + "/admin.kubeconfig"), as: UTF8.self)
        let line = try XCTUnwrap(kubeconfig.split(separator: "\n").first { $0.contains("server: https://") })
        port = try XCTUnwrap(UInt16(line.split(separator: ":").last ?? ""))
    }

    /// Deactivates the plugin and activates it again, over the same store.
    func restart() throws {
        try plugin.deactivate()
        try plugin.activate()
        try findPort()
    }

    /// Asks again and again until a condition holds, for at most a minute.
    func eventually(
        _ what: String, file: StaticString = #filePath, line: UInt = #line, _ holds: () throws -> Bool
    ) throws {
        let end = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < end {
            if try holds() { return }
            usleep(5000)
        }
        XCTFail("not within a minute: \(what)", file: file, line: line)
    }

    func stop() throws {
        try plugin.deactivate()
        services.close()
        try FileTree.remove(directory)
    }

    /// A request through the role hostd.api/1.
    func inProcess(
        _ method: String, _ path: String, _ body: JSON? = nil, fence: WriteFence? = nil
    ) throws -> (code: Int32, json: JSON) {
        let answer = try client.request(
            method: method, path: path, body: body?.serialized() ?? [], deadline: 0, fence: fence)
        return (answer.code, try answer.body.json())
    }

    func connect() throws -> TLSClient { try TLSClient(port: port) }

    /// Returns when admission's caches show what is said. They follow the store within a moment; a minute is a failure.
    func settled(_ condition: (Admission) -> Bool) throws {
        let admission = try XCTUnwrap(plugin.provider.pipeline?.admission)
        let deadline = monotonicNanoseconds() + 60_000_000_000
        while !condition(admission) {
            guard monotonicNanoseconds() < deadline else {
                throw PluginError.internal("admission does not see what was written")
            }
            sched_yield()
        }
    }

    /// A request over HTTPS, on a connection of its own.
    func request(
        _ method: String, _ path: String, _ body: JSON? = nil, headers: [String: String] = [:],
        token: String? = TestServer.token
    ) throws -> TLSClient.Response {
        try request(method, path, bytes: body?.serialized(), headers: headers, token: token)
    }

    /// The same with a body that is no JSON.
    func request(
        _ method: String, _ path: String, bytes: [UInt8]?, headers: [String: String] = [:],
        token: String? = TestServer.token
    ) throws -> TLSClient.Response {
        let client = try connect()
        defer { client.close() }
        return try client.request(method, path, body: bytes, headers: headers, token: token)
    }
}

/// A host that hands out the kernel's tables, a silent log and no other plugins.
final class TestHost: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): changed by the test's thread before the plugin is active, then only read.
    private var tables: [String: UnsafePointer<hostd_interface>]
    let table: UnsafeMutablePointer<hostd_host>

    init(_ services: PluginHost.Services) {
        tables = services.tables
        table = .allocate(capacity: 1)
        tables[HOSTD_STORE_1] = services.store
        tables[HOSTD_LOG_1] = Self.log()
        tables[HOSTD_ROLES_1] = Self.roles()
        table.initialize(
            to: hostd_host(
                struct_size: UInt32(MemoryLayout<hostd_host>.size), abi_minimum: 1, abi_maximum: 1, reserved: 0,
                self: Unmanaged.passRetained(self).toOpaque(),
                get_interface: { this, id in
                    // SAFETY: `self` of the table is the TestHost given above.
                    Unmanaged<TestHost>.fromOpaque(this!).takeUnretainedValue().tables[String(cString: id)]
                }))
    }

    func provide(_ id: String, _ interface: UnsafePointer<hostd_interface>) { tables[id] = interface }

    private static func head(_ id: StaticString, _ slots: StaticString, _ size: Int) -> hostd_interface {
        func text(_ string: StaticString) -> UnsafePointer<CChar> {
            UnsafeRawPointer(string.utf8Start).assumingMemoryBound(to: CChar.self)
        }
        return hostd_interface(struct_size: UInt32(size), reserved: 0, self: nil, id: text(id), slots: text(slots))
    }

    private static func log() -> UnsafePointer<hostd_interface> {
        let table = UnsafeMutablePointer<hostd_log_1>.allocate(capacity: 1)
        table.initialize(
            to: hostd_log_1(
                interface: head("hostd.log/1", "log:ubbe", MemoryLayout<hostd_log_1>.size),
                log: { _, level, message, size, fields, fieldsSize, _ in
                    if level >= 3 { print(borrowedText(message, size), borrowedText(fields, fieldsSize)) }
                    return HOSTD_OK
                }))
        return UnsafeRawPointer(table).assumingMemoryBound(to: hostd_interface.self)
    }

    private static func roles() -> UnsafePointer<hostd_interface> {
        let table = UnsafeMutablePointer<hostd_roles_1>.allocate(capacity: 1)
        table.initialize(
            to: hostd_roles_1(
                interface: head("hostd.roles/1", "", MemoryLayout<hostd_roles_1>.size),
                describe: { _, json, _ in
                    json.pointee = hostd_buffer(copying: #"{"plugins":[]}"#)
                    return HOSTD_OK
                },
                providers: { _, _, _, json, _ in
                    json.pointee = hostd_buffer(copying: #"{"providers":[]}"#)
                    return HOSTD_OK
                },
                watch: { _, _, _, watch, _ in
                    watch.pointee = 1
                    return HOSTD_OK
                }, unwatch: { _, _, _ in HOSTD_OK }, provider: { _, _, _, _, _, _, _ in HOSTD_ERROR_NOT_FOUND }))
        return UnsafeRawPointer(table).assumingMemoryBound(to: hostd_interface.self)
    }
}
