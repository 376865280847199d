import XCTest

@testable import Simulation

final class GeneratorTests: XCTestCase {
    func testOneSeedGivesOneSequence() {
        var first = Generator(seed: 7)
        var second = Generator(seed: 7)
        var other = Generator(seed: 8)
        let numbers = (0..<100).map { _ in first.next() }
        XCTAssertEqual(numbers, (0..<100).map { _ in second.next() })
        XCTAssertNotEqual(numbers, (0..<100).map { _ in other.next() })
        XCTAssertEqual(Set(numbers).count, 100)
    }

    func testBoundsHoldAndAllValuesCome() {
        var generator = Generator(seed: 1)
        XCTAssertEqual(Set((0..<500).map { _ in generator.number(in: 3...9) }), Set(3...9))
        XCTAssertFalse((0..<100).contains { _ in generator.oneIn(0) })
        XCTAssertTrue((0..<100).allSatisfy { _ in generator.oneIn(1) })
    }
}
