import CRuntime
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import Containers
@testable import Runtime

/// The cgroup logic against a recording of the kernel's files.
final class CgroupDriverTests: XCTestCase {
    private static let hybrid = """
        30 1 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
        31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
        32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
        33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
        34 30 0:30 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
        35 30 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
        36 30 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
        37 30 0:33 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw
        38 1 0:32 / /again rw - cgroup cgroup rw,memory
        """

    func testLayouts() {
        let hybrid = CgroupLayout(mountInformation: Self.hybrid)
        XCTAssertEqual(hybrid.mode, .hybrid)
        XCTAssertEqual(hybrid.unified, "/sys/fs/cgroup/uni fied")
        XCTAssertEqual(hybrid.controllers["cpuacct"], "/sys/fs/cgroup/cpu,cpuacct")
        XCTAssertEqual(hybrid.controllers["memory"], "/sys/fs/cgroup/memory")
        XCTAssertEqual(
            CgroupLayout(mountInformation: "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate").mode, .v2)
        XCTAssertEqual(CgroupLayout(mountInformation: String(Self.hybrid.split(separator: "\n")[2])).mode, .v1)
        XCTAssertEqual(CgroupLayout(mountInformation: "garbage\n\n - \n1 2 - cgroup").controllers, [:])
    }

    private let unified = CgroupLayout(unified: "/u", controllers: [:])
    private let legacy = CgroupLayout(
        unified: nil,
        controllers: [
            "memory": "/m", "cpu": "/c", "cpuacct": "/c", "pids": "/p", "devices": "/d", "freezer": "/f",
            "cpuset": "/s",
        ])

    private func driver(_ layout: CgroupLayout, _ files: RecordedFiles = RecordedFiles()) throws -> CgroupDriver {
        try CgroupDriver(layout: layout, files: files, parent: "hostd")
    }

