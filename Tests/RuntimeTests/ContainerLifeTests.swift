import CRuntime
import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import Containers
@testable import Runtime

/// Stop, remove, exec, attach, logs, adoption. Real containers; root only.
class ContainerLifeTests: XCTestCase {
    var fixture: RuntimeFixture!

    func makeFixture() throws -> RuntimeFixture { try RuntimeFixture() }
    override func setUpWithError() throws { fixture = try makeFixture() }
    override func tearDown() { fixture?.close() }

    func runningContainer(_ script: String, _ changes: JSONObject = [:]) throws -> String {
        let id = try fixture.container(try fixture.sandbox(), script, changes)
        try fixture.start(id)
        return id
    }

    // MARK: Stop and remove

    func testStopSendsTheSignalAndWaits() throws {
        let id = try runningContainer("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done")
        try waitForOutput(id, "ready")
        try fixture.service.stop(["id": .string(id), "timeoutSeconds": 10], deadline: 0)
        XCTAssertEqual(fixture.status(id)["exitCode"].integerValue, 7)
        XCTAssertEqual(try fixture.output(id).last, "bye")
        XCTAssertNoThrow(try fixture.service.stop(["id": .string(id), "timeoutSeconds": 1], deadline: 0))
        XCTAssertNoThrow(try fixture.service.stop(["id": "gone", "timeoutSeconds": 1], deadline: 0))
    }

    func testStopKillsWhatIgnoresTheSignal() throws {
        let id = try runningContainer("trap '' TERM; while :; do sleep 1; done")
        let begin = monotonicNanoseconds()
        try fixture.service.stop(["id": .string(id), "timeoutSeconds": 1], deadline: 0)
        XCTAssertEqual(fixture.status(id)["exitCode"].integerValue, 137)
        XCTAssertLessThan(monotonicNanoseconds() - begin, 60_000_000_000)
    }

    func testRemovalLeavesNothing() throws {
        let sandbox = try fixture.sandbox(["shareProcessNamespace": true])
        let id = try fixture.container(sandbox, "sleep 100 & sleep 100")
        try fixture.start(id)
        let group = fixture.service.state.withLock { $0.containers[id]?.cgroup }
        try fixture.service.removeSandbox(["id": .string(sandbox)])
        XCTAssertNoThrow(try fixture.service.removeSandbox(["id": .string(sandbox)]))
        XCTAssertTrue(fixture.service.listContainers([:])["containers"].isEmpty)
        let layout = fixture.service.cgroups.layout
        for root in Array(layout.controllers.values) + (layout.unified.map { [$0] } ?? []) {
            XCTAssertNotEqual(access("\(root)/\(group?.text ?? "?")", F_OK), 0, root)
        }
        let mounts = try XCTUnwrap(readSmallFile("/proc/self/mountinfo"))
        XCTAssertFalse(mounts.contains(sandbox), "a mount is left")
        XCTAssertEqual(try FileTree.names(in: "\(fixture.directory)/plugin/containers"), [])
        XCTAssertEqual(try FileTree.names(in: "\(fixture.directory)/plugin/sandboxes"), [])
        XCTAssertEqual(try FileTree.names(in: "\(fixture.directory)/plugin/staging"), [])
    }

    func testAnImageInUseStays() throws {
        let id = try runningContainer("sleep 100")
        let image = fixture.status(id)["imageID"].stringValue ?? ""
        XCTAssertThrowsError(try fixture.service.removeImage(["image": .string(image)], deadline: 0)) { error in
            XCTAssertTrue("\(error)".contains("used by 1 container"), "\(error)")
        }
        _ = try fixture.service.removeContainer(["id": .string(id)], deadline: 0)
        XCTAssertNoThrow(try fixture.service.removeImage(["image": .string(image)], deadline: 0))
        XCTAssertThrowsError(try fixture.container(try fixture.sandbox(), "true")) { error in
            XCTAssertTrue("\(error)".contains("hostd image load"), "\(error)")
        }
    }

    // MARK: Exec

