import XCTest

@testable import Kernel

final class FairQueueTests: XCTestCase {
    private struct Entry: Equatable {
        let key: UInt32
        let group: UInt32
        let priority: FairQueue.Priority
        init(_ key: UInt32, _ group: UInt32, _ priority: FairQueue.Priority = .interactive) {
            self.key = key
            self.group = group
            self.priority = priority
        }
    }

    private func order(_ entries: [Entry]) -> [UInt32] {
        var queue = FairQueue()
        for entry in entries { queue.append(entry.key, group: entry.group, priority: entry.priority) }
        var order: [UInt32] = []
        while let key = queue.popFirst() { order.append(key) }
        XCTAssertEqual(queue.count, 0)
        return order
    }

    func testOrders() {
        let b = FairQueue.Priority.background
        let rows: [(entries: [Entry], order: [UInt32], reason: String)] = [
            ([], [], "nothing waits"),
            ([Entry(1, 0), Entry(2, 0), Entry(3, 0)], [1, 2, 3], "within a group the order of arrival"),
            (
                [Entry(1, 0), Entry(2, 0), Entry(3, 0), Entry(9, 1)], [1, 9, 2, 3],
                "a group that comes late waits for one key of each other group"
            ),
            (
                [Entry(1, 0), Entry(2, 0), Entry(3, 1), Entry(4, 1), Entry(5, 2)], [1, 3, 5, 2, 4],
                "groups take turns"
            ),
            ([Entry(1, 0, b), Entry(2, 0)], [2, 1], "interactive goes before background"),
            (
                (0..<10).map { Entry($0, 0) } + [Entry(100, 0, b), Entry(101, 0, b)],
                [0, 1, 2, 3, 4, 5, 6, 100, 7, 8, 9, 101], "each eighth turn is the background's while both wait"
            ),
            ([Entry(1, 0, b), Entry(2, 1, b), Entry(3, 0, b)], [1, 2, 3], "background alone takes every turn"),
        ]
        for row in rows { XCTAssertEqual(order(row.entries), row.order, row.reason) }
    }

    func testAGroupWithTenThousandKeysDoesNotStarveOneWithOne() {
        var queue = FairQueue()
        for key in 0..<UInt32(10_000) { queue.append(key, group: 0, priority: .interactive) }
        for _ in 0..<100 { _ = queue.popFirst() }
        queue.append(20_000, group: 7, priority: .interactive)
        let next = [queue.popFirst(), queue.popFirst()]
        XCTAssertTrue(next.contains(20_000), "it comes within two turns, not after ten thousand")
    }

    /// Against a plain model: lists of lists.
    func testRandomOperationsAgreeWithAModel() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<60 {
            var queue = FairQueue()
            var waiting: [UInt32: Entry] = [:]
            var served: [UInt32: Int] = [:]
            for step in 0..<400 {
                let key = UInt32.random(in: 0..<40, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0, 1:
                    guard waiting[key] == nil else { continue }
                    let entry = Entry(key, key % 5, Bool.random(using: &random) ? .interactive : .background)
                    queue.append(key, group: entry.group, priority: entry.priority)
                    waiting[key] = entry
                case 2:
                    guard waiting.removeValue(forKey: key) != nil else { continue }
                    queue.remove(key)
                default:
                    guard let next = queue.popFirst() else {
                        XCTAssertTrue(waiting.isEmpty, "step \(step)")
                        continue
                    }
                    XCTAssertNotNil(waiting.removeValue(forKey: next), "step \(step): \(next) did not wait")
                    served[next, default: 0] += 1
                }
                for priority in FairQueue.Priority.allCases {
                    XCTAssertEqual(queue.count(priority), waiting.values.count { $0.priority == priority })
                }
            }
            while let next = queue.popFirst() { XCTAssertNotNil(waiting.removeValue(forKey: next)) }
            XCTAssertTrue(waiting.isEmpty, "nothing is lost")
        }
    }
}

/// A generator that gives the same numbers for the same seed (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
