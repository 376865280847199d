import Glibc
import Objects
import PluginKit
import XCTest

@testable import Containers
@testable import Runtime

/// What is decided before anything is made: commands, environments, capabilities, signals, and the helper's protocol.
final class PlanTests: XCTestCase {
    private func plan(_ container: JSON, _ change: (inout ImageConfiguration) -> Void = { _ in }) throws
        -> ContainerPlan
    {
        var config = container
        config["name"] = "c"
        config["image"] = "i"
        var image = ImageConfiguration()
        change(&image)
        let pod = try SandboxConfiguration(["podUID": "u", "hostname": "pod"])
        return ContainerPlan(
            configuration: try ContainerConfiguration(config), image: image,
            sandbox: .init(configuration: pod, directory: "/s", holder: nil),
            place: .init(
                directory: "/c", layersDirectory: "/l", lowerDirectories: "2:1", logPath: ""),
            groups: .init(unifiedDirectory: nil, joinFiles: [], oomFile: nil, mounts: [], isUnified: true),
            capabilities: .standard, seccomp: nil, devices: [])
    }

    func testCommand() throws {
        let rows: [(container: JSON, entry: [String], command: [String], expected: [String]?)] = [
            ([:], ["e"], ["c"], ["e", "c"]), ([:], [], ["c"], ["c"]), (["args": ["a"]], ["e"], ["c"], ["e", "a"]),
            (["command": ["x"]], ["e"], ["c"], ["x"]), (["command": ["x"], "args": ["a"]], ["e"], ["c"], ["x", "a"]),
            ([:], [], [], nil),
        ]
        for row in rows {
            let plan = try plan(row.container) { image in
                image.entryPoint = row.entry
                image.command = row.command
            }
            if let expected = row.expected {
                XCTAssertEqual(try plan.configuration.arguments(plan.image), expected)
            } else {
                XCTAssertThrowsError(try plan.configuration.arguments(plan.image))
            }
        }
    }

    func testEnvironment() throws {
        let plan = try plan([
            "environment": [["name": "A", "value": "2"], ["name": "B", "value": "x=y"], ["name": "C"]]
        ]) {
            $0.environment = ["A=1", "PATH=/p"]
        }
        XCTAssertEqual(plan.environment(), ["PATH=/p", "HOSTNAME=pod", "A=2", "B=x=y", "C="])
    }

    /// What of an image is mounted: the whole, or a path that does not lead out of it.
    func testMountedImages() throws {
        let configuration = try plan([
            "mounts": [
                ["containerPath": "/a", "image": "b:1", "imagePath": "x/y"], ["containerPath": "/c", "image": "a:1"],
                ["containerPath": "/d", "image": "b:1"], ["containerPath": "/h", "hostPath": "/h"],
            ]
        ]).configuration
        XCTAssertEqual(configuration.mountedImages, ["a:1", "b:1"], "each once")
        XCTAssertEqual(configuration.mounts.map(\.imagePath), ["/x/y", "", "", ""])
        XCTAssertEqual(configuration.mounts.map(\.isReadOnly), [true, true, true, false])
        XCTAssertThrowsError(
            try plan(["mounts": [["containerPath": "/a", "image": "b:1", "imagePath": "../y"]]]))
    }

    func testCapabilities() throws {
        let rows: [(add: [String], drop: [String], expected: UInt64)] = [
            ([], [], 0xa804_25fb), (["NET_ADMIN"], [], 0xa804_25fb | 1 << 12),
            (["cap_net_admin"], [], 0xa804_25fb | 1 << 12),
            ([], ["ALL"], 0), (["CHOWN"], ["ALL"], 1), (["ALL"], [], 0x1ff_ffff_ffff),
            (["ALL"], ["CHOWN"], 0x1ff_ffff_fffe),
            ([], ["KILL"], 0xa804_25fb & ~(1 << 5)),
        ]
        for row in rows {
            XCTAssertEqual(
                try CapabilitySet(.standard, adding: row.add, dropping: row.drop).bits, row.expected, "\(row)")
        }
        XCTAssertThrowsError(try CapabilitySet(.standard, adding: ["NO_SUCH"], dropping: []))
    }

    func testSignals() throws {
        let rows: [(text: String, expected: Int32?)] = [
            ("", 15), ("SIGTERM", 15), ("quit", 3), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("RTMIN", 34),
            ("SIGNONE", nil),
            ("0", nil), ("65", nil), ("RTMIN+40", nil), ("RTMIN+x", nil),
        ]
        for row in rows {
            if let expected = row.expected {
                XCTAssertEqual(try StopSignal.number(row.text), expected, row.text)
            } else {
                XCTAssertThrowsError(try StopSignal.number(row.text), row.text)
            }
        }
    }

    func testBadConfigurations() {
        let rows: [JSON] = [
            [:], ["name": "c"], ["name": "c", "image": "i", "mounts": [["containerPath": "/a"]]],
            ["name": "c", "image": "i", "mounts": [["containerPath": "/../a", "hostPath": "/x"]]],
            ["name": "c", "image": "i", "mounts": [["containerPath": "/a", "hostPath": "/x", "propagation": "odd"]]],
            ["name": "c", "image": "i", "command": ["a\u{0}b"]],
            ["name": "c", "image": "i", "security": ["runAsUser": -1]],
            ["name": "c", "image": "i", "security": ["seccomp": ["type": "Odd"]]],
            ["name": "c", "image": "i", "security": ["seccomp": ["type": "Localhost", "path": "relative"]]],
            ["name": "c", "image": "i", "devices": [["hostPath": "/dev/x", "permissions": "q"]]],
            ["name": "c", "image": "i", "edits": [["hooks": [["hookName": "createContainer"]]]]],
        ]
        for row in rows { XCTAssertThrowsError(try ContainerConfiguration(row), "\(row)") }
        for row: JSON in [
            [:], ["podUID": "../x"], ["podUID": "u", "sysctls": ["net..x": "1"]],
            ["podUID": "u", "sysctls": ["vm.swappiness": "1"]],
        ] {
            XCTAssertThrowsError(try SandboxConfiguration(row), "\(row)")
        }
    }

