import Foundation
import PluginAPI
import XCTest

/// The layout of what is published does not change: as C11 and C++17 see it, as Swift sees it, and against the header of the
/// first revision.
final class LayoutTests: XCTestCase {
    func testTheLayoutIsTheSnapshotAndKeepsThePromise() throws {
        let (status, output) = try Kit.run(Kit.root.appendingPathComponent("script/abi-layout").path, ["--check"])
        XCTAssertEqual(status, 0, output)
    }

    func testSwiftSeesTheSameSizes() throws {
        let snapshot = try String(contentsOf: Kit.root.appendingPathComponent("Tests/ABI/abi-1.txt"), encoding: .utf8)
        let lines = Set(snapshot.split(separator: "\n").map(String.init))
        func expect<Struct>(_ type: Struct.Type) {
            let line = "struct \(type) size \(MemoryLayout<Struct>.size)"
            XCTAssertTrue(lines.contains(line), "not in the snapshot: \(line)")
        }
        expect(hostd_buffer.self)
        expect(hostd_error.self)
        expect(hostd_interface.self)
        expect(hostd_host.self)
        expect(hostd_plugin.self)
        expect(hostd_scheduler_node.self)
        expect(hostd_scheduler_pod.self)
        expect(hostd_api_response.self)
        expect(hostd_store_record.self)
        expect(hostd_store_page.self)
        expect(hostd_store_operation.self)
        expect(hostd_store_commit.self)
        expect(hostd_runtime_1.self)
        expect(hostd_scheduler_1.self)
        expect(hostd_store_1.self)
        expect(hostd_volume_1.self)
        XCTAssertEqual(MemoryLayout<hostd_error>.offset(of: \.message), 16)
        XCTAssertTrue(lines.contains("struct hostd_error message offset 16"))
        XCTAssertEqual(MemoryLayout<hostd_interface>.offset(of: \.slots), 24)
        XCTAssertTrue(lines.contains("struct hostd_interface slots offset 24"))
    }

    /// Plugins that were built with the first header load into the host of now, work, and keep every rule.
    func testPluginsOfTheFirstHeaderWork() throws {
        let kit = try Kit()
        defer { kit.remove() }
        let include = Kit.root.appendingPathComponent("Tests/Plugins/previous-header/include").path
        for source in ["broken-scheduler/scheduler.c", "broken/broken.c"] {
            let name = "previous-\(source.prefix { $0 != "/" })"
            let result = try Kit.check(try kit.compile(source, name: name, ["-DPREVIOUS_HEADER"], include: include))
            XCTAssertEqual(result.status, 0, result.findings)
        }
    }
}
