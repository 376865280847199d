import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

final class PluginHostTests: XCTestCase {
    /// Silent, unless a test looks at it.
    private let log = Log(level: .error, descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC))

    private func host(_ yaml: String, in directory: ScratchDirectory) throws -> PluginHost {
        let configuration = try HostConfiguration(text: Array(yaml.utf8), file: "\(directory.path)/h.yaml")
        return PluginHost(
            configuration: configuration, search: PluginSearch(executableDirectory: "\(directory.path)/bin"), log: log)
    }

    private func start(_ host: PluginHost, in directory: ScratchDirectory) throws(PluginHost.StartFailure) {
        mkdir("\(directory.path)/plugins", 0o700)
        let environment = HostEnvironment(
            dataDirectory: directory.path, listen: "127.0.0.1:6443", stopWorkloads: false, onStop: { _, _ in })
        try host.start(
            services: .init(), environment: environment,
            paths: .init(data: directory.path, libexec: "\(directory.path)/libexec"))
    }

    /// Every way in which a plugin can be bad ends as a reason that names step and cause.
    func testFaultsBecomeReasons() throws {
        let long = String(repeating: "x", count: 4096) + "… (cut: the message has 1048576 bytes)"
        let rows: [(fault: String, step: PluginFailure.Step, part: String)] = [
            ("NO_ENTRY", .entry, "exports no hostd_plugin_entry: it is not a plugin of hostd"),
            ("WRONG_ABI", .entry, "the plugin speaks ABI version 99, this host offers 1 to 1"),
            ("REFUSES_ABI", .entry, "the fixture needs ABI version 7 (this host offers the ABI versions 1 to 1)"),
            ("ENTRY_ERROR", .entry, "the fixture does not want to"),
            ("ENTRY_POSITIVE", .entry, "the plugin returned the status 3"),
            ("ENTRY_SILENT", .entry, "the plugin failed with INTERNAL and gave no reason"),
            ("ENTRY_LONG", .entry, long),
            ("SMALL_TABLE", .entry, "the plugin's table has 16 bytes"),
            ("NULL_FUNCTION", .entry, "lacks the function activate"),
            ("DESCRIBE_ERROR", .describe, "try tomorrow"),
            ("DESCRIBE_LONG", .describe, "returned 1048576 bytes; at most 65536 are allowed"),
            ("DESCRIBE_LONG_ERROR", .describe, long),
            ("DESCRIBE_NOT_JSON", .describe, "the description is not JSON"),
            ("DESCRIBE_BAD_TEXT", .describe, "the description is not JSON"),
            ("DESCRIBE_LONG_NAME", .describe, "\"name\" has 1000 bytes; at most 63 are allowed"),
            ("DESCRIBE_BAD_ROLE", .describe, "\"provides\" has \"Scheduler\", which is not the id of a role"),
            ("SCHEMA_ERROR", .schema, "try tomorrow"),
            ("SCHEMA_LONG", .schema, "returned 1048576 bytes; at most 262144 are allowed"),
            ("SCHEMA_LONG_ERROR", .schema, long),
            ("SCHEMA_NOT_JSON", .schema, "the schema is not JSON"),
            ("SCHEMA_BAD_KEYWORD", .schema, "uses the keyword \"oneOf\""),
            ("CONFIGURE_ERROR", .configure, "try tomorrow"),
            ("CONFIGURE_LONG_ERROR", .configure, long),
            ("NO_TABLE", .interface, "declares the role and returns no table for it"),
            ("OTHER_ID", .interface, "the table says that it is \"hostd.other/1\""),
            ("OTHER_SLOTS", .interface, "slot 1 is declared as node_set:be, the interface has node_set:sbbe there"),
            ("BAD_SLOTS", .interface, "unknown letter 'x'"),
            ("ACTIVATE_ERROR", .activate, "try tomorrow"),
            ("ACTIVATE_LONG_ERROR", .activate, long),
            ("REQUIRES_ABSENT", .require, "requires com.example.absent/1, which no plugin provides"),
        ]
        for row in rows {
            let directory = try ScratchDirectory()
            let library = try Fixture.badPlugin(row.fault, in: directory)
            let optional = try host("plugins: [{name: bad, library: \(library), optional: true}]", in: directory)
            optional.open()
            XCTAssertEqual(optional.optionMistakes(), [])
            XCTAssertNoThrow(
                try start(optional, in: directory), "\(row.fault): an optional plugin must not stop the host")
            let failure = try XCTUnwrap(optional.instances[0].failure, row.fault)
            XCTAssertEqual(failure.step, row.step, row.fault)
            XCTAssertTrue(failure.message.contains(row.part), "\(row.fault): \(failure.message.prefix(300))")
            let listed = optional.describe()["plugins"][0]
            XCTAssertEqual(listed["state"], "failed", row.fault)
            XCTAssertTrue(listed["reason"].stringValue?.hasPrefix("\(row.step.rawValue): ") ?? false, row.fault)
            optional.stop()
        }
    }

    func testFilesThatAreNoPluginAreNamed() throws {
        let directory = try ScratchDirectory()
        let good = try ScratchDirectory.contents(try Fixture.badPlugin("GOOD", in: directory, name: "good"))
        var otherMachine = good
        otherMachine[18] = 183
        var narrow = good
        narrow[4] = 1
        try directory.write("truncated.so", Array(good[..<(good.count / 3)]))
        try directory.write("stub.so", Array(good[..<40]))
        try directory.write("machine.so", otherMachine)
        try directory.write("narrow.so", narrow)
        try directory.write("text.so", "#!/bin/sh\n")
        try directory.write("empty.so", "")
        try Fixture.compile([
            "-o", "\(directory.path)/undefined.so", "-shared", "-fPIC", "-x", "c",
            try directory.write(
                "undefined.c", "void nowhere(void); int hostd_plugin_entry(void) { nowhere(); return 0; }"),
        ])
        let rows: [(library: String, step: PluginFailure.Step, part: String)] = [
            ("./absent.so", .find, "there is no file \(directory.path)/./absent.so"),
            ("absent", .find, "plugins/absent.so; name the file in `library:`, or install it there"),
            ("./truncated.so", .open, "is truncated"),
            ("./stub.so", .open, "is truncated: it has 40 bytes, less than an ELF header"),
            ("./machine.so", .open, "is made for another machine: it is for AArch64, this is x86-64"),
            ("./narrow.so", .open, "is made for another machine: it is not 64-bit little-endian"),
            ("./text.so", .open, "is not a shared library (it is not in ELF format)"),
            ("./empty.so", .open, "is not a shared library (it is not in ELF format)"),
            (directory.path, .open, "is not a regular file"),
            ("./undefined.so", .open, "undefined symbol: nowhere"),
        ]
        for row in rows {
            let host = try host("plugins: [{name: p, library: \(row.library)}]", in: directory)
            host.open()
            let failure = try XCTUnwrap(host.instances[0].failure, row.library)
            XCTAssertEqual(failure.step, row.step, row.library)
            XCTAssertTrue(failure.message.contains(row.part), "\(row.library): \(failure.message)")
            XCTAssertThrowsError(try start(host, in: directory), row.library) { error in
                XCTAssertTrue("\(error)".contains("cannot go on without plugin p"), "\(error)")
            }
            host.stop()
        }
    }

    func testAGoodPluginLivesItsLife() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("GOOD", in: directory)
        let host = try host("plugins: [{name: bad, library: \(library)}]", in: directory)
        let before = try XCTUnwrap(
            host.interface(HOSTD_SCHEDULER_1), "a role of the headers has a table without a provider")
        XCTAssertThrowsError(
            try host.call(role: HOSTD_SCHEDULER_1, plugin: nil, slot: "reset", arguments: [], files: [], deadline: 0)
        ) {
            XCTAssertEqual(($0 as? PluginHost.CallFailure)?.code, HOSTD_ERROR_UNAVAILABLE)
        }
        host.open()
        try start(host, in: directory)
        XCTAssertEqual(host.interface(HOSTD_SCHEDULER_1), before, "the same address before and after")
        XCTAssertEqual(host.activeProviders(of: HOSTD_SCHEDULER_1), ["bad"])
        let call = { (name: String) in
            try host.call(
                role: HOSTD_SCHEDULER_1, plugin: nil, slot: "node_remove", arguments: [.string(name)], files: [],
                deadline: 0)
        }
        XCTAssertNoThrow(try call("alpha"))
        XCTAssertThrowsError(try call("error")) { XCTAssertEqual("\($0)", "NOT_FOUND: no such node") }
        XCTAssertThrowsError(try call("positive")) {
            XCTAssertEqual(($0 as? PluginHost.CallFailure)?.code, HOSTD_ERROR_INTERNAL)
        }
        let role = host.describe()["plugins"][0]["roles"][0]
        XCTAssertEqual(role["calls"], 3)
        XCTAssertEqual(role["errors"], 2)
        XCTAssertEqual(role["violations"], 1)
        XCTAssertEqual(role["selected"], true)
        host.stop()
        XCTAssertEqual(host.describe()["plugins"][0]["state"], "ended")
        XCTAssertThrowsError(try call("alpha")) {
            XCTAssertEqual(($0 as? PluginHost.CallFailure)?.code, HOSTD_ERROR_UNAVAILABLE)
        }
    }

    func testCallsByNameAreChecked() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("NULL_SLOTS", in: directory)
        let host = try host("plugins: [{name: bad, library: \(library)}]", in: directory)
        host.open()
        try start(host, in: directory)
        defer { host.stop() }
        let rows: [(role: String, plugin: String?, slot: String, arguments: [JSON], code: Int32, part: String)] = [
            (HOSTD_SCHEDULER_1, nil, "reset", [], HOSTD_ERROR_NOT_SUPPORTED, "does not have this function"),
            (HOSTD_SCHEDULER_1, nil, "resett", [], HOSTD_ERROR_NOT_SUPPORTED, "did you mean reset?"),
            (
                HOSTD_SCHEDULER_1, nil, "node_remove", [], HOSTD_ERROR_INVALID_ARGUMENT,
                "takes 1 arguments and 0 files, not 0 and 0"
            ),
            (HOSTD_SCHEDULER_1, nil, "node_set", [], HOSTD_ERROR_NOT_SUPPORTED, "cannot be called by name"),
            ("hostd.schedular/1", nil, "reset", [], HOSTD_ERROR_NOT_FOUND, "did you mean hostd.scheduler/1?"),
            (HOSTD_SCHEDULER_1, "other", "reset", [], HOSTD_ERROR_NOT_FOUND, "the plugin other does not provide"),
        ]
        for row in rows {
            XCTAssertThrowsError(
                try host.call(
                    role: row.role, plugin: row.plugin, slot: row.slot, arguments: row.arguments, files: [], deadline: 0
                )
            ) { error in
                XCTAssertEqual((error as? PluginHost.CallFailure)?.code, row.code, row.slot)
                XCTAssertTrue("\(error)".contains(row.part), "\(error)")
            }
        }
        let result = try host.call(
            role: HOSTD_ENVIRONMENT_1, plugin: nil, slot: "describe", arguments: [], files: [], deadline: 0)
        XCTAssertEqual(try JSON(parsing: result.output ?? [])["dataDirectory"].stringValue, directory.path)
    }

    func testPreferenceDecidesAndTheNextOneTakesOver() throws {
        let directory = try ScratchDirectory()
        let one = try Fixture.badPlugin("GOOD", in: directory, name: "one")
        let two = try Fixture.badPlugin("GOOD", in: directory, name: "two")
        let broken = try Fixture.badPlugin("ACTIVATE_ERROR", in: directory, name: "broken")
        let host = try host(
            """
            plugins: [{name: one, library: \(one)}, {name: two, library: \(two)}, {name: broken, library: \(broken)}]
            roles: {hostd.scheduler/1: [broken, two]}
            """, in: directory)
        host.open()
        // `broken` is not optional, but its role has other providers.
        try start(host, in: directory)
        XCTAssertEqual(host.activeProviders(of: HOSTD_SCHEDULER_1), ["two", "one"])
        let selected = host.describe()["plugins"].arrayValue.filter { $0["roles"][0]["selected"] == true }.map {
            $0["name"]
        }
        XCTAssertEqual(selected, ["two"])
        XCTAssertNotNil(host.providerTable(of: HOSTD_SCHEDULER_1, plugin: "one"))
        XCTAssertNil(host.providerTable(of: HOSTD_SCHEDULER_1, plugin: "three"))
        host.stop()
    }

    func testDeactivationErrorsAreReported() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("DEACTIVATE_ERROR", in: directory)
        let host = try host("plugins: [{name: bad, library: \(library)}]", in: directory)
        host.open()
        try start(host, in: directory)
        host.stop()
        XCTAssertEqual(host.describe()["plugins"][0]["reason"], "deactivate: the fixture cannot: try tomorrow")
    }

    func testARoleOfAThirdPartyWorksLikeAnyOther() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("OWN_ROLE", in: directory)
        let host = try host("plugins: [{name: bad, library: \(library)}]", in: directory)
        XCTAssertNil(host.interface("com.example.cache/1"), "nobody declares it yet")
        host.open()
        try start(host, in: directory)
        defer { host.stop() }
        XCTAssertNotNil(host.interface("com.example.cache/1"))
        XCTAssertNil(host.interface("com.example.other/1"))
        let result = try host.call(
            role: "com.example.cache/1", plugin: "bad", slot: "get", arguments: ["key"], files: [], deadline: 0)
        XCTAssertEqual(result.output, Array("key".utf8))
        let services = try KernelServices(
            directory: directory.path, store: .init(engine: "bad", options: [:]), log: log)
        defer { services.close() }
        services.showRoles(of: host, log: log)
        let metrics = services.metricsText
        XCTAssertTrue(
            metrics.contains(
                "hostd_role_calls_total{role=\"com.example.cache/1\",plugin=\"bad\",slot=\"get\"} 1"), metrics)
    }

    func testCirclesAreRefused() throws {
        let directory = try ScratchDirectory()
        let a = try Fixture.badPlugin("REQUIRES_ITSELF", in: directory, name: "aa", extra: ["-DOTHER=\"bb\""])
        let b = try Fixture.badPlugin("REQUIRES_ITSELF", in: directory, name: "bb", extra: ["-DOTHER=\"aa\""])
        let host = try host("plugins: [{name: aa, library: \(a)}, {name: bb, library: \(b)}]", in: directory)
        host.open()
        XCTAssertThrowsError(try start(host, in: directory)) { error in
            XCTAssertTrue("\(error)".contains("in a circle: aa → bb → aa"), "\(error)")
        }
        host.stop()
    }

    func testOptionsAreCheckedAgainstThePluginsSchema() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("OPTIONS", in: directory)
        let wrong = try host(
            "plugins:\n  - name: bad\n    library: \(library)\n    options: {mode: quick}", in: directory)
        wrong.open()
        XCTAssertEqual(
            wrong.optionMistakes().map(\.description),
            [
                "\(directory.path)/h.yaml:4:21: plugins[0].options.mode: the text \"quick\" is not possible; allowed: fast and safe"
            ])
        wrong.stop()
        let right = try host("plugins: [{name: bad, library: \(library), options: {mode: fast}}]", in: directory)
        right.open()
        XCTAssertEqual(right.optionMistakes(), [])
        try start(right, in: directory)
        right.stop()
        let misplaced = try host(
            "plugins: [{name: bad, library: \(library)}]\nroles: {hostd.runtime/1: [bad]}", in: directory)
        misplaced.open()
        XCTAssertEqual(misplaced.preferenceMistakes().map(\.keyPath), ["roles.hostd.runtime/1"])
        misplaced.stop()
    }

    func testRoleWatchesSeeWhatIsAndWhatChanges() throws {
        let directory = try ScratchDirectory()
        let library = try Fixture.badPlugin("GOOD", in: directory)
        let host = try host("plugins: [{name: bad, library: \(library)}]", in: directory)
        host.open()
        try start(host, in: directory)
        let seen = Seen()
        let watch = try host.watchRoles(
            { context, _, data, size in
                guard let context, let data else { return }
                Unmanaged<Seen>.fromOpaque(context).takeUnretainedValue().add(
                    String(decoding: UnsafeBufferPointer(start: data, count: Int(size)), as: UTF8.self))
            }, Unmanaged.passUnretained(seen).toOpaque())
        XCTAssertEqual(
            seen.wait(for: 1),
            ["{\"role\":\"hostd.scheduler/1\",\"plugin\":\"bad\",\"state\":\"active\",\"generation\":1}"])
        host.stop()
        XCTAssertEqual(seen.wait(for: 2).last?.contains("\"inactive\""), true)
        host.unwatchRoles(watch)
    }

    private final class Seen: @unchecked Sendable {
        private let monitor = Monitor()
        private var messages: [String] = []
        func add(_ message: String) {
            monitor.locked {
                messages.append(message)
                monitor.broadcast()
            }
        }
        func wait(for count: Int) -> [String] {
            monitor.locked {
                let deadline = monotonicNow() + 60_000_000_000
                while messages.count < count, monitor.wait(until: deadline) {}
                return messages
            }
        }
    }
}
