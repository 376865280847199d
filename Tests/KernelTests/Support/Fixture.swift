import Glibc
import XCTest

/// Plugins and programs that tests build from Tests/Fixtures.
enum Fixture {
    /// The package's root.
    static let root: String = {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(4)
        return "/" + parts.joined(separator: "/")
    }()

    static var include: String { root + "/Sources/PluginAPI/include" }

    /// Builds bad.c with one fault into `directory`; the file's path.
    static func badPlugin(_ fault: String, in directory: ScratchDirectory, name: String = "bad", extra: [String] = [])
        throws -> String
    {
        let file = "\(directory.path)/\(name).so"
        let withoutEntry =
            fault == "NO_ENTRY" ? ["-DWITHOUT_ENTRY", "-Wno-unused-function", "-Wno-unused-variable"] : []
        try compile(
            [
                "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,defs", "-DCASE=\(fault)", "-DNAME=\"\(name)\"",
                "-I\(include)",
            ]
                + withoutEntry + extra + ["-o", file, "\(root)/Tests/Fixtures/BadPlugins/bad.c"])
        return file
    }

    static func compile(_ arguments: [String]) throws {
        let compiler = try Spawned(["/usr/bin/env", "cc"] + arguments)
        let status = try compiler.wait()
        guard status == 0 else { throw Spawned.Failure(message: "cc failed: \(compiler.errorText)") }
    }

    /// The hostd executable of this build; skips the test where it was not built.
    static func hostd() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let runner = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let candidates =
            [runner.split(separator: "/").dropLast().joined(separator: "/")].map { "/\($0)/hostd" }
            + ["\(root)/.build/debug/hostd"]
        guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
            throw XCTSkip(
                "The executable hostd is not built: build without HOSTD_TARGETS, or with HOSTD_TARGETS=Kernel,hostd.")
        }
        return found
    }
}
