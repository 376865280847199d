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

    /// What ends a session: to clients of all versions, of an exec and of an attach.
    func testEnds() throws {
        func packet(_ result: Result<JSON, PluginError>, _ command: [String]?, first: Bool) throws -> String? {
            let options = ExecSession.Options(
                containerID: "c", command: command, stdin: false, stdout: true, stderr: true, tty: false,
                isFirstVersion: first)
            return try ExecSession.statusPacket(result, options).map { packet in
                XCTAssertEqual(packet.first, 3)
                let text = String(decoding: packet.dropFirst(), as: UTF8.self)
                return first ? text : try JSON(parsing: text)["status"].stringValue ?? ""
            }
        }
        let failed: Result<JSON, PluginError> = .success(["exitCode": 3])
        XCTAssertEqual(try packet(failed, ["x"], first: false), "Failure")
        XCTAssertEqual(
            try packet(failed, ["x"], first: true), "command terminated with non-zero exit code: exit status 3")
        XCTAssertEqual(try packet(failed, nil, first: false), "Success", "an attach does not tell the container's end")
        XCTAssertNil(try packet(failed, nil, first: true))
        XCTAssertEqual(try packet(.success(["exitCode": 0]), ["x"], first: false), "Success")
        XCTAssertNil(
            try packet(.success(["exitCode": 0]), ["x"], first: true), "the first version tells failures alone")
        XCTAssertEqual(try packet(.failure(.internal("broken")), nil, first: false), "Failure")
        XCTAssertEqual(try packet(.failure(.internal("broken")), nil, first: true), "Internal error occurred: broken")
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
