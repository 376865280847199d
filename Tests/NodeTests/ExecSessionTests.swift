import Glibc
import Objects
import PluginKit
import XCTest

@testable import Node

final class ExecSessionTests: XCTestCase {
    private func run(
        stdin: Bool = true, tty: Bool = false, command: [String] = ["cat", "0"],
        _ client: (Int32, FakeRuntime) throws -> Void
    ) throws {
        let runtime = FakeRuntime()
        let (ours, theirs) = try LogTests.packets()
        let options = ExecSession.Options(
            containerID: "c1", command: command, stdin: stdin, stdout: true, stderr: !tty, tty: tty)
        let thread = NodeThread(name: "session")
        thread.start {
            do {
                let session = try ExecSession(options: options, runtime: runtime, client: PacketStream(theirs))
                try session.start()
                session.run()
            } catch {
                XCTFail("\(error)")
            }
        }
        try client(ours, runtime)
        close(ours)
        thread.join()
    }

    /// Messages until one of the channel's is there.
    private func next(_ channel: UInt8, _ client: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            if buffer[0] == channel { return String(decoding: buffer[1..<count], as: UTF8.self) }
        }
    }

    private func send(_ bytes: [UInt8], _ client: Int32) { _ = Glibc.send(client, bytes, bytes.count, 0) }

    func testStreamsAndSuccess() throws {
        try run { client, _ in
            send([0] + Array("hello".utf8), client)
            XCTAssertEqual(next(1, client), "hello")
            send([255, 0], client)
            let status = try JSON(parsing: next(3, client) ?? "")
            XCTAssertEqual(status["status"], "Success")
        }
    }

    func testExitCode() throws {
        try run(stdin: false, command: ["false", "3"]) { client, _ in
            XCTAssertEqual(next(2, client), "err")
            let status = try JSON(parsing: next(3, client) ?? "")
            XCTAssertEqual(status["reason"], "NonZeroExitCode")
            XCTAssertEqual(status["details"]["causes"], [["reason": "ExitCode", "message": "3"]])
        }
    }

    func testTerminalAndResize() throws {
        try run(tty: true) { client, runtime in
            send([4] + Array(#"{"Width":80,"Height":24}"#.utf8), client)
            send([0] + Array("x".utf8), client)
            XCTAssertEqual(next(1, client), "x")
            XCTAssertTrue(runtime.calls.contains("resize 80x24"))
        }
    }

    func testLargeInputIsNotLost() throws {
        try run { client, _ in
            let text = [UInt8](repeating: UInt8(ascii: "a"), count: 20_000)
            var received = 0
            for _ in 0..<20 {
                send([0] + text, client)
                while received < 20_000 { received += next(1, client)?.utf8.count ?? 20_000 }
                received -= 20_000
            }
            XCTAssertEqual(received, 0)
        }
    }

    func testClientThatGoesEndsTheProcess() throws {
        let runtime = FakeRuntime()
        let (ours, theirs) = try LogTests.packets()
        let session = try ExecSession(
            options: .init(containerID: "c", command: ["cat"], stdin: true, stdout: true, stderr: false, tty: false),
            runtime: runtime, client: PacketStream(theirs))
        try session.start()
        close(ours)
        session.run()
        XCTAssertEqual(runtime.calls, ["cancel"])
    }
}