    func testExecSync() throws {
        let id = try runningContainer("sleep 100", ["environment": [["name": "A", "value": "1"]]])
        let result = try fixture.exec(id, ["sh", "-c", "echo $A; hostname; echo err >&2; exit 5"])
        XCTAssertEqual(result.code, 5)
        XCTAssertEqual(result.output, "1\npod-host\n")
        XCTAssertEqual(result.error, "err\n")
        XCTAssertEqual(try fixture.exec(id, ["id", "-u"], ["user": "www-data"]).output, "33\n")
        XCTAssertEqual(try fixture.exec(id, ["sh", "-c", "kill -9 $$"]).code, 137)
        XCTAssertEqual(try fixture.exec(id, ["grep", "Seccomp:", "/proc/self/status"]).output, "Seccomp:\t2\n")
        XCTAssertThrowsError(try fixture.exec(id, ["nothing"])) { error in
            XCTAssertTrue("\(error)".contains("exec: \"nothing\": executable file not found in $PATH"), "\(error)")
        }
    }

    func testExecSyncIsBounded() throws {
        let id = try runningContainer("sleep 100")
        let begin = monotonicNanoseconds()
        XCTAssertThrowsError(try fixture.exec(id, ["sleep", "50"], ["timeoutSeconds": 1])) { error in
            XCTAssertTrue("\(error)".contains("did not end in time"), "\(error)")
        }
        XCTAssertLessThan(monotonicNanoseconds() - begin, 45_000_000_000)
        XCTAssertThrowsError(try fixture.exec(id, ["cat", "/dev/zero"])) { error in
            XCTAssertTrue("\(error)".contains("more than 16 MiB"), "\(error)")
        }
    }

    func testExecWithTerminal() throws {
        let id = try runningContainer("sleep 100")
        let pair = try Self.streamSockets()
        let done = Outcome()
        let operation = try fixture.service.exec(
            ["id": .string(id), "command": ["sh"], "tty": true], standardInput: dup(pair.second.number),
            standardOutput: -1, standardError: -1, completion: { done.set($0) })
        try fixture.service.execResize(operation, width: 91, height: 33)
        // The size may arrive after the shell's first look: ask until it has.
        Self.send(pair.first, "until stty size | grep '33 91'; do sleep 0.02; done; echo e\"\"nd\n")
        let text = Self.read(pair.first, until: "end\r\n")
        XCTAssertTrue(text.contains("33 91"), text)
        Self.send(pair.first, "exit 4\n")
        XCTAssertEqual(try done.wait()["exitCode"].integerValue, 4)
    }

    func testExecCancel() throws {
        let id = try runningContainer("sleep 100")
        let done = Outcome()
        let operation = try fixture.service.exec(
            ["id": .string(id), "command": ["sleep", "100"]], standardInput: -1, standardOutput: -1, standardError: -1,
            completion: { done.set($0) })
        try fixture.service.execCancel(operation)
        XCTAssertEqual(try done.wait()["exitCode"].integerValue, 137)
        XCTAssertNoThrow(try fixture.service.execCancel(operation))
    }

    // MARK: Attach

    func testAttachCarriesInputAndOutput() throws {
        let id = try runningContainer("cat; echo over", ["stdin": true, "stdinOnce": true])
        let input = try DescriptorPair.pipe()
        var writer: Descriptor? = Descriptor(taking: fcntl(input.second.number, F_DUPFD_CLOEXEC, 3))
        dup2(open("/dev/null", O_RDWR | O_CLOEXEC), input.second.number)
        let output = try DescriptorPair.pipe()
        let done = Outcome()
        _ = try fixture.service.attach(
            ["id": .string(id)], standardInput: dup(input.first.number), standardOutput: dup(output.second.number),
            standardError: -1, completion: { done.set($0) })
        Self.send(try XCTUnwrap(writer), "hello\n")
        XCTAssertEqual(Self.read(output.first, until: "hello\n"), "hello\n")
        writer = nil
        XCTAssertEqual(fixture.finish(id)["exitCode"].integerValue, 0)
        _ = try done.wait()
        XCTAssertEqual(try fixture.output(id), ["hello", "over"])
    }

    /// Whoever reads slowly slows the container down, and gets all of it.
    func testASlowReaderLosesNothing() throws {
        let id = try runningContainer(
            "read x; head -c 1000000 /dev/zero | tr '\\0' y; echo; echo done", ["stdin": true])
        let input = try DescriptorPair.pipe()
        let output = try DescriptorPair.pipe()
        let done = Outcome()
        _ = try fixture.service.attach(
            ["id": .string(id)], standardInput: dup(input.first.number), standardOutput: dup(output.second.number),
            standardError: -1, completion: { done.set($0) })
        dup2(open("/dev/null", O_RDWR | O_CLOEXEC), output.second.number)
        Self.send(input.second, "\n")
        usleep(200_000)  // The pipes fill up meanwhile; without the pause the case would hardly arise.
        XCTAssertEqual(fixture.status(id)["state"].stringValue, "running")
        let text = Self.read(output.first, until: "done\n")
        XCTAssertEqual(text.utf8.count, 1_000_006)
        XCTAssertEqual(fixture.finish(id)["exitCode"].integerValue, 0)
        _ = try done.wait()
        XCTAssertEqual(try fixture.output(id).reduce(0) { $0 + $1.utf8.count }, 1_000_004)
    }