    func testSettings() throws {
        let rows: [(resources: JSON, unified: [String], legacy: [String])] = [
            ([:], [], []),
            (
                ["memoryLimitBytes": 1000], ["memory.max=1000", "memory.swap.max=0"],
                ["memory.memsw.limit_in_bytes=1000", "memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=1000"]
            ),
            (
                ["memoryLimitBytes": 0], ["memory.max=max"],
                ["memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"]
            ),
            (["cpuShares": 1024], ["cpu.weight=39"], ["cpu.shares=1024"]),
            (["cpuShares": 2], ["cpu.weight=1"], ["cpu.shares=2"]),
            (["cpuShares": 262144], ["cpu.weight=10000"], ["cpu.shares=262144"]),
            (["cpuQuota": 50000], ["cpu.max=50000 100000"], ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000"]),
            (
                ["cpuQuota": -1, "cpuPeriod": 20000], ["cpu.max=max 20000"],
                ["cpu.cfs_period_us=20000", "cpu.cfs_quota_us=-1"]
            ),
            (["pidsLimit": 5], ["pids.max=5"], ["pids.max=5"]),
            (["pidsLimit": 0], ["pids.max=max"], ["pids.max=max"]),
            (
                ["cpusetCPUs": "0-1", "cpusetMemoryNodes": "0"], ["cpuset.cpus=0-1", "cpuset.mems=0"],
                ["cpuset.cpus=0-1", "cpuset.mems=0"]
            ),
        ]
        let path = CgroupPath(components: ["hostd", "x"])
        func text(_ settings: [CgroupDriver.Setting]) -> [String] {
            settings.map { "\($0.file.split(separator: "/").last ?? "")=\($0.value)" }
        }
        for row in rows {
            let resources = try Resources(row.resources)
            XCTAssertEqual(text(try driver(unified).settings(path, resources)), row.unified, "\(row.resources)")
            XCTAssertEqual(text(try driver(legacy).settings(path, resources)), row.legacy, "\(row.resources)")
        }
    }

    func testBadResources() {
        let rows: [JSON] = [
            ["memoryLimitBytes": "1G"], ["cpuShares": -1], ["oomScoreAdjust": 2000], ["cpusetCPUs": "0; rm"],
            ["hugepageLimits": [["pageSize": "../x", "limit": 1]]],
        ]
        for row in rows { XCTAssertThrowsError(try Resources(row), "\(row)") }
    }

    func testPreparationDelegatesControllers() throws {
        let files = RecordedFiles([
            "/u/cgroup.controllers": "cpu memory pids rdma\n", "/u/cgroup.subtree_control": "cpu\n",
        ])
        try driver(unified, files).prepare()
        XCTAssertEqual(
            files.writes,
            ["/u/cgroup.subtree_control +memory +pids", "/u/hostd/cgroup.subtree_control +cpu +memory +pids"])
        let poor = RecordedFiles(["/u/cgroup.controllers": "cpu\n"])
        XCTAssertThrowsError(try driver(unified, poor).prepare()) {
            XCTAssertTrue("\($0)".contains("memory and pids"), "\($0)")
        }
    }

    func testJoining() throws {
        let path = CgroupPath(components: ["hostd", "podx", "c"])
        XCTAssertEqual(try driver(unified).joinFiles(path), [])
        XCTAssertEqual(try driver(unified).unifiedDirectory(path), "/u/hostd/podx/c")
        XCTAssertEqual(try driver(unified).oomFile(path), "/u/hostd/podx/c/memory.events")
        XCTAssertEqual(
            try driver(legacy).joinFiles(path), ["/m", "/c", "/p", "/d", "/f"].map { "\($0)/hostd/podx/c/tasks" })
        XCTAssertEqual(try driver(legacy).oomFile(path), "/m/hostd/podx/c/memory.oom_control")
        let files = RecordedFiles()
        let both = CgroupLayout(unified: "/u", controllers: legacy.controllers)
        let driver = try driver(both, files)
        try driver.create(path, try Resources(["cpusetCPUs": "0"]))
        XCTAssertEqual(driver.joinFiles(path), ["/m", "/c", "/p", "/s"].map { "\($0)/hostd/podx/c/tasks" })
        XCTAssertTrue(files.directories.contains("/u/hostd/podx/c"))
        XCTAssertFalse(files.directories.contains("/f/hostd/podx/c"), "processes are killed through v2")
    }

    func testParentIsChecked() {
        for parent in ["", "/", "a/../b", "."] {
            XCTAssertThrowsError(try CgroupDriver(layout: unified, files: RecordedFiles(), parent: parent), parent)
        }
    }

    func testUsage() throws {
        let path = CgroupPath(components: ["hostd"])
        let v2 = RecordedFiles([
            "/u/hostd/cpu.stat": "usage_usec 12\nuser_usec 1\n", "/u/hostd/memory.current": "100\n",
            "/u/hostd/pids.current": "3\n",
            "/u/hostd/memory.stat": "anon 40\ninactive_file 30\n",
        ])
        XCTAssertEqual(
            try driver(unified, v2).usage(path),
            .init(cpuNanoseconds: 12000, memoryBytes: 100, workingSetBytes: 70, residentBytes: 40, processes: 3))
        let v1 = RecordedFiles([
            "/c/hostd/cpuacct.usage": "99\n", "/m/hostd/memory.usage_in_bytes": "10\n", "/p/hostd/pids.current": "1\n",
            "/m/hostd/memory.stat": "total_rss 4\ntotal_inactive_file 30\n",
        ])
        XCTAssertEqual(
            try driver(legacy, v1).usage(path),
            .init(cpuNanoseconds: 99, memoryBytes: 10, workingSetBytes: 0, residentBytes: 4, processes: 1))
    }

    func testKillFreezesWithoutTheKillFile() throws {
        let files = RecordedFiles(["/f/hostd/x/cgroup.procs": ""])
        files.addDirectory("/f/hostd/x")
        try driver(legacy, files).killAll(CgroupPath(components: ["hostd", "x"]))
        XCTAssertEqual(files.writes, ["/f/hostd/x/freezer.state FROZEN", "/f/hostd/x/freezer.state THAWED"])
    }

    func testDeviceFilter() {
        let program = DeviceFilter.instructions([DeviceRule(.character, 1, 3, "rw"), DeviceRule(.block, nil, nil, "m")])
        XCTAssertEqual(program.count, 6 + 8 + 6 + 2)
        XCTAssertEqual(program.last?.code, 0x95)
        // Every jump of a rule lands on the first instruction of the next one.
        let targets = program.enumerated().filter { $0.element.code == 0x55 }.map {
            $0.offset + Int($0.element.off) + 1
        }
        XCTAssertEqual(targets, [14, 14, 14, 14, 20, 20])
        XCTAssertEqual(DeviceRule(.block, 8, nil, "rm").text, "b 8:* rm")
    }
}

/// Files and directories in memory, and the writes that were made.
final class RecordedFiles: CgroupFiles {
    private let state: Mutex<(files: [String: String], directories: Set<String>, writes: [String])>

    init(_ files: [String: String] = [:]) { state = Mutex((files, [], [])) }

    var writes: [String] { state.withLock { $0.writes } }
    var directories: Set<String> { state.withLock { $0.directories } }
    func addDirectory(_ path: String) { state.withLock { _ = $0.directories.insert(path) } }

    func makeDirectory(_ path: String) { addDirectory(path) }
    func removeDirectory(_ path: String) -> Bool { state.withLock { $0.directories.remove(path) } != nil }
    func read(_ path: String) -> String? { state.withLock { $0.files[path] } }
    func write(_ path: String, _ text: String) { state.withLock { $0.writes.append("\(path) \(text)") } }
    func directories(in path: String) -> [String] { [] }
    func exists(_ path: String) -> Bool { state.withLock { $0.directories.contains(path) || $0.files[path] != nil } }
    func waitUntilEmpty(eventsFile: String, milliseconds: Int32) {}
}
