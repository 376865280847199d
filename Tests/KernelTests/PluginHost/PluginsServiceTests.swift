import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// hostd.plugins/1 as a plugin calls it.
final class PluginsServiceTests: XCTestCase {
    private func table(_ fixture: SwapFixture) throws -> UnsafePointer<hostd_plugins_1> {
        UnsafeRawPointer(try XCTUnwrap(fixture.host.interface(HOSTD_PLUGINS_1))).assumingMemoryBound(
            to: hostd_plugins_1.self)
    }

    private func request(_ table: UnsafePointer<hostd_plugins_1>, _ text: String) -> (Int32, String) {
        var (answer, error) = (hostd_buffer(), ForeignBytes.emptyError())
        let status = Array(text.utf8).withUnsafeBufferPointer { bytes in
            table.pointee.request(
                table.pointee.interface.`self`, bytes.baseAddress!, UInt64(bytes.count), &answer, &error)
        }
        guard status == HOSTD_OK else { return (status, ForeignBytes.message(of: error)) }
        defer { answer.release?(answer.context) }
        return (status, ForeignBytes.text(answer.data, answer.size))
    }

    func testARequestIsQueuedAndItsOutcomeIsTold() throws {
        let fixture = try SwapFixture([SwapFixture.format])
        try fixture.start()
        let table = try table(fixture)
        let seen = WatchMessages()
        var (watch, error) = (UInt64(0), ForeignBytes.emptyError())
        XCTAssertEqual(
            table.pointee.watch(table.pointee.interface.`self`, WatchMessages.sink, seen.context, &watch, &error),
            HOSTD_OK)
        XCTAssertEqual(seen.wait(for: 1), ["{\"plugin\":\"counter\"}"])
        let (status, answer) = request(table, "{\"plugin\":\"counter\",\"library\":\"./counter.so\"}")
        XCTAssertEqual(status, HOSTD_OK)
        XCTAssertEqual(answer, "{\"plugin\":\"counter\",\"generation\":1}")
        _ = seen.wait(for: 2)
        XCTAssertEqual(fixture.listed["generation"], 2)
        XCTAssertEqual(fixture.listed["lastSwap"]["trigger"], "object")
        _ = request(table, "{\"plugin\":\"counter\",\"library\":\"./absent.so\"}")
        _ = seen.wait(for: 3)
        XCTAssertEqual(fixture.listed["lastSwap"]["result"], "failed")
        XCTAssertEqual(fixture.listed["lastSwap"]["step"], "find")
        _ = request(table, "{\"plugin\":\"counter\",\"isolation\":\"process\",\"grants\":[\"store.raed\"]}")
        _ = seen.wait(for: 4)
        XCTAssertTrue(fixture.listed["lastSwap"]["reason"].stringValue?.contains("store.raed") ?? false)
        XCTAssertEqual(table.pointee.unwatch(table.pointee.interface.`self`, watch, &error), HOSTD_OK)
        fixture.host.stop()
        XCTAssertEqual(request(table, "{\"plugin\":\"counter\"}").0, HOSTD_ERROR_UNAVAILABLE, "hostd has stopped")
    }

    func testBadRequestsAreRefusedAtOnce() throws {
        let fixture = try SwapFixture()
        try fixture.start()
        defer { fixture.host.stop() }
        let table = try table(fixture)
        let rows: [(text: String, code: Int32, part: String)] = [
            ("{", HOSTD_ERROR_INVALID_ARGUMENT, "is not JSON"),
            ("{}", HOSTD_ERROR_INVALID_ARGUMENT, "name a \"role\" or a \"plugin\""),
            ("{\"plugin\":\"counter\",\"action\":\"stop\"}", HOSTD_ERROR_INVALID_ARGUMENT, "swap or rollback"),
            ("{\"plugin\":\"counter\",\"options\":[]}", HOSTD_ERROR_INVALID_ARGUMENT, "not an object"),
            ("{\"plugin\":\"counter\",\"trigger\":\"moon\"}", HOSTD_ERROR_INVALID_ARGUMENT, "\"trigger\""),
            ("{\"plugin\":\"absent\"}", HOSTD_ERROR_NOT_FOUND, "no plugin is named absent"),
        ]
        for row in rows {
            let (status, message) = request(table, row.text)
            XCTAssertEqual(status, row.code, row.text)
            XCTAssertTrue(message.contains(row.part), message)
        }
    }
}