    func testTerminalOfAContainer() throws {
        let id = try runningContainer("read line; echo got $line; tty", ["stdin": true, "tty": true])
        let pair = try Self.streamSockets()
        let done = Outcome()
        let operation = try fixture.service.attach(
            ["id": .string(id), "tty": true], standardInput: dup(pair.second.number), standardOutput: -1,
            standardError: -1,
            completion: { done.set($0) })
        try fixture.service.execResize(operation, width: 80, height: 24)
        Self.send(pair.first, "words\n")
        XCTAssertTrue(Self.read(pair.first, until: "/dev/pts/0\r\n").contains("got words"))
        XCTAssertEqual(fixture.finish(id)["exitCode"].integerValue, 0)
        _ = try done.wait()
    }

    // MARK: Logs

    func testLogFormat() throws {
        let (_, output) = try fixture.run("printf 'a\\nb'; head -c 20000 /dev/zero | tr '\\0' x; echo; printf end")
        XCTAssertEqual(output[0], "a")
        let id = fixture.service.listContainers([:])["containers"][0]["id"].stringValue ?? ""
        let lines = try fixture.log(id)
        let tags = lines.map { $0.split(separator: " ")[2] }
        XCTAssertEqual(tags, ["F", "P", "F", "P"], "a line that its program has not ended stays a part")
        XCTAssertEqual(output.last, "end")
        XCTAssertEqual(output[1].utf8.count, 16384)
        XCTAssertEqual(output[1].utf8.count + output[2].utf8.count, 20001)
        for line in lines {
            XCTAssertNoThrow(try Timestamp(parsing: String(line.split(separator: " ")[0])), line.prefix(40).description)
        }
    }

    func testLogIsReopened() throws {
        let id = try runningContainer("echo one; read x; echo two; sleep 100", ["stdin": true])
        try waitForOutput(id, "one")
        let path = fixture.status(id)["logPath"].stringValue ?? ""
        XCTAssertEqual(rename(path, "\(path).1"), 0)
        try fixture.service.reopenLog(["id": .string(id)])
        let input = try DescriptorPair.pipe()
        _ = try fixture.service.attach(
            ["id": .string(id)], standardInput: dup(input.first.number), standardOutput: -1, standardError: -1,
            completion: { _ in })
        Self.send(input.second, "\n")
        try waitForOutput(id, "two")
        XCTAssertEqual(try fixture.output(id), ["two"])
    }

    func testAFullDiskLosesOutputButSaysHowMuch() throws {
        let logs = "\(fixture.directory)/small"
        try AtomicFile.makeDirectory(logs)
        XCTAssertEqual(mount("tmpfs", logs, "tmpfs", 0, "size=64k"), 0)
        defer { umount2(logs, Int32(MNT_DETACH)) }
        // What takes room that comes back later. The log itself stays as it is: its monitor may say how much was lost at any time.
        let filler = "\(logs)/filler"
        try AtomicFile.write([UInt8](repeating: 0, count: 32 << 10), to: filler)
        let sandbox = try fixture.sandbox(["logDirectory": .string(logs)])
        let id = try fixture.container(
            sandbox,
            "read x; i=0; while [ $i -lt 20 ]; do head -c 8000 /dev/zero | tr '\\0' z; echo; i=$((i+1)); done; echo full; read y; echo after",
            ["stdin": true])
        try fixture.start(id)
        let input = try DescriptorPair.pipe()
        let output = try DescriptorPair.pipe()
        _ = try fixture.service.attach(
            ["id": .string(id)], standardInput: dup(input.first.number), standardOutput: dup(output.second.number),
            standardError: -1, completion: { _ in })
        Self.send(input.second, "\n")
        XCTAssertTrue(Self.read(output.first, until: "full\n").hasSuffix("full\n"))
        for line in try fixture.output(id) {
            let isWhole = line.utf8.count == 8000 || line.hasSuffix("could not be written") || line == "full"
            XCTAssertTrue(isWhole, "a line is half written: \(line.prefix(100))")
        }
        XCTAssertEqual(unlink(filler), 0)
        Self.send(input.second, "\n")
        _ = fixture.finish(id)
        XCTAssertEqual(try fixture.output(id).last, "after")
        XCTAssertTrue(
            try fixture.output(id).contains {
                $0.hasSuffix("bytes of output were lost because the log could not be written")
            })
    }

