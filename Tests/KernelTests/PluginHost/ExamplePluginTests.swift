import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// The example in C: built by its own script, loaded, and asked.
final class ExamplePluginTests: XCTestCase {
    func testHelloAnswers() throws {
        let directory = try ScratchDirectory()
        let build = try Spawned(["\(Fixture.root)/examples/plugins/hello-c/build", "\(directory.path)/hello.so"])
        XCTAssertEqual(try build.wait(), 0, build.errorText)
        let logFile = open("\(directory.path)/log", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(logFile) }
        let host = PluginHost(
            configuration: try HostConfiguration(
                text: Array("plugins: [{name: hello, library: ./hello.so}]".utf8), file: "\(directory.path)/h.yaml"),
            search: PluginSearch(executableDirectory: "/nonexistent/bin"),
            log: Log(format: .json, descriptor: logFile))
        host.open()
        mkdir("\(directory.path)/plugins", 0o700)
        let environment = HostEnvironment(
            dataDirectory: directory.path, listen: "127.0.0.1:6443", stopWorkloads: false, onStop: { _, _ in })
        try host.start(
            services: .init(), environment: environment, paths: .init(data: directory.path, libexec: "/nonexistent"))
        defer { host.stop() }
        let routes = try host.call(
            role: HOSTD_API_EXTENSION_1, plugin: "hello", slot: "routes", arguments: [], files: [], deadline: 0)
        XCTAssertEqual(try JSON(parsing: routes.output ?? [])["routes"][0]["path"], "/hello")

        var ends: [Int32] = [0, 0]
        XCTAssertEqual(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &ends), 0)
        let answer = try host.call(
            role: HOSTD_API_EXTENSION_1, plugin: nil, slot: "serve",
            arguments: [["method": "GET", "path": "/hello"], ""],
            files: [ends[1]], deadline: 0)
        XCTAssertEqual(try JSON(parsing: answer.output ?? [])["body"], "Hello from C.\n")
        var byte: UInt8 = 0
        XCTAssertEqual(read(ends[0], &byte, 1), 0, "the plugin was given the other end and has closed it")
        close(ends[0])
        let lines = String(decoding: try ScratchDirectory.contents("\(directory.path)/log"), as: UTF8.self)
        XCTAssertTrue(lines.contains("\"component\":\"hello\",\"message\":\"someone said hello\""), lines)
    }
}
