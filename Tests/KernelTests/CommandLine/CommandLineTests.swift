import Glibc
import Objects
import XCTest

@testable import Kernel

/// The executable from outside: what it prints, and how it exits.
final class CommandLineTests: XCTestCase {
    private func hostd(_ arguments: [String], environment: [String] = ["PATH=/usr/bin:/bin"]) throws -> (
        status: Int32, output: String, errors: String
    ) {
        let process = try Spawned([try Fixture.hostd()] + arguments, environment: environment)
        let status = try process.wait()
        return (status, process.outputText, process.errorText)
    }

    func testUsageErrorsExitWithTwoAndASuggestion() throws {
        let rows: [(arguments: [String], part: String)] = [
            ([], "Usage: hostd COMMAND"),
            (["rnu"], "unknown command rnu; did you mean run?"),
            (["image", "lst"], "unknown command image lst; did you mean image list?"),
            (["image"], "a command is missing"),
            (["--halp"], "unknown option --halp; did you mean --help?"),
            (["run", "--confg", "x"], "unknown option --confg; did you mean --config?"),
            (["run", "--config"], "--config needs a value: --config FILE"),
            (["run", "--config", "a", "--config", "b"], "--config is given twice"),
            (["run", "--log-format", "xml"], "--log-format cannot be \"xml\"; allowed: text, json"),
            (["run", "--stop-workloads=yes"], "--stop-workloads takes no value"),
            (["run", "--data", "/tmp"], "--config FILE is missing"),
            (["run", "--config", "x"], "--data DIR is missing"),
            (["run", "--config", "x", "--data", "/tmp", "extra"], "expected no arguments, found 1 arguments"),
            (["run", "--config", "x", "--data", "/tmp", "--listen", "here"], "--listen here is not ADDRESS:PORT"),
            (["run", "--config", "/nonexistent/x.yaml", "--data", "/tmp"], "/nonexistent/x.yaml: cannot be opened"),
            (["plugin", "list"], "Name its data directory with --data DIR or HOSTD_DATA"),
        ]
        for row in rows {
            let result = try hostd(row.arguments)
            XCTAssertEqual(result.status, 2, "\(row.arguments)")
            XCTAssertEqual(result.output, "", "\(row.arguments)")
            XCTAssertTrue(result.errors.contains(row.part), "\(row.arguments): \(result.errors)")
        }
    }

    func testHelpIsCompleteForEveryCommand() throws {
        let overview = try hostd(["--help"])
        XCTAssertEqual(overview.status, 0)
        for part in [
            "run ", "image load FILE", "plugin list", "store backup FILE", "reload", "Exit codes:", "HOSTD_DATA",
        ] {
            XCTAssertTrue(overview.output.contains(part), part)
        }
        let commands = [
            ["run"], ["image", "load"], ["image", "list"], ["image", "remove"], ["plugin", "list"],
            ["store", "status"],
            ["store", "backup"], ["plugin", "swap"], ["plugin", "rollback"], ["reload"], ["stop"], ["call"],
            ["version"],
        ]
        for command in commands {
            let help = try hostd(command + ["--help"])
            XCTAssertEqual(help.status, 0, "\(command)")
            XCTAssertTrue(help.output.hasPrefix("Usage: hostd \(command.joined(separator: " "))"), help.output)
        }
        XCTAssertEqual(try hostd(["version"]).output, "hostd \(HostEnvironment.version)\n")
    }

    func testConfigurationErrorsExitWithTwoAndTouchNothing() throws {
        let directory = try ScratchDirectory()
        let data = "\(directory.path)/data"
        let library = try Fixture.badPlugin("OPTIONS", in: directory)
        let rows: [(text: String, part: String)] = [
            ("plugins: [{name: a, libary: x}]", "h.yaml:1:21: plugins[0].libary: unknown key"),
            ("plugins: [", "is not YAML"),
            (
                "plugins: [{name: bad, library: \(library), options: {mode: quick}}]",
                "options.mode: the text \"quick\" is not possible"
            ),
            (
                "plugins: [{name: bad, library: \(library)}]\nroles: {hostd.api/1: [bad]}",
                "the plugin bad does not provide this role"
            ),
        ]
        for row in rows {
            let result = try hostd(["run", "--config", try directory.write("h.yaml", row.text), "--data", data])
            XCTAssertEqual(result.status, 2, row.text)
            XCTAssertEqual(result.output, "", row.text)
            XCTAssertTrue(result.errors.contains(row.part), "\(row.text): \(result.errors)")
            XCTAssertNotEqual(access(data, F_OK), 0, "nothing may have been started or made")
        }
    }

