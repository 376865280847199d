import Glibc
import Synchronization
import XCTest

@testable import Kernel

final class PluginGroupTests: XCTestCase {
    /// Control group file systems in memory, which write down what is done.
    private final class Recorder: ControlGroupFiles {
        struct State {
            var actions: [String] = []
            var files: [String: String] = [:]
            var failing: Set<String> = []
        }
        let state: Mutex<State>

        init(_ files: [String: String] = [:], failing: Set<String> = []) {
            state = Mutex(State(files: files, failing: failing))
        }

        var actions: [String] { state.withLock { $0.actions } }

        func makeDirectory(_ path: String) throws(PluginGroup.Failure) {
            let fails = state.withLock { state in
                state.actions.append("mkdir \(path)")
                return state.failing.contains(path)
            }
            if fails { throw PluginGroup.Failure(message: "cannot make \(path)") }
        }
        func removeDirectory(_ path: String) -> Bool {
            state.withLock { $0.actions.append("rmdir \(path)") }
            return true
        }
        func read(_ path: String) -> String? { state.withLock { $0.files[path] } }
        func write(_ path: String, _ text: String) throws(PluginGroup.Failure) {
            let fails = state.withLock { state in
                state.actions.append("\(path) ← \(text)")
                return state.failing.contains(path)
            }
            if fails { throw PluginGroup.Failure(message: "cannot write \(path)") }
        }
        func directories(in path: String) -> [String] {
            (state.withLock { $0.files["\(path)/"] } ?? "").split(separator: " ").map(String.init)
        }
        func exists(_ path: String) -> Bool { state.withLock { $0.files[path] != nil } }
        func waitUntilEmpty(eventsFile: String, milliseconds: Int32) {
            state.withLock { $0.actions.append("wait \(eventsFile)") }
        }
    }

    private let v2 = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    private let v1 = """
        30 24 0:26 / /cg/memory rw - cgroup cgroup rw,memory
        31 24 0:27 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
        32 24 0:28 / /cg/pids rw shared:5 master:2 - cgroup cgroup rw,pids
        33 24 0:29 / /cg/other rw - cgroup cgroup rw,pids

        """

    private func limits() -> IsolationSettings.Limits {
        var limits = IsolationSettings.Limits()
        (limits.memory, limits.milliCPU, limits.processes) = (64 << 20, 250, 40)
        return limits
    }

    private func group(_ mounts: String, _ files: Recorder) -> PluginGroup {
        PluginGroup(
            layout: ControlGroupLayout(mountInformation: mounts), files: files, parent: "/a/b/", plugin: "p", number: 7)
    }

    func testLayouts() {
        XCTAssertTrue(ControlGroupLayout(mountInformation: v2).isUnified)
        let legacy = ControlGroupLayout(mountInformation: v1)
        XCTAssertFalse(legacy.isUnified)
        XCTAssertEqual(legacy.roots, ["/cg/memory", "/cg/cpu,cpuacct", "/cg/pids"])
        let hybrid = ControlGroupLayout(mountInformation: v1 + v2.replacing("/sys/fs/cgroup", with: "/cg/uni\\040fied"))
        XCTAssertFalse(hybrid.isUnified)
        XCTAssertEqual(hybrid.roots.last, "/cg/uni fied")
        XCTAssertEqual(ControlGroupLayout(mountInformation: "rubbish\n - \n1 2 3 - cgroup").roots, [])
    }

    func testTheUnifiedHierarchy() throws {
        let files = Recorder([
            "/sys/fs/cgroup/cgroup.controllers": "cpu io memory pids\n",
            "/sys/fs/cgroup/cgroup.subtree_control": "memory\n",
            "/sys/fs/cgroup/a/cgroup.controllers": "cpu memory pids",
            "/sys/fs/cgroup/a/cgroup.subtree_control": "cpu memory pids",
            "/sys/fs/cgroup/a/b/cgroup.controllers": "cpu memory pids",
        ])
        let group = group(v2, files)
        try group.create(limits())
        let path = "/sys/fs/cgroup/a/b/plugin-p-7"
        XCTAssertEqual(
            files.actions,
            [
                "/sys/fs/cgroup/cgroup.subtree_control ← +cpu +pids", "mkdir /sys/fs/cgroup/a",
                "mkdir /sys/fs/cgroup/a/b",
                "/sys/fs/cgroup/a/b/cgroup.subtree_control ← +cpu +memory +pids", "mkdir \(path)",
                "\(path)/memory.max ← 67108864", "\(path)/memory.swap.max ← 0", "\(path)/pids.max ← 40",
                "\(path)/cpu.max ← 25000 100000",
            ])
        XCTAssertEqual(group.joinFiles, ["\(path)/cgroup.procs"])
        files.state.withLock {
            $0.files["\(path)/memory.events"] = "low 0\noom 1\noom_kill 2\n"
            $0.files["\(path)/cgroup.kill"] = ""
            $0.actions = []
        }
        XCTAssertEqual(group.memoryKills, 2)
        XCTAssertTrue(group.remove())
        XCTAssertEqual(files.actions, ["\(path)/cgroup.kill ← 1", "wait \(path)/cgroup.events", "rmdir \(path)"])
    }

