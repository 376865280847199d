import XCTest

@testable import Kernel

final class DelayedKeysTests: XCTestCase {
    func testRandomOperationsAgreeWithAModel() {
        var random = SeededGenerator(seed: 3)
        for round in 0..<100 {
            var heap = DelayedKeys()
            var model: [UInt32: UInt64] = [:]
            for _ in 0..<300 {
                let key = UInt32.random(in: 0..<50, using: &random)
                switch Int.random(in: 0..<6, using: &random) {
                case 0, 1, 2:
                    let deadline = UInt64.random(in: 1...1000, using: &random)
                    heap.set(key, at: deadline)
                    model[key] = deadline
                case 3:
                    heap.remove(key)
                    model[key] = nil
                default:
                    let now = UInt64.random(in: 1...1000, using: &random)
                    let earliest = model.values.min()
                    if let popped = heap.popDue(now) {
                        XCTAssertEqual(model[popped], earliest, "round \(round): not the earliest")
                        XCTAssertLessThanOrEqual(model[popped] ?? .max, now)
                        model[popped] = nil
                    } else {
                        XCTAssertTrue(earliest.map { $0 > now } ?? true, "round \(round): \(now) was due")
                    }
                }
                XCTAssertEqual(heap.count, model.count)
                XCTAssertEqual(heap.earliest, model.values.min())
                XCTAssertEqual(heap.deadline(of: key), model[key])
            }
        }
    }

    func testAChangedTimeLeavesNothingBehind() {
        var heap = DelayedKeys()
        for deadline in 0..<UInt64(100_000) { heap.set(1, at: 1_000_000 - deadline) }
        XCTAssertEqual(heap.count, 1)
        XCTAssertEqual(heap.earliest, 900_001)
    }
}
