import Foundation
import Objects
import XCTest

final class PluginCheckTests: XCTestCase {
    /// The faults of Tests/Plugins/broken/faults.h, with the rule that each breaks.
    private func faults(_ header: String) throws -> [(name: String, rule: Int)] {
        let text = try String(contentsOf: Kit.root.appendingPathComponent("Tests/Plugins/\(header)"), encoding: .utf8)
        return text.split(separator: "\n").flatMap { line -> [(String, Int)] in
            let parts = line.components(separatedBy: ", // ")
            guard parts.count == 2, let rule = Int(parts[1]) else { return [] }
            return parts[0].components(separatedBy: ", ").map { ($0.trimmingCharacters(in: .whitespaces), rule) }
        }
    }

    func testTheKitNamesTheRuleThatAPluginBreaks() throws {
        try expectEveryFaultToBeFound(["broken/broken.c"])
    }

    func testTheKitNamesTheRuleThatARoleBreaks() throws {
        try expectEveryFaultToBeFound(Self.roleSources)
    }

    /// Providers of roles, each with the faults of its own directory.
    private static let roleSources = [
        "broken-scheduler/scheduler.c", "broken-device/device.c", "broken-volume/volume.c",
        "broken-extension/extension.c", "broken-network/network.c", "broken-store/store.c", "broken-runtime/runtime.c",
    ]

    /// What a provider is compiled with beside its own source: two stand on the project that `hostd plugin new` writes.
    private static func parts(of source: String) throws -> [String] {
        let role = source.hasPrefix("broken-store/") ? "store" : source.hasPrefix("broken-runtime/") ? "runtime" : ""
        guard !role.isEmpty else { return [] }
        var arguments = ["-D_GNU_SOURCE"]
        if role == "runtime" { arguments.append("-Wl,--wrap=write") }
        for directory in ["Templates/c/common/src", "Templates/c/roles/\(role)/src"] {
            let path = Kit.root.appendingPathComponent(directory).path
            arguments.append("-I\(path)")
            arguments += try FileManager.default.contentsOfDirectory(atPath: path)
                .filter { $0.hasSuffix(".c") && $0 != "\(role).c" }.sorted().map { "\(path)/\($0)" }
        }
        return arguments
    }

    /// These wait for containers and leases, on a machine that is busy with all the others.
    private static func timeout(of source: String) -> [String] {
        ["--timeout", source.hasPrefix("broken-store/") || source.hasPrefix("broken-runtime/") ? "20" : "10"]
    }

    private func expectEveryFaultToBeFound(_ sources: [String]) throws {
        // Of all sources in one row, so that none waits for the slowest fault of another.
        let row = try sources.flatMap { source in
            let own = try faults("\(source.prefix { $0 != "/" })/faults.h")
            XCTAssertGreaterThan(own.count, 3, source)
            return own.map { (source: source, name: $0.name, rule: $0.rule) }
        }
        let kit = try Kit()
        defer { kit.remove() }
        let lock = NSLock()
        nonisolated(unsafe) var wrong: [String] = []  // Only touched with `lock` held.
        DispatchQueue.concurrentPerform(iterations: row.count) { index in
            let fault = row[index]
            let problem = Self.problem(kit, fault.source, fault.name, rule: fault.rule)
            guard let problem else { return }
            lock.withLock { wrong.append("\(fault.source), \(fault.name): \(problem)") }
        }
        XCTAssertEqual(wrong, [])
    }

    /// What is wrong with the report on a plugin with one fault; nil when it names exactly the rule.
    private static func problem(_ kit: Kit, _ source: String, _ fault: String, rule: Int) -> String? {
        do {
            let extra = fault == "EXTRA_SYMBOL" ? ["-DWITH_EXTRA_SYMBOL"] : []
            let name = "\(source.prefix { $0 != "/" })-\(fault)"
            let file = try kit.compile(source, name: name, ["-DFAULT=\(fault)"] + extra + parts(of: source))
            let result = try Kit.check(file, timeout(of: source))
            guard result.status == 1 else { return "exit code \(result.status): \(result.text.suffix(500))" }
            return result.brokenRules == [rule] ? nil : "expected rule \(rule): \(result.findings)"
        } catch { return "\(error)" }
    }

    func testTheTwinsWithoutAFaultPass() throws {
        let kit = try Kit()
        defer { kit.remove() }
        for source in ["broken/broken.c"] + Self.roleSources {
            let result = try Kit.check(
                try kit.compile(source, name: "good-\(source.prefix { $0 != "/" })", Self.parts(of: source)))
            XCTAssertEqual(result.status, 0, result.findings)
            XCTAssertGreaterThan(result.report["checks"].integerValue ?? 0, 300)
        }
    }

    /// Every rule that the kit can name is a rule of docs/abi.md, and every one of them was seen to be found.
    func testEveryRuleIsDocumentedAndProved() throws {
        let (status, output) = try Kit.run(try Kit.program(), ["--rules"])
        XCTAssertEqual(status, 0)
        let rules = try JSON(parsing: Array(output.utf8)).arrayValue.compactMap {
            $0["number"].integerValue.map(Int.init)
        }
        let document = try String(contentsOf: Kit.root.appendingPathComponent("docs/abi.md"), encoding: .utf8)
        let documented = document.split(separator: "\n").compactMap { line -> Int? in
            if line.hasPrefix("| ") { return Int(line.dropFirst(2).prefix { $0.isNumber }) }
            guard let dot = line.firstIndex(of: "."), line[dot...].hasPrefix(". **") else { return nil }
            return Int(line[..<dot])
        }
        XCTAssertEqual(Set(rules).subtracting(documented), [])
        let sources = ["broken/broken.c"] + Self.roleSources
        let proved = try Set(sources.flatMap { try faults("\($0.prefix { $0 != "/" })/faults.h").map(\.rule) })
        // Checked with the plugin of the tree alone: a fixture would have to be an API.
        let withoutFixture: Set<Int> = [61]
        XCTAssertEqual(Set(rules).subtracting(proved), withoutFixture)
    }

    func testMistakesOfTheCommandLine() throws {
        for (words, part) in [
            (["/nonexistent.so"], "No such file"), ([], "expected one FILE.so"),
            (["--role", "x"], "expected one FILE.so"),
            (["--report", "xml", "/dev/null"], "--report is text or json"),
            (["--nothing", "x", "y"], "unknown option"),
        ] {
            let (status, output) = try Kit.run(try Kit.program(), words)
            XCTAssertEqual(status, 2, output)
            XCTAssertTrue(output.contains(part), output)
        }
    }

    func testAnythingThatIsNoPluginIsReported() throws {
        let kit = try Kit()
        defer { kit.remove() }
        let text = kit.directory.appendingPathComponent("text.so")
        try Data("#!/bin/sh\n".utf8).write(to: text)
        let result = try Kit.check(text.path)
        XCTAssertEqual(result.status, 1)
        XCTAssertEqual(result.brokenRules, [1])
    }

    func testTheTextNamesRuleCheckAndRemedy() throws {
        let kit = try Kit()
        defer { kit.remove() }
        let file = try kit.compile("broken/broken.c", name: "prints", ["-DFAULT=POSITIVE_STATUS"])
        let (status, output) = try Kit.run(try Kit.program(), ["--group", "arguments", file])
        XCTAssertEqual(status, 1)
        for part in ["Rule 9 (Statuses): com.example.probe/1 echo", "positive status 1", "remedy:", "Failed:"] {
            XCTAssertTrue(output.contains(part), "no \(part) in: \(output)")
        }
    }
}
