import Glibc
import Objects
import PluginKit
import XCTest

@testable import Containers
@testable import Runtime

/// What a container sees and may do. Real containers; root only.
class ContainerIsolationTests: XCTestCase {
    var fixture: RuntimeFixture!

    func makeFixture() throws -> RuntimeFixture { try RuntimeFixture() }
    override func setUpWithError() throws { fixture = try makeFixture() }
    override func tearDown() { fixture?.close() }

    func testOutputExitCodeAndHostName() throws {
        let (end, output) = try fixture.run("echo out; echo err >&2; hostname; exit 3")
        XCTAssertEqual(end["state"].stringValue, "exited")
        XCTAssertEqual(end["exitCode"].integerValue, 3)
        XCTAssertEqual(end["reason"].stringValue, "Error")
        XCTAssertEqual(Set(output), ["out", "err", "pod-host"])
    }

    /// Each row: what is looked at, and the one line that must come out.
    func testView() throws {
        let rows: [(name: String, script: String, expected: String)] = [
            ("it is the first process", "echo $$", "1"),
            ("it sees only its own processes", "ls /proc | grep -c '^[0-9]*$' | sed 's/^[1-4]$/few/'", "few"),
            ("only loopback, and up", "ip -o link | cut -d' ' -f2,3", "lo: <LOOPBACK,UP,LOWER_UP>"),
            ("its root is the image", "ls / | tr '\\n' ' '", "bin dev etc home proc root sys tmp usr var www "),
            ("proc/sys is read-only", "echo 1 > /proc/sys/kernel/hostname || echo refused", "refused"),
            ("sys is read-only", "mkdir /sys/x || echo refused", "refused"),
            ("cgroups are read-only", "mkdir /sys/fs/cgroup/x || echo refused", "refused"),
            ("masked files are empty", "cat /proc/interrupts | wc -c", "0"),
            (
                "standard devices",
                "ls -l /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | grep -c ^crw-rw-rw-", "6"
            ),
            ("device links", "echo $(readlink /dev/fd) $(readlink /dev/ptmx)", "/proc/self/fd pts/ptmx"),
            ("shared memory is there", "df /dev/shm | tail -n 1 | cut -d' ' -f1", "shm"),
            ("home of root", "echo $HOME", "/root"),
            ("no descriptors leak in", "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 "),
            ("no way to mount", "mount -t tmpfs x /tmp 2>/dev/null || echo refused", "refused"),
            ("no new user namespace", "unshare -U true 2>/dev/null || echo refused", "refused"),
            (
                "a forbidden device cannot be opened",
                "mknod /tmp/m c 1 1 && cat /tmp/m 2>&1 | grep -o 'not permitted'", "not permitted"
            ),
            ("seccomp filters", "grep -c 'Seccomp:.2' /proc/self/status", "1"),
            ("standard capabilities", "grep CapEff /proc/self/status | cut -f2", "00000000a80425fb"),
            ("standard streams can be opened again", "echo again > /dev/stdout", "again"),
        ]
        let sandbox = try fixture.sandbox()
        for row in rows {
            let id = try fixture.container(sandbox, row.script)
            try fixture.start(id)
            _ = fixture.finish(id)
            XCTAssertEqual(try fixture.output(id, "stdout").last, row.expected, row.name)
        }
    }

    func testCgroupIsTheRootOfItsView() throws {
        let (_, output) = try fixture.run("cat /proc/self/cgroup")
        for line in output where line.contains(":memory:") || line.contains(":pids:") || line.hasPrefix("0::") {
            XCTAssertTrue(line.hasSuffix(":/"), line)
        }
    }

    func testUser() throws {
        let rows: [(name: String, security: JSON, expected: String)] = [
            ("root", [:], "uid=0(root) gid=0(root) groups=0(root)"),
            ("by name", ["runAsUsername": "www-data"], "uid=33(www-data) gid=33(www-data) groups=33(www-data)"),
            ("by number, known", ["runAsUser": 33], "uid=33(www-data) gid=33(www-data) groups=33(www-data)"),
            ("by number, unknown", ["runAsUser": 1234], "uid=1234 gid=0(root) groups=0(root)"),
            ("with a group", ["runAsUser": 1234, "runAsGroup": 99], "uid=1234 gid=99 groups=99"),
            (
                "with more groups", ["runAsUser": 1234, "runAsGroup": 99, "supplementalGroups": [7, 8]],
                "uid=1234 gid=99 groups=7,8,99"
            ),
        ]
        let sandbox = try fixture.sandbox()
        for row in rows {
            let id = try fixture.container(sandbox, "id", ["security": row.security])
            try fixture.start(id)
            _ = fixture.finish(id)
            let output = try fixture.output(id).last ?? ""
            XCTAssertTrue(output.hasPrefix(row.expected), "\(row.name): \(output)")
        }
    }

    /// What a group file that is mounted gives: the process that becomes the container sees it.
    var groupsOfAMountedFile: String { "7 33 50" }

