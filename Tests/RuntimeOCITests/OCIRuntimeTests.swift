import Glibc
import Objects
import PluginKit
import XCTest

@testable import Containers
@testable import RuntimeOCI

/// Identities, seccomp profiles, and what a runtime says, without one.
final class OCIRuntimeTests: XCTestCase {
    func testIdentity() throws {
        let users = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:w:/var/www:/bin/sh\nbroken\nodd:x:z:1:::\n"
        let groups = "root:x:0:\nstaff:x:50:web,root\nweb:x:44:\nnone:x:60:webmaster\n"
        typealias Request = ContainerIdentity.Request
        let rows: [(name: String, request: Request, expected: (UInt32, UInt32, [UInt32], String)?)] = [
            ("nothing is root", .init(text: ""), (0, 0, [0, 50], "/root")),
            ("by name", .init(text: "web"), (33, 44, [44, 50], "/var/www")),
            ("by number, known", .init(text: "33"), (33, 44, [44, 50], "/var/www")),
            ("by number, unknown", .init(text: "1234"), (1234, 0, [0], "/")),
            ("with a group's name", .init(text: "web:staff"), (33, 50, [50], "/var/www")),
            ("with a group's number", .init(text: "web:7"), (33, 7, [7, 50], "/var/www")),
            ("overridden", .init(text: "web:staff", user: 5, group: 6), (5, 6, [6], "/")),
            ("more groups", .init(text: "web", supplementary: [8, 50]), (33, 44, [44, 50, 8], "/var/www")),
            (
                "only those listed", .init(text: "web", supplementary: [8], hasOnlyListedGroups: true),
                (33, 44, [44, 8], "/var/www")
            ),
            ("unknown name", .init(text: "nobody"), nil),
            ("unknown group", .init(text: "web:nobody"), nil),
            ("must not be root", .init(text: "0", mustNotBeRoot: true), nil),
        ]
        for row in rows {
            guard let expected = row.expected else {
                XCTAssertThrowsError(
                    try ContainerIdentity(row.request, users: users, groups: groups, subject: "c"), row.name)
                continue
            }
            let found = try ContainerIdentity(row.request, users: users, groups: groups, subject: "c")
            XCTAssertEqual(found.user, expected.0, row.name)
            XCTAssertEqual(found.group, expected.1, row.name)
            XCTAssertEqual(found.groups, expected.2, row.name)
            XCTAssertEqual(found.home, expected.3, row.name)
        }
        XCTAssertEqual(try ContainerIdentity(.init(text: "5"), users: "", groups: "", subject: "c").user, 5)
    }

    func testSeccompProfile() throws {
        let standard = SeccompProfile.runtimeDefault(.standard)
        func actions(_ profile: JSON, _ call: String) -> [String] {
            profile["syscalls"].arrayValue.filter { $0["names"].arrayValue.contains(.string(call)) }
                .map { "\($0["action"].stringValue ?? "")\($0["args"].isEmpty ? "" : "?")" }
        }
        let rows: [(call: String, expected: [String])] = [
            ("read", ["SCMP_ACT_ALLOW"]), ("mount", []), ("clone", ["SCMP_ACT_ALLOW?"]),
            ("clone3", ["SCMP_ACT_ERRNO"]), ("socket", ["SCMP_ACT_ALLOW?", "SCMP_ACT_ALLOW?", "SCMP_ACT_ALLOW?"]),
        ]
        for row in rows { XCTAssertEqual(actions(standard, row.call), row.expected, row.call) }
        let admin = SeccompProfile.runtimeDefault(try CapabilitySet(.standard, adding: ["SYS_ADMIN"], dropping: []))
        XCTAssertEqual(actions(admin, "mount"), ["SCMP_ACT_ALLOW"])
        XCTAssertEqual(actions(admin, "clone"), ["SCMP_ACT_ALLOW"])
    }

    func testProfilesOfTheAdministrator() {
        let profile: JSON = [
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [],
            "syscalls": [
                ["names": ["a"], "action": "SCMP_ACT_ALLOW", "comment": "x"],
                ["name": "b", "action": "SCMP_ACT_ALLOW", "includes": ["caps": ["CAP_SYS_ADMIN"]]],
                ["name": "c", "action": "SCMP_ACT_ALLOW", "excludes": ["caps": ["CAP_SYS_ADMIN"]]],
            ],
        ]
        let resolved = SeccompProfile.resolved(profile, .standard)
        XCTAssertEqual(resolved["syscalls"].arrayValue.map { $0["names"] }, [["a"], ["c"]])
        XCTAssertEqual(resolved["defaultErrnoRet"], 38)
        XCTAssertFalse(resolved["archMap"].exists)
        XCTAssertFalse(resolved["architectures"].isEmpty)
    }

    func testAMissingRuntimeIsNamed() {
        for name in ["no-such-runtime", "/no/such/runtime"] {
            XCTAssertThrowsError(try OCIRuntime.find(name, path: "/bin:/usr/bin")) { error in
                let text = "\(error)"
                XCTAssertTrue(text.contains(name) && text.contains("install the package runc"), text)
                XCTAssertTrue(text.contains("`runtime`"), text)
            }
        }
        XCTAssertThrowsError(try OCIRuntime.find("some/runc", path: ""))
        XCTAssertEqual(try OCIRuntime.find("sh", path: "/nowhere:/bin"), "/bin/sh")
    }

    func testVersions() {
        let rows: [(text: String, name: String, version: String)] = [
            ("runc version 1.1.5+ds1\ncommit: 1\n", "runc", "1.1.5+ds1"), ("crun version 1.8.1\n", "crun", "1.8.1"),
            ("odd", "odd", "odd"), ("", "unknown", "unknown"),
        ]
        for row in rows {
            let found = OCIRuntime.parse(version: row.text)
            XCTAssertEqual(found.name, row.name)
            XCTAssertEqual(found.version, row.version)
        }
    }

    func testFailures() {
        let runtime = OCIRuntime(program: "/usr/sbin/runc", stateDirectory: "/state", name: "runc", version: "1")
        let prefix = "runc run failed: unable to start container process: "
        let rows: [(message: String?, code: Int32, expected: String)] = [
            (
                prefix + "exec: \"foo\": executable file not found in $PATH", 1,
                "exec: \"foo\": executable file not found in $PATH"
            ),
            (
                prefix + "exec: \"/x\": stat /x: no such file or directory", 1,
                "exec: \"/x\": no such file or directory"
            ),
            (prefix + "error during container init: something", 1, "container c: runc: \(prefix)error during"),
            (nil, 127, "/usr/sbin/runc cannot be executed"), (nil, 137, "exit code 137 without a word"),
        ]
        for row in rows {
            let text = "\(runtime.error(row.message, code: row.code, subject: "container c"))"
            XCTAssertTrue(text.contains(row.expected), text)
        }
        let log = """
            {"level":"warning","msg":"a"}
            {"level":"error","msg":"b","time":"t"}
            torn {
            """
        XCTAssertEqual(OCIRuntime.message(log: log), "b")
        XCTAssertNil(OCIRuntime.message(log: ""))
    }

    func testManyLayersFitIntoAPage() {
        XCTAssertLessThan(RootFilesystem.lower((0..<127).map { 1000 + $0 }, 1234).utf8.count, 3800)
    }
}