    func testTheFirstVersionAndHybrids() throws {
        let files = Recorder(failing: ["/cg/memory/a/b/plugin-p-7/memory.memsw.limit_in_bytes"])
        let group = group(v1 + v2, files)
        try group.create(limits())
        XCTAssertEqual(
            files.actions.filter { $0.contains("←") },
            [
                "/cg/memory/a/b/plugin-p-7/memory.limit_in_bytes ← 67108864",
                "/cg/memory/a/b/plugin-p-7/memory.memsw.limit_in_bytes ← 67108864",
                "/cg/pids/a/b/plugin-p-7/pids.max ← 40",
                "/cg/cpu,cpuacct/a/b/plugin-p-7/cpu.cfs_period_us ← 100000",
                "/cg/cpu,cpuacct/a/b/plugin-p-7/cpu.cfs_quota_us ← 25000",
            ], "a file that some kernels lack is no failure; nothing is delegated in v2")
        XCTAssertEqual(
            group.joinFiles,
            ["/cg/memory", "/cg/cpu,cpuacct", "/cg/pids"].map { "\($0)/a/b/plugin-p-7/tasks" }
                + ["/sys/fs/cgroup/a/b/plugin-p-7/cgroup.procs"])
        files.state.withLock {
            $0.files["/cg/memory/a/b/plugin-p-7/memory.oom_control"] = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"
        }
        XCTAssertEqual(group.memoryKills, 1)
    }

    func testAFailureLeavesNothing() {
        let files = Recorder(failing: ["/cg/pids/a/b/plugin-p-7"])
        XCTAssertThrowsError(try group(v1, files).create(limits())) {
            XCTAssertEqual(($0 as? PluginGroup.Failure)?.message, "cannot make /cg/pids/a/b/plugin-p-7")
        }
        XCTAssertEqual(files.actions.filter { $0.hasPrefix("rmdir") }.count, 3)
        XCTAssertThrowsError(try group("", Recorder()).create(limits())) {
            XCTAssertEqual(($0 as? PluginGroup.Failure)?.message, "no control group file system is mounted")
        }
    }

    func testGroupsOfAHostdBeforeAreRemoved() {
        let files = Recorder([
            "/cg/memory/a/b/": "plugin-p-3 plugin-p-x plugin-q-4 podX", "/cg/pids/a/b/": "plugin-p-5",
        ])
        PluginGroup.removeStale(
            layout: ControlGroupLayout(mountInformation: v1), files: files, parent: "a/b", plugin: "p")
        let removed = Set(files.actions.filter { $0.hasPrefix("rmdir /cg/memory") })
        XCTAssertEqual(removed, ["rmdir /cg/memory/a/b/plugin-p-3", "rmdir /cg/memory/a/b/plugin-p-5"])
    }

    func testUsersDiffer() {
        let names = (0..<100).map { "plugin-\($0)" }
        let users = names.map { PluginUsers.user(of: $0, among: names) }
        XCTAssertEqual(Set(users).count, names.count)
        XCTAssertTrue(users.allSatisfy { (1_879_048_192..<2_147_352_576).contains($0) })
        XCTAssertEqual(
            PluginUsers.user(of: "plugin-7", among: ["plugin-7"]), users[7], "others do not matter, but for accidents")
    }

    func testSettingsOfTheSandbox() throws {
        var isolation = IsolationSettings()
        isolation.grants = [.network, .capability(try XCTUnwrap(Capability("NET_ADMIN"))), .timers]
        let setting = PluginSupervisor.Setting(
            name: "p", isolation: isolation, user: 1_879_048_200, program: "/x", groupParent: "hostd")
        let places = PluginSupervisor.Places(data: "/data", directory: "/data/plugins/p")
        let text = try PluginSupervisor.sandbox(
            setting, user: 7, library: "/lib/p.so", places: geteuid() == 0 ? places : nil, hasGroup: true)
        let lines = text.split(separator: "\n").map(String.init)
        XCTAssertTrue(
            lines.contains("capabilities=1000") && lines.contains("network=1") && lines.contains("exec=0"), text)
        XCTAssertTrue(
            lines.contains("user=7") && lines.contains("files=1024") && lines.contains("library=/lib/p.so"), text)
        XCTAssertEqual(lines.contains("directory=/data/plugins/p"), geteuid() == 0)
        XCTAssertThrowsError(
            try PluginSupervisor.sandbox(setting, user: 7, library: "/lib/p\n.so", places: nil, hasGroup: true))
    }
}