    func testGroupsOfTheImage() throws {
        let file = "\(fixture.directory)/group"
        try AtomicFile.write(Array("www-data:x:33:\nstaff:x:50:www-data\n".utf8), to: file)
        let mounts: JSON = [["containerPath": "/etc/group", "hostPath": .string(file)]]
        for (onlyListed, expected) in [(false, groupsOfAMountedFile), (true, "7 33")] {
            let (_, output) = try fixture.run(
                "id -G | tr ' ' '\\n' | sort -n | xargs",
                [
                    "mounts": mounts,
                    "security": ["runAsUser": 33, "supplementalGroups": [7], "onlyListedGroups": .bool(onlyListed)],
                ])
            XCTAssertEqual(output.last, expected, "only those listed: \(onlyListed)")
        }
    }

    /// What an image with too many groups is refused with; nil where the file that is mounted is not looked at.
    var refusalOfManyGroups: String? { "puts its user into more than 64 groups" }

    func testMoreGroupsThanAProcessIsGivenAreRefused() throws {
        guard let refusal = refusalOfManyGroups else { return }
        let file = "\(fixture.directory)/group"
        let lines = (1...64).map { "group\($0):x:\(1000 + $0):www-data\n" }
        let mounts: JSON = [["containerPath": "/etc/group", "hostPath": .string(file)]]
        for (count, isRefused) in [(63, false), (64, true)] {
            try AtomicFile.write(Array(lines.prefix(count).joined().utf8), to: file)
            let container = try fixture.container(
                try fixture.sandbox(["podUID": .string("pod-\(count)")]), "id -G | wc -w",
                ["mounts": mounts, "security": ["runAsUser": 33]])
            if isRefused {
                XCTAssertThrowsError(try fixture.start(container)) {
                    XCTAssertTrue("\($0)".contains(refusal), "\($0)")
                }
            } else {
                try fixture.start(container)
                _ = fixture.finish(container)
                XCTAssertEqual(try fixture.output(container).last, "64")
            }
        }
    }

    /// As an ephemeral container for debugging does.
    func testProcessesOfAnotherContainer() throws {
        let sandbox = try fixture.sandbox()
        let first = try fixture.container(sandbox, "exec sleep 1234")
        try fixture.start(first)
        let second = try fixture.container(
            sandbox, "tr '\\0' ' ' </proc/1/cmdline; test $$ -ne 1 && echo beside",
            ["name": "second", "logPath": "second.log", "targetContainerID": .string(first)])
        try fixture.start(second)
        _ = fixture.finish(second)
        XCTAssertEqual(try fixture.output(second).last, "sleep 1234 beside")
        let other = try fixture.container(
            try fixture.sandbox(["podUID": "other"]), "true", ["targetContainerID": .string(first)])
        XCTAssertThrowsError(try fixture.start(other), "it is in another pod") { error in
            XCTAssertTrue("\(error)".contains("does not run in its pod"), "\(error)")
        }
    }

    func testPrivileges() throws {
        let rows: [(name: String, security: JSON, script: String, expected: String)] = [
            (
                "all dropped", ["capabilities": ["drop": ["ALL"]]], "grep CapEff /proc/self/status | cut -f2",
                "0000000000000000"
            ),
            (
                "one added to none", ["capabilities": ["drop": ["ALL"], "add": ["NET_BIND_SERVICE"]]],
                "grep CapBnd /proc/self/status | cut -f2", "0000000000000400"
            ),
            ("no new privileges", ["noNewPrivileges": true], "grep NoNewPrivs /proc/self/status | cut -f2", "1"),
            (
                "seccomp with no new privileges", ["noNewPrivileges": true, "runAsUser": 5],
                "grep Seccomp: /proc/self/status | cut -f2", "2"
            ),
            ("unconfined", ["seccomp": ["type": "Unconfined"]], "grep Seccomp: /proc/self/status | cut -f2", "0"),
            ("read-only root", ["readOnlyRootFilesystem": true], "touch /x || echo refused", "refused"),
            ("privileged may mount", ["privileged": true], "mount -t tmpfs x /tmp && echo mounted", "mounted"),
            (
                "privileged may change the system", ["privileged": true],
                "test -w /proc/sys/kernel/hostname; for d in /sys/fs/cgroup /sys/fs/cgroup/pids; do mkdir $d/x && rmdir $d/x && echo may && break; done",
                "may"
            ),
        ]
        let sandbox = try fixture.sandbox()
        for row in rows {
            let id = try fixture.container(sandbox, row.script, ["security": row.security])
            try fixture.start(id)
            _ = fixture.finish(id)
            XCTAssertEqual(try fixture.output(id, "stdout").last, row.expected, row.name)
        }
    }

    func testEnvironmentAndWorkingDirectory() throws {
        let (_, output) = try fixture.run(
            "pwd; echo $A; echo $HOSTNAME",
            [
                "workingDirectory": "/new/place", "environment": [["name": "A", "value": "b=c d"]],
            ])
        XCTAssertEqual(output, ["/new/place", "b=c d", "pod-host"])
    }