    func testMountPropagation() throws {
        let shared = "\(fixture.directory)/shared"
        try AtomicFile.makeDirectory("\(shared)/host")
        try AtomicFile.makeDirectory("\(shared)/inside")
        XCTAssertEqual(mount(shared, shared, nil, UInt(MS_BIND), nil), 0)
        XCTAssertEqual(mount(nil, shared, nil, UInt(MS_SHARED), nil), 0)
        defer { umount2(shared, Int32(MNT_DETACH)) }
        let id = try runningContainer(
            "sleep 100",
            [
                "security": ["privileged": true],
                "mounts": [
                    ["hostPath": .string(shared), "containerPath": "/both", "propagation": "bidirectional"],
                    ["hostPath": .string(shared), "containerPath": "/down", "propagation": "hostToContainer"],
                    ["hostPath": .string(shared), "containerPath": "/none"],
                ],
            ])
        XCTAssertEqual(mount("fromhost", "\(shared)/host", "tmpfs", 0, nil), 0)
        XCTAssertEqual(try fixture.exec(id, ["mount", "-t", "tmpfs", "frominside", "/both/inside"]).code, 0)
        let seen = try fixture.exec(id, ["cat", "/proc/mounts"]).output
        for (path, name, expected) in [
            ("/both/host", "fromhost", true), ("/down/host", "fromhost", true), ("/none/host", "fromhost", false),
            ("/down/inside", "frominside", true), ("/none/inside", "frominside", false),
        ] { XCTAssertEqual(seen.contains("\(name) \(path) "), expected, path) }
        let host = try XCTUnwrap(readSmallFile("/proc/self/mountinfo"))
        XCTAssertTrue(host.contains("frominside"), "a bidirectional mount reaches the host")
        umount2("\(shared)/inside", Int32(MNT_DETACH))
        umount2("\(shared)/host", Int32(MNT_DETACH))
    }

    // MARK: Limits and figures

    func testStatsAndUpdate() throws {
        let id = try runningContainer("head -c 100000 /dev/urandom > /file; while :; do :; done")
        try waitUntil {
            let figures = try stats(id)
            return figures["cpuUsageNanoseconds"].integerValue ?? 0 > 10_000_000
                && figures["writableLayerBytes"].integerValue ?? 0 >= 100_000
        }
        let figures = try stats(id)
        XCTAssertGreaterThan(figures["memoryUsageBytes"].integerValue ?? 0, 0)
        XCTAssertGreaterThanOrEqual(figures["pids"].integerValue ?? 0, 1)
        try fixture.service.updateContainer([
            "id": .string(id), "resources": ["memoryLimitBytes": .integer(64 << 20), "pidsLimit": 20],
        ])
        XCTAssertTrue(
            try fixture.exec(id, ["sh", "-c", "i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done; true"]).error
                .contains(
                    "can't fork"))
    }

    func testLimitsOfAPodAreChanged() throws {
        let sandbox = try fixture.sandbox(["resources": ["cpuQuota": 10_000, "cpuPeriod": 100_000]])
        func update(_ id: String, _ quota: Int64) throws {
            try fixture.service.updateContainer([
                "id": .string(id), "resources": ["cpuQuota": .integer(quota), "cpuPeriod": 100_000],
            ])
        }
        let id = try fixture.container(sandbox, "sleep 100", ["resources": ["cpuQuota": 5_000, "cpuPeriod": 100_000]])
        try fixture.start(id)
        try update(sandbox, 30_000)
        try update(id, 20_000)
        let shown = try fixture.exec(
            id, ["sh", "-c", "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/*cpu*/cpu.cfs_quota_us 2>/dev/null"])
        XCTAssertEqual(shown.output.split(whereSeparator: \.isWhitespace).first, "20000", shown.error)
        XCTAssertThrowsError(try update("nothing", 1))
    }

    private func stats(_ id: String) throws -> JSON {
        try fixture.service.containerStats(["id": .string(id)])["stats"][0]
    }

    // MARK: Adoption

