import Glibc
import Objects
import PluginKit
import XCTest

@testable import Containers
@testable import Runtime

/// Pods with users of their own. Real containers; root only.
final class UserNamespaceTests: XCTestCase {
    private static let first: Int64 = 1_310_720
    private static let pod: JSONObject = ["userNamespace": ["hostID": .integer(first), "size": 65_536]]
    private var fixture: RuntimeFixture!

    override func setUpWithError() throws { fixture = try RuntimeFixture() }
    override func tearDown() { fixture?.close() }

    /// Each row: what is looked at, and the one line that must come out.
    func testView() throws {
        let rows: [(name: String, script: String, expected: String)] = [
            ("its users are others'", "cat /proc/self/uid_map", "         0    1310720      65536"),
            ("and its groups", "cat /proc/self/gid_map", "         0    1310720      65536"),
            ("it is root there", "echo $(id -u) $(id -g)", "0 0"),
            ("it is the first process", "echo $$", "1"),
            ("the image is root's", "stat -c '%u %g' / /bin /etc/passwd | sort -u", "0 0"),
            ("and it writes there", "mkdir /etc/x && touch /etc/x/y && stat -c %u /etc/x/y", "0"),
            ("it gives files away", "touch /tmp/a && chown 1000:1000 /tmp/a && stat -c %u /tmp/a", "1000"),
            ("it changes what the image has", "echo x >> /etc/passwd && tail -n 1 /etc/passwd", "x"),
            ("only loopback, and up", "ip -o link | cut -d' ' -f2,3", "lo: <LOOPBACK,UP,LOWER_UP>"),
            ("the pod's name", "hostname", "pod-host"),
            ("its first process is its own", "stat -c %u /proc/1", "0"),
            ("proc/sys is read-only", "echo 1 > /proc/sys/kernel/hostname || echo refused", "refused"),
            ("sys is read-only", "mkdir /sys/x || echo refused", "refused"),
            ("masked files are empty", "cat /proc/interrupts | wc -c", "0"),
            (
                "standard devices",
                "ls -l /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | grep -c '^crw-rw-rw-.*root'",
                "6"
            ),
            ("which work", "head -c 3 /dev/zero | wc -c && echo x > /dev/null && echo works", "works"),
            ("device links", "echo $(readlink /dev/fd) $(readlink /dev/ptmx)", "/proc/self/fd pts/ptmx"),
            ("no device of its making", "mknod /tmp/m c 1 3 2>/dev/null || echo refused", "refused"),
            ("shared memory", "touch /dev/shm/x && stat -c %u /dev/shm/x", "0"),
            ("standard capabilities", "grep CapEff /proc/self/status | cut -f2", "00000000a80425fb"),
            ("standard streams can be opened again", "echo again > /dev/stdout", "again"),
            ("no way to mount", "mount -t tmpfs x /tmp 2>/dev/null || echo refused", "refused"),
        ]
        let sandbox = try fixture.sandbox(Self.pod)
        for row in rows {
            let id = try fixture.container(sandbox, row.script)
            do { try fixture.start(id) } catch {
                XCTFail("\(row.name): \(error)")
                continue
            }
            _ = fixture.finish(id)
            XCTAssertEqual(try fixture.output(id, "stdout").last, row.expected, row.name)
        }
    }

    /// What the host has as user N's is the pod's user N's, and what the pod writes as N is the host's N.
    func testVolumes() throws {
        let volume = "\(fixture.directory)/volume"
        try AtomicFile.makeDirectory(volume, mode: 0o777)
        XCTAssertEqual(chmod(volume, 0o777), 0)
        try AtomicFile.write(Array("hello\n".utf8), to: "\(volume)/of-1000", isDurable: false)
        XCTAssertEqual(chown("\(volume)/of-1000", 1000, 200), 0)
        let mounts: JSON = [
            ["hostPath": .string(volume), "containerPath": "/v"],
            ["hostPath": .string(volume), "containerPath": "/r", "readOnly": true],
            ["image": "busybox", "containerPath": "/image"],
        ]
        let (end, output) = try fixture.run(
            "stat -c '%u %g' /v/of-1000 /r/of-1000 /image/etc/passwd; touch /r/x 2>/dev/null || echo refused; echo x > /v/new; "
                + "stat -c '%u %g' /v/new; touch /image/x 2>/dev/null || echo refused",
            pod: Self.pod, ["mounts": mounts, "security": ["runAsUser": 1000, "runAsGroup": 1000]])
        XCTAssertEqual(end["exitCode"].integerValue, 0)
        XCTAssertEqual(output, ["1000 200", "1000 200", "0 0", "refused", "1000 1000", "refused"])
        var status = stat()
        XCTAssertEqual(stat("\(volume)/new", &status), 0)
        XCTAssertEqual(status.st_uid, 1000)
    }

    /// The host sees other users.
    func testOnTheHost() throws {
        let sandbox = try fixture.sandbox(Self.pod)
        let id = try fixture.container(
            sandbox, "touch /file; exec sleep 1000", ["security": ["runAsUser": 7]])
        try fixture.start(id)
        let process = fixture.status(id)["processID"].integerValue ?? 0
        var status = stat()
        XCTAssertEqual(stat("/proc/\(process)", &status), 0)
        XCTAssertEqual(Int64(status.st_uid), Self.first + 7)
        let (code, output, _) = try fixture.exec(id, ["sh", "-c", "echo $(id -u) $(cat /proc/self/uid_map)"])
        XCTAssertEqual(code, 0)
        XCTAssertEqual(output, "7 0 1310720 65536\n")
        _ = try fixture.service.stop(["id": .string(id)], deadline: 0)
        XCTAssertEqual(fixture.finish(id)["state"].stringValue, "exited")
    }

    /// Containers that share the pod's processes, or see another's.
    func testSharedProcesses() throws {
        var pod = Self.pod
        pod["shareProcessNamespace"] = true
        let sandbox = try fixture.sandbox(pod)
        let sleeper = try fixture.container(sandbox, "exec sleep 1000")
        try fixture.start(sleeper)
        let looker = try fixture.container(
            sandbox, "ps | grep -c '[s]leep 1000'", ["name": "looker", "logPath": "looker.log"])
        try fixture.start(looker)
        XCTAssertEqual(fixture.finish(looker)["exitCode"].integerValue, 0)
    }

    func testTerminal() throws {
        let sandbox = try fixture.sandbox(Self.pod)
        let id = try fixture.container(
            sandbox, "[ $(tty) = /dev/pts/0 ] && [ $(stat -c %u /dev/pts/0) = 0 ]", ["tty": true])
        try fixture.start(id)
        XCTAssertEqual(fixture.finish(id)["exitCode"].integerValue, 0)
    }

    func testWhatCannotBe() throws {
        for range: JSON in [["hostID": 0, "size": 1], ["hostID": 1], ["hostID": 4_294_967_295, "size": 65_536]] {
            XCTAssertThrowsError(try fixture.sandbox(["userNamespace": range]), range.serializedString())
        }
        let id = try fixture.container(
            try fixture.sandbox(Self.pod), "true",
            ["mounts": [["hostPath": "/proc", "containerPath": "/p"]]])
        XCTAssertThrowsError(try fixture.start(id)) { error in
            XCTAssertTrue("\(error)".contains("hostUsers: false"), "\(error)")
        }
        let missing = try fixture.container(try fixture.sandbox(Self.pod), "true", ["command": ["/no/such"]])
        XCTAssertThrowsError(try fixture.start(missing)) { error in
            XCTAssertTrue("\(error)".contains("no such file or directory"), "\(error)")
        }
    }
}
