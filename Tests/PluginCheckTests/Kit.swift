import Foundation
import Objects
import XCTest

/// The conformance kit as a test runs it: plugins compiled from Tests/Plugins, checked by the program of this build.
struct Kit {
    let directory: URL

    static let root: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("hostd-kit-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    func remove() {
        do { try FileManager.default.removeItem(at: directory) } catch { print("cannot remove \(directory): \(error)") }
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// Compiles a source of Tests/Plugins; the library's path.
    func compile(_ source: String, name: String, _ arguments: [String], include: String? = nil) throws -> String {
        let file = directory.appendingPathComponent("\(name).so").path
        let include = include ?? Self.root.appendingPathComponent("Sources/PluginAPI/include").path
        let (status, output) = try Self.run(
            "/usr/bin/env",
            [
                "cc", "-std=gnu11", "-O1", "-w", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread", "-I\(include)",
                "-o", file,
            ] + arguments + [Self.root.appendingPathComponent("Tests/Plugins/\(source)").path])
        guard status == 0 else { throw Failure(description: "cc failed: \(output)") }
        return file
    }

    struct Result {
        let status: Int32
        let report: JSON
        let text: String

        var brokenRules: [Int] { report["brokenRules"].arrayValue.compactMap { $0.integerValue.map(Int.init) } }
        var findings: String {
            report["groups"].arrayValue.flatMap { $0["findings"].arrayValue }.map { $0.serializedString() }
                .joined(separator: "\n")
        }
    }

    /// Runs the kit on a library.
    static func check(_ file: String, _ arguments: [String] = []) throws -> Result {
        let (status, output) = try run(try program(), ["--report", "json"] + arguments + [file])
        let report = (try? JSON(parsing: Array(output.utf8))) ?? .null
        return Result(status: status, report: report, text: output)
    }

    /// The program of this build.
    static func program() throws -> String {
        let beside = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let candidates = [
            beside.appendingPathComponent("PluginCheck").path,
            root.appendingPathComponent(".build/debug/PluginCheck").path,
        ]
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw XCTSkip("PluginCheck is not built: build without HOSTD_TARGETS, or with HOSTD_TARGETS=PluginCheck.")
        }
        return found
    }

    static func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
