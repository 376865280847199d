import Glibc
import Objects
import PluginKit
import XCTest

@testable import Containers
@testable import RuntimeOCI

/// config.json from messages of the role. Nothing is made; each row is one rule.
final class BundlePlanTests: XCTestCase {
    private func bundle(
        _ container: JSON = [:], pod: JSON = [:], holder: pid_t? = nil, abilities: HostAbilities = .init(),
        devices: [DeviceNode] = [], rules: [DeviceRule] = [], images: [String: [String]] = [:]
    ) throws -> JSON {
        var config = container
        config["name"] = "main"
        config["image"] = "test/app:1"
        if !config["command"].exists { config["command"] = ["run"] }
        var sandbox = pod
        sandbox["podUID"] = "uid"
        let configuration = try ContainerConfiguration(config)
        let identity = try ContainerIdentity(
            .init(text: "0", user: configuration.security.runAsUser), users: "", groups: "", subject: "")
        var image = ImageConfiguration()
        image.environment = ["PATH=/image"]
        image.workingDirectory = "/image-home"
        return try BundlePlan(
            configuration: configuration, image: image,
            sandbox: .init(configuration: try SandboxConfiguration(sandbox), directory: "/s", holder: holder),
            identity: identity, abilities: abilities, cgroup: "hostd/oci-poduid/id", seccomp: nil, devices: devices,
            deviceRules: rules, images: images
        ).encoded()
    }

    /// What is at a path such as `process.args`; indices of arrays are numbers.
    private func value(_ json: JSON, _ path: String) -> JSON {
        path.split(separator: ".").reduce(json) { json, part in
            Int(part).map { json[$0] } ?? json[String(part)]
        }
    }

    func testProcess() throws {
        let rows: [(name: String, container: JSON, path: String, expected: JSON)] = [
            ("command and arguments", ["command": ["a"], "args": ["b"]], "process.args", ["a", "b"]),
            ("working directory", ["workingDirectory": "/w"], "process.cwd", "/w"),
            ("the image's directory", [:], "process.cwd", "/image-home"),
            ("environment", ["environment": [["name": "A", "value": "1"]]], "process.env.1", "A=1"),
            ("home", [:], "process.env.1", "HOME=/"),
            ("no terminal", [:], "process.terminal", false),
            ("terminal", ["tty": true], "process.terminal", true),
            ("terminal's kind", ["tty": true], "process.env.1", "TERM=xterm"),
            ("user", ["security": ["runAsUser": 7]], "process.user.uid", 7),
            ("umask", [:], "process.user.umask", 18),
            ("first capability", [:], "process.capabilities.effective.0", "CAP_CHOWN"),
            (
                "capabilities dropped", ["security": ["capabilities": ["drop": ["ALL"], "add": ["KILL"]]]],
                "process.capabilities.bounding", ["CAP_KILL"]
            ),
            ("none is ambient", [:], "process.capabilities.ambient", []),
            ("privileges may grow", [:], "process.noNewPrivileges", false),
            ("or not", ["security": ["noNewPrivileges": true]], "process.noNewPrivileges", true),
            ("score", ["resources": ["oomScoreAdjust": -998]], "process.oomScoreAdj", -998),
            ("no score", [:], "process.oomScoreAdj", 0),
            ("open files", [:], "process.rlimits.0.soft", 65536),
            ("root", [:], "root.readonly", false),
            ("read-only root", ["security": ["readOnlyRootFilesystem": true]], "root.readonly", true),
            ("no hooks", [:], "hooks", .null),
        ]
        for row in rows { XCTAssertEqual(value(try bundle(row.container), row.path), row.expected, row.name) }
    }

    /// A runtime fails where less would do: what this host cannot give is not asked for.
    func testLimitsOfTheHost() throws {
        var weak = HostAbilities()
        weak.capabilities = try CapabilitySet(.all, adding: [], dropping: ["SYS_RESOURCE", "MKNOD"])
        weak.outOfMemoryScore = -5
        weak.openFiles = 4096
        let limited = try bundle(["resources": ["oomScoreAdjust": -998]], abilities: weak)
        XCTAssertEqual(value(limited, "process.oomScoreAdj"), -5)
        XCTAssertEqual(value(limited, "process.rlimits.0.hard"), 4096)
        XCTAssertFalse(value(limited, "process.capabilities.bounding").arrayValue.contains("CAP_MKNOD"))
        let raised = try bundle(["resources": ["oomScoreAdjust": 900]], abilities: weak)
        XCTAssertEqual(value(raised, "process.oomScoreAdj"), 900)
    }

    func testNamespaces() throws {
        func kinds(_ pod: JSON, holder: pid_t? = nil) throws -> [String] {
            value(try bundle(pod: pod, holder: holder), "linux.namespaces").arrayValue.map {
                "\($0["type"].stringValue ?? "?")\($0["path"].stringValue.map { "=\($0)" } ?? "")"
            }
        }
        let shared = ["network=/s/net", "uts=/s/uts"]
        let rows: [(pod: JSON, holder: pid_t?, expected: [String])] = [
            ([:], nil, ["mount", "cgroup", "pid"] + shared + ["ipc=/s/ipc"]),
            (["hostNetwork": true], nil, ["mount", "cgroup", "pid", "ipc=/s/ipc"]),
            (["hostPID": true], nil, ["mount", "cgroup"] + shared + ["ipc=/s/ipc"]),
            (["hostIPC": true], nil, ["mount", "cgroup", "pid"] + shared),
            (
                ["shareProcessNamespace": true], 42,
                ["mount", "cgroup", "pid=/proc/42/ns/pid"] + shared + ["ipc=/s/ipc"]
            ),
        ]
        for row in rows { XCTAssertEqual(try kinds(row.pod, holder: row.holder), row.expected, "\(row.pod)") }
    }

