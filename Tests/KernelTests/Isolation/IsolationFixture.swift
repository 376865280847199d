import CInterposer
import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// A host with isolated plugins in directories and control groups of its own.
final class IsolationFixture: @unchecked Sendable {  // Written once; what it holds is for use from any thread.
    let directory: ScratchDirectory
    let host: PluginHost
    let store: StateStore
    private let services: KernelParts

    /// The services that plugins ask for, without a daemon around them.
    private struct KernelParts {
        let workers = WorkerPool(name: "worker", maximum: 8)
        let dispatchers = WorkerPool(name: "topics", maximum: 2)
        let timers: Timers
        let topics: Topics
        let metrics = Metrics()
        let reconcile: Reconcile

        init() {
            timers = Timers(workers: workers)
            topics = Topics(dispatchers: dispatchers)
            reconcile = Reconcile(workers: workers, timers: timers, metrics: metrics)
        }
    }

    /// Built once for all tests.
    nonisolated(unsafe) private static var built: String?  // XCTest runs one test at a time.
    nonisolated(unsafe) private static let shared = try? ScratchDirectory()

    let stopRequests = Mutexed<Int>(0)

    static func program() throws -> String {
        guard geteuid() == 0 else {
            throw XCTSkip("Isolation of plugins needs root, for users, groups and namespaces.")
        }
        if let built { return built }
        let directory = try XCTUnwrap(shared)
        let path = "\(directory.path)/hostd-plugin-process"
        let build = try Spawned([Fixture.root + "/Sources/PluginProcess/build", path])
        guard try build.wait() == 0 else { throw Spawned.Failure(message: build.errorText) }
        built = path
        return path
    }

    /// `plugins`: entries of the configuration; a library is a path below `directory`.
    init(_ plugins: String, in directory: ScratchDirectory, backOff: RestartBackOff = RestartBackOff()) throws {
        self.directory = directory
        let program = try Self.program()
        chmod(directory.path, 0o711)
        for name in ["bin", "libexec", "data"] { mkdir("\(directory.path)/\(name)", name == "data" ? 0o700 : 0o755) }
        mkdir("\(directory.path)/data/plugins", 0o700)
        unlink("\(directory.path)/libexec/hostd-plugin-process")
        guard symlink(program, "\(directory.path)/libexec/hostd-plugin-process") == 0 else {
            throw Spawned.Failure(message: "symlink: \(errno)")
        }
        let yaml = "settings: {cgroupParent: hostd-test-\(getpid())}\nplugins:\n" + plugins
        let configuration = try HostConfiguration(text: Array(yaml.utf8), file: "\(directory.path)/h.yaml")
        let log =
            getenv("HOSTD_TEST_LOG") == nil
            ? Log(level: .error, descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC)) : Log(level: .debug)
        host = PluginHost(
            configuration: configuration, search: PluginSearch(executableDirectory: "\(directory.path)/bin"), log: log)
        host.supervisors.backOff = backOff
        store = try StateStore(directory: "\(directory.path)/store", options: smallOptions())
        services = KernelParts()
    }

    func start() throws {
        host.open()
        XCTAssertEqual(host.optionMistakes(), [])
        let stopRequests = stopRequests
        let environment = HostEnvironment(
            dataDirectory: "\(directory.path)/data", listen: "127.0.0.1:6443", stopWorkloads: false,
            onStop: { _, _ in stopRequests.with { $0 += 1 } })
        try host.start(
            services: .init(
                tables: [
                    HOSTD_EVENTS_1: services.topics.makeInterface(), HOSTD_TIMERS_1: services.timers.makeInterface(),
                    HOSTD_RECONCILE_1: services.reconcile.makeInterface(),
                    HOSTD_METRICS_1: services.metrics.makeInterface(),
                ], store: store.makeInterface()),
            environment: environment,
            paths: .init(data: "\(directory.path)/data", libexec: "\(directory.path)/libexec"))
    }

    /// Ends everything, and checks that nothing is left of it.
    func stop() {
        host.stop()
        store.close()
        services.topics.close()
        services.reconcile.close()
        services.timers.close()
        services.workers.close()
        services.dispatchers.close()
        let files = KernelControlGroupFiles()
        let layout = ControlGroupLayout(mountInformation: files.read("/proc/self/mountinfo") ?? "")
        for root in layout.roots {
            let group = "\(root)/hostd-test-\(getpid())"
            XCTAssertEqual(files.directories(in: group), [], "no group is left in \(root)")
            _ = files.removeDirectory(group)
        }
    }

    /// What a call came to.
    struct Answer: Equatable {
        var status: Int32
        var text: String
        var isRetryable = false
    }

    /// Calls a slot of the shapes `boe`, `be`, `oe` or `e` of the selected provider.
    func call(_ role: String, _ slot: String, _ argument: String? = nil) -> Answer {
        guard let table = host.interface(role), let descriptor = try? SlotDescriptor(table.pointee.slots),
            let index = descriptor.find(slot)
        else { return Answer(status: -100, text: "no slot") }
        var call = interposer_call()
        let bytes = Array((argument ?? "").utf8) + [0]
        var error = ForeignBytes.emptyError()
        let status = bytes.withUnsafeBufferPointer { bytes -> Int32 in
            if argument != nil {
                call.byte_count = 1
                interposer_call_set_bytes(&call, 0, bytes.baseAddress, UInt64(bytes.count - 1))
            }
            return interposer_call_slot(table, descriptor.handle, index, &call, &error)
        }
        if status == HOSTD_OK {
            let bytes = (try? ForeignBytes.take(call.output, limit: 1 << 20)) ?? []
            return Answer(status: status, text: String(decoding: bytes, as: UTF8.self))
        }
        let isRetryable = error.retryable != 0
        return Answer(status: status, text: ForeignBytes.message(of: error), isRetryable: isRetryable)
    }

    /// Waits until `condition` holds.
    static func eventually(
        _ what: String, seconds: UInt64 = 60, file: StaticString = #filePath, line: UInt = #line,
        _ condition: () -> Bool
    ) {
        let deadline = monotonicNow() + seconds * 1_000_000_000
        while !condition() {
            guard monotonicNow() < deadline else { return XCTFail("not so: \(what)", file: file, line: line) }
            usleep(5_000)  // What is waited for shows in other processes, which tell nobody.
        }
    }

    /// Compiles a fixture plugin of one C file; the path of its library.
    static func plugin(_ source: String, name: String, in directory: ScratchDirectory, flags: [String] = []) throws
        -> String
    {
        let file = "\(directory.path)/\(name).so"
        try Fixture.compile(
            [
                "-std=gnu2x", "-D_GNU_SOURCE", "-shared", "-fPIC", "-fvisibility=hidden", "-I\(Fixture.include)",
            ] + flags + ["-o", file, "\(Fixture.root)/Tests/\(source)"])
        return file
    }
}

/// A value that several threads change.
final class Mutexed<Value>: @unchecked Sendable {  // All access is under `monitor`.
    private let monitor = Monitor()
    private var value: Value
    init(_ value: Value) { self.value = value }
    func with<Result>(_ body: (inout Value) -> Result) -> Result { monitor.locked { body(&value) } }
    var current: Value { with { $0 } }
}
