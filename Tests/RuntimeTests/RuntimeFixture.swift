import CRuntime
import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import Containers
@testable import Runtime

/// A runtime of its own for a test: own mount and network namespace, own directory, own cgroup parent, the real helper
/// and the real example image. Root only.
final class RuntimeFixture {
    let directory: String
    let cgroupParent: String
    private(set) var service: RuntimeService
    private let engine: MakeEngine
    private let logged: Journal

    typealias MakeEngine = @Sendable (EngineServices) throws(PluginError) -> any ContainerEngine

    /// What the runtime logged.
    final class Journal: Sendable {
        let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    private nonisolated(unsafe) static var isIsolated = false  // SAFETY: XCTest runs one test at a time, on one thread.
    private nonisolated(unsafe) static var number = 0  // SAFETY: as above.

    static func requireRoot() throws {
        try XCTSkipUnless(geteuid() == 0, "needs root: it makes namespaces, mounts and cgroups")
    }

    /// The engine of the default runtime.
    static let direct: MakeEngine = { services throws(PluginError) in try DirectEngine(services) }

    /// - Parameter engine: makes one for a test's directory.
    init(
        _ engine: (_ directory: String) throws -> MakeEngine = { _ in RuntimeFixture.direct }, loadImage: Bool = true
    ) throws {
        try Self.requireRoot()
        try Self.isolate()
        Self.number += 1
        directory = "/tmp/hostd-runtime-test-\(getpid())-\(Self.number)"
        cgroupParent = "hostd-test-\(getpid())-\(Self.number)"
        try AtomicFile.makeDirectory("\(directory)/plugin")
        self.engine = try engine(directory)
        logged = Journal()
        service = try Self.makeService(directory, cgroupParent, logged, self.engine)
        if loadImage { try load(try Self.exampleImage()) }
    }

    /// As a kill of hostd and a new start: the old object stops watching, a new one adopts.
    func restart() throws {
        service.close()
        service = try Self.makeService(directory, cgroupParent, logged, engine)
    }

    func close() {
        for sandbox in service.listSandboxes([:])["sandboxes"].arrayValue {
            XCTAssertNoThrow(try service.removeSandbox(["id": sandbox["id"]]))
        }
        service.close()
        let cgroups = service.cgroups
        XCTAssertNoThrow(try cgroups.remove(cgroups.parent))
        XCTAssertNoThrow(try FileTree.remove(directory))
    }

    @discardableResult
    func load(_ archive: String) throws -> JSON {
        try service.loadImage([:], archive: open(archive, O_RDONLY | O_CLOEXEC), deadline: 0)["images"]
    }

    func sandbox(_ changes: JSONObject = [:]) throws -> String {
        var config: JSON = [
            "podUID": .string(makeUID()), "name": "pod", "namespace": "default", "hostname": "pod-host",
            "logDirectory": .string("\(directory)/logs"),
        ]
        for (key, value) in changes { config[key] = value }
        return try service.runSandbox(["config": config])["sandbox"]["id"].stringValue ?? ""
    }

    /// Creates a container that runs a shell command.
    func container(_ sandbox: String, _ script: String, _ changes: JSONObject = [:]) throws -> String {
        var config: JSON = [
            "name": "main", "image": "busybox", "command": ["/bin/sh", "-c", .string(script)], "logPath": "main.log",
        ]
        for (key, value) in changes { config[key] = value }
        return try service.createContainer(["sandboxID": .string(sandbox), "config": config])["id"].stringValue ?? ""
    }

    func start(_ id: String) throws { _ = try service.startContainer(["id": .string(id)]) }

    func status(_ id: String) -> JSON { service.listContainers(["id": .string(id)])["containers"][0] }

    /// Waits for the end, at most a minute.
    func finish(_ id: String, file: StaticString = #filePath, line: UInt = #line) -> JSON {
        let container = service.state.withLock { $0.containers[id] }
        XCTAssertEqual(
            container?.ended.wait(until: monotonicNanoseconds() + 60_000_000_000), true, "still running", file: file,
            line: line)
        return status(id)
    }

    /// Runs a shell command in a container of its own and returns its end and its output, one line per log line.
    func run(_ script: String, pod: JSONObject = [:], _ changes: JSONObject = [:]) throws -> (
        status: JSON, output: [String]
    ) {
        let sandbox = try sandbox(pod)
        let id = try container(sandbox, script, changes)
        try start(id)
        let end = finish(id)
        return (end, try output(id))
    }

    func log(_ id: String) throws -> [String] {
        let path = status(id)["logPath"].stringValue ?? ""
        return String(decoding: try AtomicFile.read(path), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// The log without times and tags, of both streams or of one: their order among each other is open.
    func output(_ id: String, _ stream: String? = nil) throws -> [String] {
        try log(id).map { $0.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false) }
            .filter { stream == nil || $0[1] == stream ?? "" }
            .map { $0.dropFirst(3).joined(separator: " ") }
    }

    func exec(_ id: String, _ command: [String], _ changes: JSONObject = [:]) throws -> (
        code: Int64, output: String, error: String
    ) {
        var request: JSON = ["id": .string(id), "command": JSON(command)]
        for (key, value) in changes { request[key] = value }
        let answer = try service.execSync(request, deadline: 0)
        func text(_ name: String) -> String {
            String(decoding: Base64.decode(answer[name].stringValue ?? "") ?? [], as: UTF8.self)
        }
        return (answer["exitCode"].integerValue ?? -1, text("stdout"), text("stderr"))
    }

    // MARK: Parts

    private static func makeService(
        _ directory: String, _ parent: String, _ logged: Journal, _ engine: MakeEngine
    ) throws -> RuntimeService {
        var options = RuntimeService.Options(
            directory: "\(directory)/plugin", imageDirectory: "\(directory)/images", program: try helperProgram())
        options.cgroupParent = parent
        return try RuntimeService(
            options, layout: try CgroupLayout.ofThisMachine(),
            log: { _, message, fields in logged.add("\(message) \(JSON.object(fields).serializedString())") },
            makeEngine: engine)
    }

    /// Mounts and interfaces of the test belong to it alone and go with its process.
    static func isolate() throws {
        if isIsolated { return }
        let flags: Int32 = 0x0002_0000 | 0x4000_0000  // CLONE_NEWNS | CLONE_NEWNET
        guard runtime_unshare(flags) == 0, mount(nil, "/", nil, UInt(MS_REC) | UInt(MS_PRIVATE), nil) == 0 else {
            throw PluginError.system("make", "a mount and a network namespace", errno: errno)
        }
        isIsolated = true
    }

    static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }

    static func helperProgram() throws -> String {
        try built("hostd-container-init") { "\(root)/Sources/ContainerInit/build \($0)" }
    }

    static func exampleImage() throws -> String {
        try built("example-image.tar") { "\(root)/script/make-example-image \($0) >/dev/null" }
    }

    /// Made once for a run; HOSTD_TEST_ARTIFACTS names a directory where it lies already, for machines without a compiler.
    private static func built(_ name: String, _ command: (String) -> String) throws -> String {
        if let artifacts = getenv("HOSTD_TEST_ARTIFACTS") { return "\(String(cString: artifacts))/\(name)" }
        let path = "/tmp/hostd-runtime-test-\(getpid())-built/\(name)"
        if access(path, F_OK) == 0 { return path }
        try AtomicFile.makeDirectory("/tmp/hostd-runtime-test-\(getpid())-built")
        XCTAssertEqual(system(command(path)), 0, "could not build \(name)")
        atexit { _ = Glibc.system("rm -rf /tmp/hostd-runtime-test-\(getpid())-built") }
        return path
    }
}
