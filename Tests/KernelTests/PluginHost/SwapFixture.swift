import Glibc
import Objects
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// A host with plugins of Tests/Plugins/Swappable, and calls to their role.
final class SwapFixture {
    let directory: ScratchDirectory
    let host: PluginHost
    static let role = "com.example.count/1"
    static let format = "-DFORMAT=\"com.example.count.state/1\""

    /// `defines` of the plugin that runs first, `counter`; its library is counter.so. `yaml` replaces the configuration;
    /// with `swaps` they are kept in the directory.
    init(
        _ defines: [String] = [], yaml: String? = nil, directory: ScratchDirectory? = nil, log: Log? = nil,
        swaps: Bool = false
    ) throws {
        let scratch = try directory ?? ScratchDirectory()
        self.directory = scratch
        try Self.build("counter", defines, in: scratch)
        let text = yaml ?? "plugins: [{name: counter, library: ./counter.so}]"
        host = PluginHost(
            configuration: try HostConfiguration(text: Array(text.utf8), file: "\(scratch.path)/h.yaml"),
            search: PluginSearch(executableDirectory: "\(scratch.path)/bin"),
            dataDirectory: swaps ? scratch.path : nil,
            log: log ?? Log(level: .error, descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC)))
    }

    func start() throws {
        host.open()
        XCTAssertEqual(host.optionMistakes(), [])
        mkdir("\(directory.path)/plugins", 0o700)
        let environment = HostEnvironment(
            dataDirectory: directory.path, listen: "127.0.0.1:6443", stopWorkloads: false, onStop: { _, _ in })
        try host.start(
            services: .init(), environment: environment,
            paths: .init(data: directory.path, libexec: "\(directory.path)/libexec"))
    }

    static func build(_ name: String, _ defines: [String], in directory: ScratchDirectory) throws {
        try Fixture.compile(
            ["-std=gnu11", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,defs", "-I\(Fixture.include)"] + defines
                + ["-o", "\(directory.path)/\(name).so", "\(Fixture.root)/Tests/Plugins/Swappable/swappable.c"])
    }

    func build(_ name: String, _ defines: [String]) throws { try Self.build(name, defines, in: directory) }

    func request(_ json: JSON) throws(PluginFailure) -> JSON { try host.perform(try SwapRequest(json)) }

    /// Swaps the provider of the role to a library of the scratch directory.
    @discardableResult
    func swap(to name: String, _ more: JSON = [:]) throws(PluginFailure) -> JSON {
        var json: JSON = ["role": .string(Self.role), "library": .string("./\(name).so"), "trigger": "command"]
        for (key, value) in more.objectValue ?? [:] { json[key] = value }
        return try request(json)
    }

    func call(_ slot: String, _ arguments: [JSON] = [], plugin: String? = nil, role: String = SwapFixture.role)
        throws(PluginHost.CallFailure) -> PluginHost.CallResult
    {
        try host.call(role: role, plugin: plugin, slot: slot, arguments: arguments, files: [], deadline: 0)
    }

    func number(_ slot: String) throws -> Int { Int(try call(slot).number ?? 0) }

    /// "VERSION activations living options" of whoever answers.
    func told(plugin: String? = nil) throws -> String {
        String(decoding: try call("step", plugin: plugin).output ?? [], as: UTF8.self)
    }

    var listed: JSON { host.describe()["plugins"][0] }
}

/// Calls a slot from several threads until it is told to stop.
final class Callers: Sendable {
    let calls = Atomic<Int>(0)
    let failures = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)
    private let running = Atomic<Int>(0)

    typealias Add = @convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafeMutablePointer<hostd_error>?) -> Int32

    init(_ count: Int, table: UnsafePointer<hostd_interface>) throws {
        let address = UInt(bitPattern: table)
        running.store(count, ordering: .sequentiallyConsistent)
        for _ in 0..<count {
            try KernelThread(name: "caller") { [self] in
                guard let table = UnsafePointer<hostd_interface>(bitPattern: address) else { return }
                let add = slotFunction(table, 0, as: Add.self)
                while !isStopping.load(ordering: .relaxed) {
                    if add(table.pointee.`self`, 1, nil) == HOSTD_OK {
                        calls.add(1, ordering: .relaxed)
                    } else {
                        failures.add(1, ordering: .relaxed)
                    }
                }
                running.subtract(1, ordering: .sequentiallyConsistent)
            }.detach()
        }
    }

    /// Returns when no caller is left.
    func stop() {
        isStopping.store(true, ordering: .relaxed)
        while running.load(ordering: .sequentiallyConsistent) > 0 { usleep(200) }
    }
}
