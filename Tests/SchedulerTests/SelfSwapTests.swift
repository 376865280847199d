import Foundation
import Glibc
import Objects
import XCTest

@testable import Kernel

/// A Swift plugin that is swapped to itself again and again costs nothing: its instances, tables and state go.
final class SelfSwapTests: XCTestCase {
    /// The plugin's image beside this test run.
    private func library() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let runner = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let candidates: [String] =
            ["/" + runner.split(separator: "/").dropLast().joined(separator: "/"), "\(root)/.build/debug"]
        let files: [String] = candidates.map { $0 + "/libhostd-plugin-Scheduler.so" }
        let found = files.first { access($0, R_OK) == 0 }
        return try XCTUnwrap(found, "swift build --build-tests builds it")
    }

    /// Bytes of anonymous memory of this process: what was allocated, without mapped files.
    private func residentBytes() throws -> Int {
        let text = try XCTUnwrap(SwapStore.contents(of: "/proc/self/status"))
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") where line.hasPrefix("RssAnon:") {
            return try XCTUnwrap(Int(line.split(whereSeparator: \.isWhitespace)[1])) << 10
        }
        throw XCTSkip("the kernel does not tell anonymous memory")
    }

    /// Mappings of the plugin's image.
    private func mappings(of name: String) throws -> Int {
        let text = try XCTUnwrap(SwapStore.contents(of: "/proc/self/maps"))
        return String(decoding: text, as: UTF8.self).split(separator: "\n").filter { $0.hasSuffix(name) }.count
    }

    func testTwoHundredSwapsKeepMemoryFlat() throws {
        let library = try library()
        var template = Array("/tmp/hostd-self-swap-XXXXXX".utf8CString)
        _ = try XCTUnwrap(mkdtemp(&template))
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { removeTree(directory) }
        mkdir("\(directory)/plugins", 0o700)
        // Its own name, so that mappings of other tests are not counted.
        try FileManager.default.copyItem(atPath: library, toPath: "\(directory)/self-swap.so")
        let text = "plugins: [{name: scheduler, library: ./self-swap.so}]"
        let host = PluginHost(
            configuration: try HostConfiguration(text: Array(text.utf8), file: "\(directory)/h.yaml"),
            search: PluginSearch(executableDirectory: "\(directory)/bin"),
            log: Log(level: .error, descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC)))
        host.open()
        try host.start(
            services: .init(),
            environment: HostEnvironment(
                dataDirectory: directory, listen: "127.0.0.1:6443", stopWorkloads: false, onStop: { _, _ in }),
            paths: .init(data: directory, libexec: directory))
        defer { host.stop() }
        func swap(_ count: Int) throws {
            for _ in 0..<count {
                _ = try host.perform(
                    try SwapRequest(
                        ["role": "hostd.scheduler/1", "library": "./self-swap.so", "trigger": "command"]))
            }
        }
        try swap(50)
        let mapped = try mappings(of: "self-swap.so")
        // What each swap leaves behind shows however often it is looked for; what other threads of this process take does not.
        var growths: [Int] = []
        repeat {
            let before = try residentBytes()
            try swap(200)
            growths.append(try residentBytes() - before)
        } while (growths.last ?? 0) >= 256 << 10 && growths.count < 4
        XCTAssertEqual(try mappings(of: "self-swap.so"), mapped, "the same file is the same mapping")
        XCTAssertLessThan(growths.last ?? 0, 256 << 10, "bytes in 200 swaps each: \(growths)")
        XCTAssertEqual(host.describe()["plugins"][0]["generation"].integerValue, Int64(51 + 200 * growths.count))
    }

    private func removeTree(_ directory: String) {
        for name in ["plugins/scheduler", "plugins", "self-swap.so", "swaps.json", ""] {
            remove("\(directory)/\(name)")
        }
    }
}