    func testMounts() throws {
        func mounts(_ container: JSON, pod: JSON = [:]) throws -> [String] {
            value(try bundle(container, pod: pod), "mounts").arrayValue.map { mount in
                let options = mount["options"].arrayValue.compactMap(\.stringValue).joined(separator: ",")
                return "\(mount["source"].stringValue ?? "") \(mount["destination"].stringValue ?? "") \(options)"
            }
        }
        let standard = try mounts([:])
        XCTAssertEqual(standard.count, 7)
        XCTAssertTrue(standard.contains("/s/shm /dev/shm rbind,rprivate"), "\(standard)")
        XCTAssertTrue(standard.contains("sysfs /sys nosuid,noexec,nodev,ro"), "\(standard)")
        XCTAssertTrue(try mounts([:], pod: ["hostIPC": true]).contains("/dev/shm /dev/shm rbind,rprivate"))
        let privileged = try mounts(["security": ["privileged": true]])
        XCTAssertTrue(privileged.contains("sysfs /sys nosuid,noexec,nodev"), "\(privileged)")
        let given = try mounts([
            "mounts": [
                ["containerPath": "/a/b", "hostPath": "/inner"],
                ["containerPath": "/a", "hostPath": "/outer", "readOnly": true],
                ["containerPath": "/c", "hostPath": "/down", "propagation": "hostToContainer"],
            ]
        ])
        XCTAssertEqual(
            Array(given.suffix(3)),
            ["/outer /a rbind,rprivate,ro", "/down /c rbind,rslave", "/inner /a/b rbind,rprivate"]
        )
        for (propagation, expected) in [("hostToContainer", "rslave"), ("bidirectional", "rshared")] {
            let mount: JSON = ["containerPath": "/c", "hostPath": "/d", "propagation": .string(propagation)]
            XCTAssertEqual(value(try bundle(["mounts": [mount]]), "linux.rootfsPropagation"), .string(expected))
        }
    }

    func testMountedImages() throws {
        let mounts = value(
            try bundle(
                ["mounts": [["containerPath": "/v", "image": "test/data:1"]]],
                images: ["test/data:1": ["/layers/2", "/layers/1"]]), "mounts")
        XCTAssertEqual(
            mounts.arrayValue.last,
            [
                "destination": "/v", "type": "overlay", "source": "overlay",
                "options": ["ro", "nosuid", "nodev", "noexec", "lowerdir=/layers/2:/layers/1"],
            ])
    }

    func testResources() throws {
        let rows: [(resources: JSON, path: String, expected: JSON)] = [
            (["cpuShares": 1], "cpu.shares", 2), (["cpuShares": 512], "cpu.shares", 512),
            (["cpuQuota": 500], "cpu.quota", 1000), (["cpuQuota": 50_000], "cpu.period", 100_000),
            (["cpuQuota": -1], "cpu.quota", -1), (["cpuQuota": 5000, "cpuPeriod": 10_000], "cpu.period", 10_000),
            (["memoryLimitBytes": 4096], "memory.limit", 4096), (["memoryLimitBytes": -1], "memory.limit", -1),
            (["pidsLimit": 9], "pids.limit", 9), (["cpusetCPUs": "0-1"], "cpu.cpus", "0-1"),
            (["cpusetMemoryNodes": "0"], "cpu.mems", "0"),
            (["hugepageLimits": [["pageSize": "2MB", "limit": 8]]], "hugepageLimits.0.limit", 8),
            ([:], "memory", .null), ([:], "devices.0.allow", false), ([:], "devices.0.access", "rwm"),
        ]
        for row in rows {
            let bundle = try bundle(["resources": row.resources])
            XCTAssertEqual(value(bundle, "linux.resources.\(row.path)"), row.expected, "\(row.resources)")
        }
        XCTAssertEqual(value(try bundle(), "linux.cgroupsPath"), "/hostd/oci-poduid/id")
    }

    func testDevices() throws {
        let node = DeviceNode(path: "/dev/gpu", mode: S_IFCHR | 0o660, major: 195, minor: 2, user: 1, group: 2)
        let json = try bundle(devices: [node], rules: [node.rule("rw")])
        XCTAssertEqual(
            value(json, "linux.devices.0"),
            [
                "path": "/dev/gpu", "type": "c", "major": 195, "minor": 2, "fileMode": 0o660, "uid": 1, "gid": 2,
            ])
        XCTAssertEqual(
            value(json, "linux.resources.devices").arrayValue.last,
            ["allow": true, "type": "c", "access": "rw", "major": 195, "minor": 2])
        let all = try bundle(["security": ["privileged": true]])
        XCTAssertEqual(value(all, "linux.resources.devices"), [["allow": true, "access": "rwm"]])
    }

    func testPathsAndPrivileges() throws {
        let plain = try bundle()
        XCTAssertTrue(value(plain, "linux.maskedPaths").arrayValue.contains("/proc/kcore"))
        XCTAssertTrue(value(plain, "linux.readonlyPaths").arrayValue.contains("/proc/sys"))
        let privileged = try bundle(["security": ["privileged": true]])
        XCTAssertEqual(value(privileged, "linux.maskedPaths"), [])
        XCTAssertEqual(value(privileged, "process.capabilities.bounding").arrayValue.count, CapabilitySet.names.count)
        XCTAssertThrowsError(try bundle(["command": []])) {
            XCTAssertTrue("\($0)".contains("names a command"), "\($0)")
        }
    }
}
