import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// Who uses a draft is told so once.
final class DraftInterfacesTests: XCTestCase {
    /// Lines of the log that speak of drafts after a plugin has asked for `id` in two generations.
    private func warnings(askingFor id: String) throws -> [JSON] {
        let directory = try ScratchDirectory()
        let file = open("\(directory.path)/log", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        let asks = "-DASKS_FOR=\"\(id)\""
        let fixture = try SwapFixture([asks], directory: directory, log: Log(format: .json, descriptor: file))
        try fixture.start()
        defer { fixture.host.stop() }
        try fixture.build("next", [asks, "-DVERSION=\"2\""])
        try fixture.swap(to: "next")
        let lines = String(decoding: try ScratchDirectory.contents("\(directory.path)/log"), as: UTF8.self)
        return try lines.split(separator: "\n").map { try JSON(parsing: String($0)) }
            .filter { $0["message"].stringValue?.contains("draft") == true }
    }

    func testADraftIsToldOnceForAllGenerations() throws {
        let warnings = try warnings(askingFor: HOSTD_PLUGINS_1)
        XCTAssertEqual(warnings.count, 1)
        XCTAssertEqual(warnings.first?["plugin"], "counter")
        XCTAssertEqual(warnings.first?["interface"], "hostd.plugins/1")
    }

    func testWhatIsSettledIsNotTold() throws {
        XCTAssertEqual(try warnings(askingFor: HOSTD_ROLES_1), [])
    }

    /// A header in hostd/draft and an id in the list of drafts are there together.
    func testTheListNamesWhatLiesInTheFolder() throws {
        var found: [String] = []
        for path in paths(matching: "\(Fixture.include)/hostd/draft/*.h") {
            let text = String(decoding: try ScratchDirectory.contents(path), as: UTF8.self)
            found += text.split(separator: "\"").map(String.init).filter {
                $0.hasPrefix("hostd.") && isRoleIdentifier($0)
            }
        }
        XCTAssertEqual(Set(found), DraftInterfaces.ids)
        XCTAssertFalse(
            String(decoding: try ScratchDirectory.contents("\(Fixture.include)/hostd/plugin.h"), as: UTF8.self)
                .contains("draft/"),
            "hostd/plugin.h includes a draft")
    }

    private func paths(matching pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }
}