    func testDeviceEdits() throws {
        let configuration = try ContainerConfiguration([
            "name": "c", "image": "i",
            "edits": [
                [
                    "env": ["GPU=0"], "deviceNodes": [["path": "/dev/gpu", "hostPath": "/dev/null"]],
                    "mounts": [["hostPath": "/lib/x", "containerPath": "/lib/x", "options": ["ro", "rbind"]]],
                ]
            ],
        ])
        XCTAssertEqual(configuration.environment, ["GPU=0"])
        XCTAssertEqual(
            configuration.devices, [.init(containerPath: "/dev/gpu", hostPath: "/dev/null", permissions: "rwm")])
        XCTAssertEqual(configuration.mounts, [.init(containerPath: "/lib/x", hostPath: "/lib/x", isReadOnly: true)])
    }

    // MARK: The helper's protocol

    /// The numbers of protocol.h and those of Swift are the same, in number and in order.
    func testProtocolAgrees() throws {
        let header = String(
            decoding: try AtomicFile.read("\(RuntimeFixture.root)/Sources/ContainerInit/protocol.h"), as: UTF8.self)
        func constants(_ prefix: String) -> [(name: String, number: UInt32)] {
            header.split(separator: "\n").compactMap { line in
                let words = line.split(whereSeparator: { $0 == " " || $0 == "," })
                guard words.count > 2, words[0].hasPrefix(prefix), words[1] == "=", let number = UInt32(words[2]) else {
                    return nil
                }
                return (words[0].dropFirst(prefix.count).lowercased().filter { $0 != "_" }, number)
            }
        }
        let tags = constants("TAG_")
        XCTAssertEqual(tags.map(\.number), InitTag.allCases.map(\.rawValue))
        XCTAssertEqual(tags.map(\.name), InitTag.allCases.map { "\($0)".lowercased() })
        let steps = constants("STEP_")
        XCTAssertEqual(steps.map(\.number), InitStep.allCases.map(\.rawValue))
        XCTAssertEqual(steps.map(\.name), InitStep.allCases.map { "\($0)".lowercased() })
    }

    func testRecords() {
        var configuration = InitConfiguration()
        configuration.add(.logPath, "ab")
        configuration.add(.bind, [5], ["x", "y"])
        XCTAssertEqual(
            configuration.bytes,
            [2, 0, 0, 0, 2, 0, 0, 0, 0x61, 0x62, 0]
                + [8, 0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0x78, 0, 0x79, 0, 0])
    }

    func testProcessIdentity() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 0 0"
        XCTAssertEqual(ProcessIdentity.parse(stat: text, process: 42), ProcessIdentity(process: 42, startTime: 777))
        XCTAssertNil(ProcessIdentity.parse(stat: text.replacing(" S ", with: " Z "), process: 42), "only its remains")
        XCTAssertNil(ProcessIdentity.parse(stat: "42 (a", process: 42))
    }

    /// The file of a process is opened, or read, when the process is gone already.
    func testAProcessThatEndsWhileItIsLookedAtIsGone() throws {
        for _ in 0..<200 {
            var process: pid_t = 0
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
            defer { free(arguments[0]) }
            XCTAssertEqual(posix_spawn(&process, "/bin/true", nil, nil, &arguments, nil), 0)
            let waiter = Thread { [process] in waitpid(process, nil, 0) }
            waiter.start()
            while !waiter.isFinished { _ = try ProcessIdentity.current(process) }
            XCTAssertNil(try ProcessIdentity.current(process))
        }
    }

    func testExitRecords() {
        let exit = ContainerExit(parsing: "code 137\nsignal 9\noom 1\nfinished 5\n")
        XCTAssertEqual(exit?.reason, "OOMKilled")
        XCTAssertEqual(exit?.signal, 9)
        XCTAssertNil(ContainerExit(parsing: "code 1\n"))
        XCTAssertNil(ContainerStart(parsing: "process 1\nstart 2\n"))
    }

    // MARK: seccomp

    func testSeccompProgram() throws {
        let standard = try SeccompFilter.compileDefault(.standard)
        XCTAssertEqual(standard.count % 8, 0)
        XCTAssertLessThan(standard.count / 8, 2000)
        let admin = try SeccompFilter.compileDefault(try CapabilitySet(.standard, adding: ["SYS_ADMIN"], dropping: []))
        XCTAssertNotEqual(standard, admin)
    }

    func testSeccompTableNamesEachCallOnce() {
        let calls = SeccompTable.always.split(separator: " ")
        XCTAssertEqual(Set(calls).count, calls.count)
        for guarded in [
            "mount", "bpf", "clone", "unshare", "reboot", "init_module", "kexec_load", "add_key", "keyctl",
            "io_uring_setup", "userfaultfd", "open_by_handle_at",
        ] {
            XCTAssertFalse(calls.contains(Substring(guarded)), guarded)
        }
        for entry in SeccompTable.withCapability {
            XCTAssertTrue(CapabilitySet.names.contains(entry.capability), entry.capability)
        }
    }
}
