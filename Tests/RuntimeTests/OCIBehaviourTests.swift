import Glibc
import Objects
import PluginKit
import XCTest

@testable import Containers
@testable import RuntimeOCI

/// The engine that drives runc; where there is none its tests are skipped.
enum OCITestEngine {
    static func make(_ directory: String) throws -> RuntimeFixture.MakeEngine {
        try RuntimeFixture.requireRoot()
        let program = try? OCIRuntime.find("runc", path: "/usr/bin:/usr/sbin")
        try XCTSkipIf(program == nil, "needs runc: apt-get install runc")
        let runtime = try OCIRuntime(program: program ?? "", stateDirectory: directory)
        return { services throws(PluginError) in try OCIEngine(services, runtime) }
    }
}

/// A runtime behaves the same whoever makes its containers: the whole suite of the default one, with runc.
final class OCILifeTests: ContainerLifeTests {
    override func makeFixture() throws -> RuntimeFixture {
        try RuntimeFixture { try OCITestEngine.make("\($0)/state") }
    }

    /// What the runtime and the kernel know of a container goes with it.
    func testTheRuntimeForgetsToo() throws {
        let id = try runningContainer("sleep 100")
        let state = "\(fixture.directory)/state"
        XCTAssertEqual(try FileTree.names(in: state), [id])
        XCTAssertTrue(try XCTUnwrap(readSmallFile("/proc/self/mountinfo")).contains("\(id)/rootfs"))
        _ = try fixture.exec(id, ["true"])
        let directory = "\(fixture.directory)/plugin/containers/\(id)"
        XCTAssertFalse(try FileTree.names(in: directory).contains { $0.hasPrefix("exec-") })
        XCTAssertThrowsError(try fixture.exec(id, ["nothing"]))
        XCTAssertFalse(try FileTree.names(in: directory).contains { $0.hasPrefix("exec-") })
        try fixture.service.stop(["id": .string(id), "timeoutSeconds": 0], deadline: 0)
        XCTAssertFalse(try XCTUnwrap(readSmallFile("/proc/self/mountinfo")).contains("\(id)/rootfs"))
        _ = try fixture.service.removeContainer(["id": .string(id)], deadline: 0)
        XCTAssertEqual(try FileTree.names(in: state), [])
    }
}

final class OCIIsolationTests: ContainerIsolationTests {
    override func makeFixture() throws -> RuntimeFixture {
        try RuntimeFixture { try OCITestEngine.make("\($0)/state") }
    }

    /// OCI runtimes are given numbers, which are looked up in the image before anything is mounted.
    override var groupsOfAMountedFile: String { "7 33" }
    override var refusalOfManyGroups: String? { nil }

    /// In the runtime's own words.
    override var mountFailures: [(changes: JSONObject, expected: String)] {
        [
            (["mounts": [["containerPath": "/x", "hostPath": "/does/not/exist"]]], "\"/does/not/exist\" to rootfs"),
            (["mounts": [["containerPath": "/etc/passwd/x", "hostPath": "/tmp"]]], "rootfs at \"/etc/passwd/x\""),
            (["workingDirectory": "/etc/passwd"], "mkdir /etc/passwd: not a directory"),
        ]
    }

    /// runc's first process has more threads than one.
    override var processLimit: Int64 { 24 }

    /// Both kinds of cgroups, where the machine has both: the runtime keeps to v1, and the network looks at v2.
    func testEveryHierarchyHasIt() throws {
        let id = try fixture.container(try fixture.sandbox(), "sleep 100")
        try fixture.start(id)
        let process = fixture.status(id)["processID"].integerValue ?? 0
        let groups = try XCTUnwrap(readSmallFile("/proc/\(process)/cgroup")).split(separator: "\n")
        for line in groups { XCTAssertTrue(line.hasSuffix("/\(id)"), String(line)) }
    }
}