    func testMounts() throws {
        let host = "\(fixture.directory)/host"
        try AtomicFile.makeDirectory("\(host)/inner")
        try AtomicFile.write(Array("content\n".utf8), to: "\(host)/file")
        let (_, output) = try fixture.run(
            "cat /data/file; touch /data/x || echo ro; touch /data/inner/y && echo rw; cat /etc/one; touch /etc/one || echo ro",
            [
                "mounts": [
                    ["containerPath": "/data/inner", "hostPath": .string("\(host)/inner")],
                    ["containerPath": "/data", "hostPath": .string(host), "readOnly": true],
                    ["containerPath": "/etc/one", "hostPath": .string("\(host)/file"), "readOnly": true],
                ]
            ])
        XCTAssertEqual(output.filter { !$0.hasPrefix("touch:") }, ["content", "ro", "rw", "content", "ro"])
        XCTAssertEqual(access("\(host)/inner/y", F_OK), 0)
    }

    /// What cannot be mounted or entered, and words of the sentence about it.
    var mountFailures: [(changes: JSONObject, expected: String)] {
        [
            (
                ["mounts": [["containerPath": "/x", "hostPath": "/does/not/exist"]]],
                "\"/does/not/exist\": No such file or directory"
            ),
            (["mounts": [["containerPath": "/etc/passwd/x", "hostPath": "/tmp"]]], "mount point \"/etc/passwd/x\""),
            (["workingDirectory": "/etc/passwd"], "working directory \"/etc/passwd\""),
        ]
    }

    func testStartFailuresNameTheThing() throws {
        let rows: [(changes: JSONObject, expected: String)] =
            mountFailures + [
                (["command": ["foo"]], "exec: \"foo\": executable file not found in $PATH"),
                (["command": ["/no/such"]], "exec: \"/no/such\": no such file or directory"),
                (["command": ["/etc/passwd"]], "exec: \"/etc/passwd\": permission denied"),
                (["security": ["runAsUsername": "nobody-here"]], "no user \"nobody-here\" in /etc/passwd"),
                (["security": ["runAsNonRoot": true]], "must not run as root"),
            ]
        let sandbox = try fixture.sandbox()
        for row in rows {
            let id = try fixture.container(sandbox, "true", row.changes)
            XCTAssertThrowsError(try fixture.start(id), row.expected) { error in
                XCTAssertTrue("\(error)".contains(row.expected), "\(error)")
            }
            XCTAssertEqual(fixture.status(id)["reason"].stringValue, "StartError", row.expected)
            XCTAssertEqual(fixture.status(id)["exitCode"].integerValue, 128, row.expected)
        }
    }

    func testMemoryLimitKills() throws {
        let (end, _) = try fixture.run("exec tail /dev/zero", ["resources": ["memoryLimitBytes": .integer(16 << 20)]])
        XCTAssertEqual(end["reason"].stringValue, "OOMKilled")
        XCTAssertEqual(end["exitCode"].integerValue, 137)
    }

    /// A limit that the start itself does not reach.
    var processLimit: Int64 { 3 }

    func testProcessLimit() throws {
        let (_, output) = try fixture.run(
            "i=0; while [ $i -lt \(processLimit * 2) ]; do sleep 5 & i=$((i+1)); done 2>&1; echo end",
            ["resources": ["pidsLimit": .integer(processLimit)]])
        XCTAssertTrue(output.contains { $0.contains("can't fork") }, "\(output)")
    }

    func testSandboxOptions() throws {
        let rows: [(name: String, pod: JSONObject, script: String, expected: String)] = [
            (
                "sysctl", ["sysctls": ["net.ipv4.ip_unprivileged_port_start": "80"]],
                "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "80"
            ),
            ("host processes", ["hostPID": true], "test $$ -ne 1 && echo host", "host"),
            ("shared processes", ["shareProcessNamespace": true], "test $$ -ne 1 && grep -c . /proc/1/cmdline", "1"),
            (
                "host network keeps the host's name", ["hostNetwork": true],
                "test \"$(hostname)\" != pod-host && echo host", "host"
            ),
        ]
        for row in rows {
            let (_, output) = try fixture.run(row.script, pod: row.pod)
            XCTAssertEqual(output.last, row.expected, row.name)
        }
        XCTAssertThrowsError(try fixture.sandbox(["sysctls": ["kernel.panic": "1"]]))
    }

    func testContainersOfAPodShareMemoryAndNetwork() throws {
        let sandbox = try fixture.sandbox()
        let first = try fixture.container(sandbox, "echo seen > /dev/shm/x; httpd -p 127.0.0.1:80 -h /www; sleep 100")
        try fixture.start(first)
        let second = try fixture.container(
            sandbox,
            "until cat /dev/shm/x 2>/dev/null; do sleep 0.01; done; until wget -q -O - http://127.0.0.1/; do sleep 0.05; done",
            ["name": "second", "logPath": "second.log"])
        try fixture.start(second)
        _ = fixture.finish(second)
        XCTAssertEqual(try fixture.output(second), ["seen", "pod-host"])
    }
}
