import Glibc
import Objects
import PluginKit
import XCTest

@testable import Containers
@testable import Runtime

/// Images as volumes of containers, and who containers say that they run as. Real containers; root only.
final class ImageVolumeTests: XCTestCase {
    private var fixture: RuntimeFixture!

    override func setUpWithError() throws { fixture = try RuntimeFixture() }
    override func tearDown() { fixture?.close() }

    func testWhatOfAnImageIsMounted() throws {
        let rows: [(name: String, path: String?, script: String, expected: String)] = [
            ("the whole", nil, "ls /v | tr '\\n' ' '", "bin dev etc home proc root sys tmp usr var www "),
            ("a directory of it", "etc", "cat /v/hostname /v/passwd | grep -o ^root:x:0:0", "root:x:0:0"),
            ("a file of it", "etc/passwd", "grep -o ^root:x:0:0 /v", "root:x:0:0"),
            ("it cannot be written", nil, "touch /v/x 2>/dev/null || echo refused", "refused"),
            ("nor a part of it", "etc", "touch /v/x 2>/dev/null || echo refused", "refused"),
            ("nor run", "bin", "/v/busybox true 2>/dev/null || echo refused", "refused"),
        ]
        let sandbox = try fixture.sandbox()
        for row in rows {
            var mount: JSON = ["containerPath": "/v", "image": "busybox"]
            if let path = row.path { mount["imagePath"] = .string(path) }
            let id = try fixture.container(sandbox, row.script, ["mounts": [mount]])
            try fixture.start(id)
            _ = fixture.finish(id)
            XCTAssertEqual(try fixture.output(id, "stdout").last, row.expected, row.name)
        }
        let id = try fixture.container(
            sandbox, "true", ["mounts": [["containerPath": "/v", "image": "busybox", "imagePath": "no/such"]]])
        XCTAssertThrowsError(try fixture.start(id)) { error in
            XCTAssertTrue("\(error)".contains("/no/such"), "\(error)")
        }
        XCTAssertThrowsError(
            try fixture.container(sandbox, "true", ["mounts": [["containerPath": "/v", "image": "no/such:1"]]]))
    }

    /// The store knows of both as long as the container is there, whether it runs or not.
    func testAMountedImageStays() throws {
        func users() throws -> Int {
            let owners = "\(fixture.directory)/images/users"
            return try FileTree.names(in: owners).reduce(0) { try $0 + FileTree.names(in: "\(owners)/\($1)").count }
        }
        let id = try fixture.container(
            try fixture.sandbox(), "true", ["mounts": [["containerPath": "/v", "image": "busybox"]]])
        XCTAssertEqual(try users(), 2, "its root and its volume")
        try fixture.restart()
        XCTAssertEqual(try users(), 2, "found again")
        XCTAssertThrowsError(try fixture.service.removeImage(["image": "busybox"], deadline: 0))
        _ = try fixture.service.removeContainer(["id": .string(id)], deadline: 0)
        XCTAssertEqual(try users(), 0)
    }

    func testWhoItRunsAs() throws {
        let rows: [(name: String, security: JSON, expected: JSON)] = [
            ("root", [:], ["uid": 0, "gid": 0, "supplementalGroups": [0]]),
            ("by name", ["runAsUsername": "www-data"], ["uid": 33, "gid": 33, "supplementalGroups": [33]]),
            (
                "with groups", ["runAsUser": 1000, "runAsGroup": 99, "supplementalGroups": [200, 7]],
                ["uid": 1000, "gid": 99, "supplementalGroups": [7, 99, 200]]
            ),
        ]
        let sandbox = try fixture.sandbox()
        for row in rows {
            let id = try fixture.container(sandbox, "true", ["security": row.security])
            XCTAssertFalse(fixture.status(id)["user"].exists, "\(row.name): not started")
            try fixture.start(id)
            XCTAssertEqual(fixture.status(id)["user"], row.expected, row.name)
            XCTAssertEqual(fixture.finish(id)["user"], row.expected, "\(row.name): ended")
            try fixture.restart()
            XCTAssertEqual(fixture.status(id)["user"], row.expected, "\(row.name): found again")
        }
    }

    /// `kubectl run -it` attaches when it sees the container run; what was written until then is shown all the same.
    func testTheFirstAttachBeginsWithWhatWasWritten() throws {
        let sandbox = try fixture.sandbox()
        let id = try fixture.container(sandbox, "echo early; read x; echo late", ["stdin": true])
        try fixture.start(id)
        let log = fixture.status(id)["logPath"].stringValue ?? ""
        let limit = monotonicNanoseconds() + 60_000_000_000
        while (try? AtomicFile.read(log))?.isEmpty != false, monotonicNanoseconds() < limit { usleep(1000) }
        let input = try DescriptorPair.pipe()
        let output = try DescriptorPair.pipe()
        let first = ContainerLifeTests.Outcome()
        _ = try fixture.service.attach(
            ["id": .string(id)], standardInput: dup(input.first.number), standardOutput: dup(output.second.number),
            standardError: -1, completion: { first.set($0) })
        XCTAssertEqual(ContainerLifeTests.read(output.first, until: "early\n"), "early\n")
        ContainerLifeTests.send(input.second, "\n")
        XCTAssertEqual(ContainerLifeTests.read(output.first, until: "late\n"), "late\n", "and nothing twice")
        _ = fixture.finish(id)
        _ = try first.wait()
    }
}