    func testFailingPluginsExitWithThree() throws {
        let directory = try ScratchDirectory()
        for fault in ["NO_ENTRY", "WRONG_ABI", "CONFIGURE_ERROR", "ACTIVATE_ERROR", "NO_TABLE"] {
            let library = try Fixture.badPlugin(
                fault, in: directory, name: fault.lowercased().replacing("_", with: "-"))
            let file = try directory.write("h.yaml", "plugins: [{name: bad, library: \(library)}]")
            let result = try hostd(["run", "--config", file, "--data", "\(directory.path)/data"])
            XCTAssertEqual(result.status, 3, fault)
            XCTAssertEqual(result.output, "", fault)
            XCTAssertTrue(result.errors.contains("cannot go on without plugin bad"), "\(fault): \(result.errors)")
        }
    }

    func testUnusableDataDirectoriesExitWithFour() throws {
        let directory = try ScratchDirectory()
        let file = try directory.write("h.yaml", "")
        mkdir("\(directory.path)/other", 0o755)
        try directory.write("other/format", "99\n")
        mkdir("\(directory.path)/damaged", 0o755)
        try directory.write("damaged/format", [0, 1, 2])
        try directory.write("file", "x")
        for (name, part) in [
            (
                "other",
                "has the format 99, this hostd (\(HostEnvironment.version)) uses 1: run the version that made it"
            ),
            ("damaged", "has the format damaged"), ("file", "is not a directory"),
            ("file/below", "cannot make the data directory"),
        ] {
            let result = try hostd(["run", "--config", file, "--data", "\(directory.path)/\(name)"])
            XCTAssertEqual(result.status, 4, name)
            XCTAssertTrue(result.errors.contains(part), "\(name): \(result.errors)")
        }
    }

    func testARunningHostdAnswersAndStopsInGoodOrder() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("CONSTRUCTOR_PRINTS", in: directory)
        let config = try directory.write("h.yaml", "plugins: [{name: bad, library: \(library)}]")
        let data = "\(directory.path)/" + String(repeating: "d", count: 120)
        let daemon = try Spawned([
            try Fixture.hostd(), "run", "--config", config, "--data", data, "--log-format", "json",
        ])
        try daemon.read { $0.outputText.contains("\n") }
        XCTAssertEqual(daemon.outputText, "hostd ready\n", "what a plugin prints must not get here")
        XCTAssertTrue(daemon.errorText.contains("a constructor prints on standard output"))
        var status = stat()
        XCTAssertEqual(stat(data, &status), 0)
        XCTAssertEqual(status.st_mode & 0o777, 0o700)
        XCTAssertEqual(stat("\(data)/control.sock", &status), 0)
        XCTAssertEqual(status.st_mode & 0o777, 0o600)

        let environment = ["HOSTD_DATA=\(data)"]
        let list = try hostd(["plugin", "list"], environment: environment)
        XCTAssertEqual(list.status, 0, list.errors)
        XCTAssertTrue(list.output.contains("hostd.scheduler/1*"), list.output)
        XCTAssertTrue(list.output.contains(library), list.output)
        let call = try hostd(["call", "hostd.scheduler/1", "node_remove", "alpha"], environment: environment)
        XCTAssertEqual(call.status, 0, call.errors)
        let refused = try hostd(["call", "hostd.scheduler/1", "node_remove", "error"], environment: environment)
        XCTAssertEqual(refused.status, 1)
        XCTAssertEqual(refused.errors, "hostd: hostd.scheduler/1 node_remove: NOT_FOUND: no such node\n")
        let swapped = try hostd(["plugin", "swap", "hostd.scheduler/1", "--to", library], environment: environment)
        XCTAssertEqual(swapped.status, 0, swapped.errors)
        XCTAssertTrue(swapped.output.hasPrefix("bad: generation 2, \(library) 1 → \(library) 1 in "), swapped.output)
        let lost = try hostd(["plugin", "swap", "bad", "--to", "absent", "--timeout", "3"], environment: environment)
        XCTAssertEqual(lost.status, 1)
        XCTAssertTrue(lost.errors.contains("hostd: find: there is no file "), lost.errors)
        XCTAssertEqual(try hostd(["plugin", "rollback", "bad"], environment: environment).status, 0)
        let generation = try hostd(["plugin", "list"], environment: environment).output
        XCTAssertTrue(generation.contains("  3           succeeded 20"), generation)
        let image = try hostd(["image", "load", config], environment: environment)
        XCTAssertEqual(image.status, 1)
        XCTAssertTrue(image.errors.contains("No plugin provides hostd.runtime/1 at the moment."), image.errors)

