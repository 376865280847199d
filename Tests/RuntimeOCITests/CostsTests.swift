import PluginAPI
import XCTest

@testable import RuntimeOCI

/// An OCI runtime is a program to run: its calls take longer than the role's header expects, and the plugin says so itself.
final class CostsTests: XCTestCase {
    private func limits(_ text: String) -> [String: String] {
        text.split(separator: ";").reduce(into: [:]) { limits, part in
            let sides = part.split(separator: ":")
            if sides.count == 2 { limits[String(sides[0])] = String(sides[1]) }
        }
    }

    func testThePluginDeclaresItsOwnCostsForSlotsOfTheRole() throws {
        let own = limits(try XCTUnwrap(RuntimeOCIPlugin.description.costs[HOSTD_RUNTIME_1]))
        let slots = Set(HOSTD_RUNTIME_1_SLOTS.split(separator: ";").map { String($0.prefix { $0 != ":" }) })
        XCTAssertEqual(Set(own.keys).subtracting(slots), [], "every one is a slot of the role")
        XCTAssertEqual(own["start_container"], "500ms")
        XCTAssertEqual(
            limits(HOSTD_RUNTIME_1_COSTS)["start_container"], "50ms", "what the watchdog would take otherwise")
        XCTAssertEqual(own["exec_resize"], limits(HOSTD_RUNTIME_1_COSTS)["exec_resize"], "none is lost")
    }
}
