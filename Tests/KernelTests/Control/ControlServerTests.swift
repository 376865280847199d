import Glibc
import Objects
import XCTest

@testable import Kernel

final class ControlServerTests: XCTestCase {
    private let log = Log(level: .error, descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC))

    private func server(in directory: ScratchDirectory) throws -> ControlServer {
        let server = try ControlServer(directory: directory.path, log: log) { message throws(ControlFailure) in
            if message.json["fail"].boolValue == true { throw ControlFailure(code: -3, "there is no such thing") }
            var size = 0
            for file in message.files { size += Int(lseek(file, 0, Int32(SEEK_END))) }
            return ["echo": message.json, "files": JSON(message.files.count), "size": JSON(size)]
        }
        try server.start()
        return server
    }

    func testRequestsFilesAndFailuresCross() throws {
        let directory = try ScratchDirectory()
        let server = try server(in: directory)
        defer { server.stop() }
        let client = ControlClient(directory: directory.path)
        XCTAssertEqual(try client.request(["a": 1])["echo"], ["a": 1])
        let big = String(repeating: "x", count: 3 << 20)
        XCTAssertEqual(try client.request(["big": .string(big)])["echo"]["big"].stringValue?.utf8.count, big.utf8.count)
        let file = open(try directory.write("file", "12345"), O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let answer = try client.request([:], files: [file, file])
        XCTAssertEqual(answer["files"], 2)
        XCTAssertEqual(answer["size"], 10)
        XCTAssertThrowsError(try client.request(["fail": true])) { error in
            XCTAssertEqual((error as? ControlFailure)?.code, -3)
            XCTAssertEqual("\(error)", "there is no such thing")
        }
    }

    func testMalformedMessagesEndTheirConnectionAlone() throws {
        let directory = try ScratchDirectory()
        let server = try server(in: directory)
        defer { server.stop() }
        let rows: [(bytes: [UInt8], why: String)] = [
            ([0xFF, 0xFF, 0xFF, 0xFF], "a length beyond the limit"),
            ([4, 0, 0, 0, 0x7B, 0x7B, 0x7B, 0x7B], "not JSON"),
            ([0, 0, 0, 0], "empty"),
            ([2, 0, 0, 0, 0xFF, 0xFE], "not UTF-8"),
            ([9, 0, 0, 0, 0x7B], "ends early"),
            ([1], "ends within the length"),
        ]
        for row in rows {
            let socket = try ControlSocket.connect(to: directory.path)
            XCTAssertEqual(write(socket, row.bytes, row.bytes.count), row.bytes.count)
            shutdown(socket, Int32(SHUT_WR))
            var byte: UInt8 = 0
            XCTAssertLessThanOrEqual(read(socket, &byte, 1), 0, row.why)
            close(socket)
            XCTAssertEqual(try ControlClient(directory: directory.path).request(["b": 2])["echo"], ["b": 2], row.why)
        }
    }

    func testASilentConnectionDoesNotHoldUpTheEnd() throws {
        let directory = try ScratchDirectory()
        let server = try server(in: directory)
        let socket = try ControlSocket.connect(to: directory.path)
        defer { close(socket) }
        XCTAssertEqual(write(socket, [9 as UInt8, 0], 2), 2)
        _ = try ControlClient(directory: directory.path).request([:])
        server.stop()
        XCTAssertThrowsError(try ControlClient(directory: directory.path).request([:])) { error in
            XCTAssertTrue("\(error)".contains("no hostd answers on \(directory.path)/control.sock"), "\(error)")
        }
    }
}