        let second = try hostd(["run", "--config", config, "--data", data])
        XCTAssertEqual(second.status, 4)
        XCTAssertTrue(second.errors.contains("is in use by another hostd (process \(daemon.processID))"), second.errors)

        XCTAssertEqual(
            try hostd(["reload"], environment: environment).output, "The configuration is valid and unchanged.\n")
        try directory.write("h.yaml", "plugins: [{name: bad, library: \(library)}]\nsettings: {nodeName: beta}")
        let changed = try hostd(["reload"], environment: environment)
        XCTAssertTrue(changed.output.contains("settings.nodeName: "), changed.output)
        try directory.write("h.yaml", "plugins: 7")
        let broken = try hostd(["reload"], environment: environment)
        XCTAssertEqual(broken.status, 1)
        XCTAssertTrue(broken.errors.contains("h.yaml:1:10: plugins: expected a list, found 7"), broken.errors)

        let store = try hostd(["store", "status", "--output", "json"], environment: environment)
        XCTAssertEqual(try JSON(parsing: store.output)["healthy"], true, store.errors)
        let backup = try hostd(["store", "backup", "\(directory.path)/copy"], environment: environment)
        XCTAssertEqual(backup.status, 0, backup.errors)
        XCTAssertEqual(access("\(directory.path)/copy", F_OK), 0)
        XCTAssertEqual(
            try hostd(["store", "backup", "\(directory.path)/copy"], environment: environment).status, 1,
            "never over an old one")

        daemon.signal(SIGTERM)
        XCTAssertEqual(try daemon.wait(), 0)
        XCTAssertEqual(daemon.outputText, "hostd ready\n")
        for line in daemon.errorText.split(separator: "\n") where line.hasPrefix("{") {
            XCTAssertNoThrow(try JSON(parsing: String(line)), String(line))
        }
        XCTAssertNotEqual(access("\(data)/control.sock", F_OK), 0)
        let gone = try hostd(["plugin", "list"], environment: environment)
        XCTAssertEqual(gone.status, 1)
        XCTAssertTrue(gone.errors.contains("no hostd answers on"), gone.errors)
    }

    func testASignalDuringTheStartIsTaken() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("SLOW_ACTIVATION", in: directory, name: "slow")
        let config = try directory.write("h.yaml", "plugins: [{name: slow, library: \(library)}]")
        let daemon = try Spawned([
            try Fixture.hostd(), "run", "--config", config, "--data", "\(directory.path)/d", "--log-level", "debug",
        ])
        try daemon.read { $0.errorText.contains("activating slowly") }
        daemon.signal(SIGTERM)
        XCTAssertEqual(try daemon.wait(), 0)
        XCTAssertEqual(daemon.outputText, "", "it never was ready")
    }

    func testStopOverTheControlSocket() throws {
        let directory = try ScratchDirectory()
        let config = try directory.write("h.yaml", "")
        let daemon = try Spawned([try Fixture.hostd(), "run", "--config", config, "--data", "\(directory.path)/d"])
        try daemon.read { $0.outputText.contains("\n") }
        XCTAssertEqual(try hostd(["stop", "--data", "\(directory.path)/d"]).status, 0)
        XCTAssertEqual(try daemon.wait(), 0)
        XCTAssertTrue(daemon.errorText.contains("asked for over the control socket"), daemon.errorText)
    }
}