    func testARunningContainerIsAdopted() throws {
        let id = try runningContainer("echo up; read x; echo got; exit 9", ["stdin": true])
        try waitForOutput(id, "up")
        let before = fixture.status(id)
        try fixture.restart()
        XCTAssertEqual(fixture.status(id), before)
        XCTAssertEqual(try fixture.exec(id, ["echo", "in"]).output, "in\n")
        let input = try DescriptorPair.pipe()
        _ = try fixture.service.attach(
            ["id": .string(id)], standardInput: dup(input.first.number), standardOutput: -1, standardError: -1,
            completion: { _ in })
        Self.send(input.second, "go\n")
        let end = fixture.finish(id)
        XCTAssertEqual(end["exitCode"].integerValue, 9)
        XCTAssertEqual(end["startedAt"], before["startedAt"])
        XCTAssertEqual(try fixture.output(id), ["up", "got"])
    }

    func testAnEndDuringTheRestartIsKnown() throws {
        let sandbox = try fixture.sandbox()
        let id = try fixture.container(sandbox, "read x; exit 6", ["stdin": true])
        let failed = try fixture.container(sandbox, "true", ["command": ["missing"], "name": "failed"])
        let fresh = try fixture.container(sandbox, "true", ["name": "fresh"])
        try fixture.start(id)
        XCTAssertThrowsError(try fixture.start(failed))
        let monitor = try XCTUnwrap(fixture.service.state.withLock { $0.containers[id] }?.running?.start.monitor.open())
        fixture.service.close()
        kill(pid_t(fixture.status(id)["processID"].integerValue ?? 0), SIGTERM)
        kill(pid_t(fixture.status(id)["processID"].integerValue ?? 0), SIGKILL)
        var polled = pollfd(fd: monitor.number, events: Int16(POLLIN), revents: 0)
        XCTAssertEqual(poll(&polled, 1, 5_000), 1)
        try fixture.restart()
        XCTAssertEqual(fixture.status(id)["state"].stringValue, "exited")
        XCTAssertEqual(fixture.status(id)["exitCode"].integerValue, 137)
        XCTAssertEqual(fixture.status(failed)["reason"].stringValue, "StartError")
        XCTAssertTrue(fixture.status(failed)["message"].stringValue?.contains("\"missing\"") == true)
        XCTAssertEqual(fixture.status(fresh)["state"].stringValue, "created")
        XCTAssertNoThrow(try fixture.start(fresh))
        XCTAssertEqual(fixture.finish(fresh)["exitCode"].integerValue, 0)
    }

    /// hostd ends after it has spawned the monitor and before it heard of the start: the next one waits for it.
    func testAStartThatIsUnderWayIsAdopted() throws {
        let id = try fixture.container(try fixture.sandbox(), "echo once; sleep 100")
        let service = fixture.service
        let container = try XCTUnwrap(service.state.withLock { $0.containers[id] })
        let sandbox = try XCTUnwrap(service.state.withLock { $0.sandboxes[container.sandboxID] })
        let image = try XCTUnwrap(service.images.find(container.image.description))
        _ = try service.engine.start(container, sandbox, image)
        try waitUntil { access("\(container.directory)/control", F_OK) == 0 }
        try fixture.restart()
        XCTAssertEqual(fixture.status(id)["state"].stringValue, "running")
        try waitForOutput(id, "once")
        XCTAssertEqual(try fixture.exec(id, ["true"]).code, 0)
        try fixture.service.stop(["id": .string(id), "timeoutSeconds": 0], deadline: 0)
        XCTAssertEqual(fixture.status(id)["exitCode"].integerValue, 137)
    }

    func testALostMonitorEndsItsContainer() throws {
        let id = try runningContainer("sleep 100")
        let start = try XCTUnwrap(fixture.service.state.withLock { $0.containers[id] }?.running?.start)
        kill(start.monitor.process, SIGKILL)
        let end = fixture.finish(id)
        XCTAssertEqual(end["reason"].stringValue, "Unknown")
        XCTAssertEqual(end["exitCode"].integerValue, 255)
        try waitUntil { try ProcessIdentity.current(start.process.process) != start.process }
    }

