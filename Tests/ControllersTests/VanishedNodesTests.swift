import XCTest

@testable import Controllers

final class VanishedNodesTests: XCTestCase {
    func testPodsAreLeftAloneForAWhile() {
        let nodes = VanishedNodes()
        XCTAssertEqual(nodes.secondsLeft("a", now: 1000), 40)
        XCTAssertEqual(nodes.secondsLeft("a", now: 1015), 25)
        XCTAssertEqual(nodes.secondsLeft("b", now: 1015), 40, "each for itself")
        XCTAssertEqual(nodes.secondsLeft("a", now: 1040), 0)
        XCTAssertEqual(nodes.secondsLeft("a", now: 1050), 0, "another pod of it is not left for longer")
        nodes.appeared("a")
        XCTAssertEqual(nodes.secondsLeft("a", now: 1060), 40, "it came back, and is gone again")
    }
}
