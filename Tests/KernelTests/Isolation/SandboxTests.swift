import Glibc
import XCTest

@testable import Kernel

/// What a process can do inside of the sandbox, tried by a program that enters it.
final class SandboxTests: XCTestCase {
    private let directory = try? ScratchDirectory()

    private func probe(_ settings: [String], files: [String] = []) throws -> [String: String] {
        guard geteuid() == 0 else { throw XCTSkip("The sandbox of plugins needs root.") }
        let directory = try XCTUnwrap(directory)
        let sources = Fixture.root + "/Sources/PluginProcess"
        let program = "\(directory.path)/probe"
        try Fixture.compile(
            ["-std=gnu2x", "-D_GNU_SOURCE", "-o", program, Fixture.root + "/Tests/Fixtures/Sandbox/probe.c"]
                + ["sandbox.c", "sandbox_view.c", "sandbox_filter.c"].map { "\(sources)/\($0)" } + ["-lseccomp"])
        // Namespaces of the test's own, so that nothing of the machine is touched whatever goes wrong.
        let process = try Spawned(
            ["/usr/bin/unshare", "--net", "--mount", program, settings.joined(separator: "\n")] + files)
        let status = try process.wait()
        guard status == 0 else { return ["failure": process.errorText] }
        return process.outputText.split(separator: "\n").reduce(into: [:]) { found, line in
            let parts = line.split(separator: ":", maxSplits: 1)
            found[String(parts[0])] = parts.count == 2 ? String(parts[1].dropFirst()) : ""
        }
    }

    func testNothingIsLeftWithoutGrants() throws {
        let found = try probe(["user=1879050000", "capabilities=0", "files=64", "processes=50"])
        XCTAssertEqual(
            found["identity"],
            "uid 1879050000 gid 1879050000 groups 0 effective 0 permitted 0 files 64 no_new_privs 1", "\(found)")
        let refused = [
            "mount", "unshare", "setns", "ptrace", "bpf", "init_module", "keyctl", "perf_event_open", "io_uring_setup",
            "userfaultfd", "kexec_load", "reboot", "process_vm_readv", "keep living", "signal the parent",
            "socket inet",
            "socket inet, hidden bits", "socket netlink", "process", "program",
        ]
        for name in refused { XCTAssertEqual(found[name], "EPERM", name) }
        for name in ["signal itself", "socket unix", "thread"] { XCTAssertEqual(found[name], "ok", name) }
        XCTAssertEqual(found["descriptor 9"], "EBADF", "what was left open is closed")
    }

    func testGrantsOpenWhatTheyName() throws {
        let found = try probe(["user=1879050001", "capabilities=400", "network=1", "exec=1"])
        XCTAssertEqual(
            found["identity"]?.hasPrefix("uid 1879050001 gid 1879050001 groups 0 effective 400 permitted 400"), true,
            "\(found)")
        for name in ["socket inet", "socket netlink", "process", "program", "thread"] {
            XCTAssertEqual(found[name], "ok", name)
        }
        for name in ["mount", "unshare", "ptrace", "bpf", "signal the parent"] {
            XCTAssertEqual(found[name], "EPERM", name)
        }
        let root = try probe(["user=0", "capabilities=0"])
        XCTAssertEqual(root["identity"]?.hasPrefix("uid 0 gid 0 groups 0 effective 0 permitted 0"), true, "\(root)")
        for name in ["mount", "ptrace", "signal the parent", "socket inet", "program"] {
            XCTAssertEqual(root[name], "EPERM", "\(name), as root")
        }
    }

    func testOtherPluginsFilesAreOutOfSight() throws {
        let directory = try XCTUnwrap(directory)
        let data = "\(directory.path)/data"
        let (own, other) = ("\(data)/plugins/a", "\(data)/plugins/b")
        for path in [data, "\(data)/plugins", own, other] { XCTAssertEqual(mkdir(path, 0o700), 0) }
        chmod(directory.path, 0o711)
        try directory.write("data/secret", "x")
        try directory.write("data/plugins/b/file", "x")
        let library = try directory.write("data/plugins/a/lib.so", "x")
        chmod(library, 0o644)
        XCTAssertEqual(chown(own, 1_879_050_002, 1_879_050_002), 0)
        let settings = ["user=1879050002", "capabilities=0", "data=\(data)", "directory=\(own)", "library=\(library)"]
        let found = try probe(settings, files: ["\(data)/secret", "\(other)/file", "\(own)/new", library])
        XCTAssertEqual(found["read \(data)/secret"], "ENOENT", "\(found)")
        XCTAssertEqual(found["write \(data)/secret"], "EROFS")
        XCTAssertEqual(found["read \(other)/file"], "ENOENT")
        XCTAssertEqual(found["write \(own)/new"], "ok")
        XCTAssertEqual(found["read \(library)"], "ok")
        XCTAssertNotEqual(found["write \(library)"], "ok", "a plugin does not change its own code")
    }

    func testWhatCannotBeIsSaid() throws {
        let directory = try XCTUnwrap(directory)
        let library = try directory.write("lib.so", "x")
        let rows: [([String], String)] = [
            (["user=1879050003", "library=\(library)"], "the user 1879050003 of the plugin cannot read \(library)"),
            (["user=1879050003", "parent=1"], "hostd has ended"),
            (["user=x"], "an option of the sandbox is not a number"),
            (["colour=red"], "an option of the sandbox is unknown"),
            (["user=0", "group=/no/such/group"], "/no/such/group: No such file or directory"),
            (
                ["user=0", "capabilities=8000000000000000"],
                "hostd itself lacks a capability that the plugin is granted"
            ),
        ]
        for (settings, reason) in rows {
            XCTAssertEqual(try probe(settings)["failure"]?.contains(reason), true, "\(settings)")
        }
    }
}