    func testHalfMadeThingsAreRemoved() throws {
        let plugin = "\(fixture.directory)/plugin"
        try AtomicFile.makeDirectory("\(plugin)/containers/torn/upper")
        try AtomicFile.write(Array("{\"version\":1,".utf8), to: "\(plugin)/containers/torn/record.json")
        try AtomicFile.makeDirectory("\(plugin)/sandboxes/empty")
        try AtomicFile.makeDirectory("\(fixture.directory)/images/layers/99/etc")
        try AtomicFile.makeDirectory("\(fixture.directory)/images/staging/plugin/load-1")
        try AtomicFile.makeDirectory("\(plugin)/staging/removed-1")
        let cgroups = fixture.service.cgroups
        try cgroups.createPod(cgroups.pod("stray"), Resources())
        // A pod of another runtime below the same parent is none of this one's business.
        let foreign = cgroups.parent.child("other-pod1")
        try cgroups.createPod(foreign, Resources())
        try fixture.restart()
        for path in [
            "plugin/containers/torn", "plugin/sandboxes/empty", "images/layers/99", "images/staging/plugin/load-1",
            "plugin/staging/removed-1",
        ] {
            XCTAssertNotEqual(access("\(fixture.directory)/\(path)", F_OK), 0, path)
        }
        XCTAssertEqual(try fixture.service.cgroups.pods(), [])
        XCTAssertEqual(access(try XCTUnwrap(cgroups.unifiedDirectory(foreign)), F_OK), 0)
        try cgroups.remove(foreign)
    }

    func testEventsAreReported() throws {
        let seen = Mutex<[String]>([])
        let watch = try fixture.service.watch { event in seen.withLock { $0.append(event["type"].stringValue ?? "") } }
        let id = try runningContainer("true")
        _ = fixture.finish(id)
        try waitUntil { seen.withLock { $0.count } >= 3 }
        _ = try fixture.service.removeContainer(["id": .string(id)], deadline: 0)
        try fixture.service.watchCancel(watch)
        XCTAssertEqual(seen.withLock { $0 }, ["created", "started", "exited", "removed"])
    }

    // MARK: Latency

    func testStartIsQuick() throws {
        let sandbox = try fixture.sandbox()
        var times: [UInt64] = []
        for _ in 0..<20 {
            let id = try fixture.container(sandbox, "sleep 100", ["command": ["sleep", "100"]])
            let begin = monotonicNanoseconds()
            try fixture.start(id)
            times.append(monotonicNanoseconds() - begin)
            _ = try fixture.service.removeContainer(["id": .string(id)], deadline: 0)
        }
        let median = times.sorted()[times.count / 2]
        print("start → running: median \(median / 1000) µs, slowest \((times.max() ?? 0) / 1000) µs")
        XCTAssertLessThan(median, 500_000_000, "a bound for the slowest machine; script/bench has the figure")
    }

    // MARK: Parts

    /// How an operation ended.
    final class Outcome: Sendable {
        private let result = Mutex<Result<JSON, PluginError>?>(nil)
        private let latch = Latch()

        func set(_ outcome: Result<JSON, PluginError>) {
            result.withLock { $0 = outcome }
            latch.open()
        }

        func wait() throws -> JSON {
            guard latch.wait(until: monotonicNanoseconds() + 60_000_000_000) else {
                throw PluginError.deadlineExceeded("no completion")
            }
            return try XCTUnwrap(result.withLock { $0 }).get()
        }
    }

    private static func streamSockets() throws -> DescriptorPair {
        var ends: [Int32] = [-1, -1]
        XCTAssertEqual(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends), 0)
        return DescriptorPair(first: Descriptor(taking: ends[0]), second: Descriptor(taking: ends[1]))
    }

    static func send(_ descriptor: Descriptor, _ text: String) {
        var text = text
        let count = text.utf8.count
        XCTAssertEqual(text.withUTF8 { write(descriptor.number, $0.baseAddress, $0.count) }, count)
    }

    static func read(_ descriptor: Descriptor, until end: String) -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        let deadline = monotonicNanoseconds() + 60_000_000_000
        while monotonicNanoseconds() < deadline {
            var polled = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            if poll(&polled, 1, 100) <= 0 { continue }
            let count = Glibc.read(descriptor.number, &chunk, chunk.count)
            if count <= 0 { break }
            bytes += chunk[0..<count]
            // The end may lie across two chunks. All the bytes again for each chunk would take seconds, and the monitor
            // gives who attached only one second to take theirs once the container has ended.
            if String(decoding: bytes.suffix(count + end.utf8.count), as: UTF8.self).contains(end) { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func waitForOutput(_ id: String, _ line: String) throws {
        try waitUntil { (try? fixture.output(id).contains(line)) == true }
    }

    func waitUntil(_ condition: () throws -> Bool, line: UInt = #line) throws {
        let deadline = monotonicNanoseconds() + 60_000_000_000
        while try !condition() {
            if monotonicNanoseconds() > deadline { return XCTFail("it never came about", line: line) }
            usleep(1_000)
        }
    }
}
