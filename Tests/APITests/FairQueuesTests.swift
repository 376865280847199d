import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// Seats, queues and the order in which requests get their turn.
final class FairQueuesTests: XCTestCase {
    /// A level over its own pool, with the names of requests that have been started.
    private final class Level: Sendable {
        let level: PriorityLevel
        let started = Mutex<[(name: String, turn: FairQueues.Turn)]>([])
        let refused = Mutex<[String]>([])

        /// Of schema "s".
        static let origin: FlowOrigin = {
            do throws(APIStatus) {
                let request = try APIRequest(method: .get, target: "/version", user: .anonymous, isInternal: false)
                return FlowOrigin(FlowSchema(["metadata": ["name": "s"]]), RequestInfo(request), request)
            } catch {
                preconditionFailure("\(error)")
            }
        }()

        init(seats: Int, queues: Int64 = 16, handSize: Int64 = 4, length: Int64 = 50, isQueuing: Bool = true) {
            let response: JSON =
                isQueuing
                ? [
                    "type": "Queue",
                    "queuing": [
                        "queues": .integer(queues), "handSize": .integer(handSize),
                        "queueLengthLimit": .integer(length),
                    ],
                ] : ["type": "Reject"]
            let settings = PriorityLevelSettings([
                "metadata": ["name": "l"],
                "spec": ["type": "Limited", "limited": ["nominalConcurrencyShares": 1, "limitResponse": response]],
            ])
            let limits = PriorityLevel.Limits(nominal: seats, lendable: 0, borrowable: nil)
            let pool = SeatPool([limits])
            level = PriorityLevel(settings, limits, seats: pool, index: 0)
            pool.onFree([{ [level] in level.startWaiting() }])
        }

        /// Lets a request of a flow come; the result is what became of it.
        @discardableResult
        func come(_ name: String, flow: String, seats: Int = 1, deadline: UInt64 = .max) -> String {
            if let turn = level.tryEnter(seats: seats) {
                started.withLock { $0.append((name, turn)) }
                return "started"
            }
            let entry = level.enter(
                seats: seats, hash: ShuffleSharding.hash("s", flow), origin: Self.origin, deadline: deadline,
                start: { turn in self.started.withLock { $0.append((name, turn)) } },
                refuse: { self.refused.withLock { $0.append(name) } })
            switch entry {
            case .started(let turn):
                started.withLock { $0.append((name, turn)) }
                return "started"
            case .waits: return "waits"
            case .refused(let reason): return reason.rawValue
            }
        }

        /// The request that was started first, and has not ended, ends.
        func end() {
            guard let turn = started.withLock({ $0.isEmpty ? nil : $0.removeFirst() })?.turn else { return }
            level.leave(turn)
        }

        /// Ends requests until none is left; the result is the order in which they ran.
        func order() -> [String] {
            var names: [String] = []
            while let name = started.withLock({ $0.first?.name }) {
                names.append(name)
                end()
            }
            return names
        }
    }

    func testSeatsAreTakenAndGiven() {
        let level = Level(seats: 2)
        XCTAssertEqual(level.come("a", flow: "x"), "started")
        XCTAssertEqual(level.come("b", flow: "x"), "started")
        XCTAssertEqual(level.come("c", flow: "x"), "waits")
        XCTAssertEqual(level.level.waiting, 1)
        XCTAssertEqual(level.level.used, 2)
        level.end()
        XCTAssertEqual(level.started.withLock { $0.map(\.name) }, ["b", "c"], "what has waited takes the free seat")
        XCTAssertEqual(level.order(), ["b", "c"])
        XCTAssertEqual(level.level.used, 0)
    }

    func testFlowsTakeTurns() {
        let level = Level(seats: 1)
        level.come("first", flow: "x")
        for number in 0..<6 { level.come("x\(number)", flow: "x") }
        level.come("y0", flow: "y")
        level.come("y1", flow: "y")
        let order = level.order()
        XCTAssertEqual(Set(order).count, 9)
        let last = order.lastIndex(of: "y1") ?? 0
        XCTAssertLessThan(last, 6, "a flow that asks little does not wait for all of one that asks a lot: \(order)")
        XCTAssertEqual(order.filter { $0.hasPrefix("y") }, ["y0", "y1"], "in the order of a flow")
    }

    func testOthersAreRefused() {
        let full = Level(seats: 1, queues: 1, handSize: 1, length: 2)
        XCTAssertEqual(
            ["a", "b", "c", "d"].map { full.come($0, flow: "x") }, ["started", "waits", "waits", "queue-full"])
        XCTAssertEqual(full.level.refused, [.init(schema: "s", reason: .queueFull): 1])
        let hard = Level(seats: 1, isQueuing: false)
        XCTAssertEqual(["a", "b"].map { hard.come($0, flow: "x") }, ["started", "concurrency-limit"])
    }

    func testPatienceEnds() {
        let level = Level(seats: 1)
        level.come("a", flow: "x")
        level.come("b", flow: "x", deadline: 100)
        level.come("c", flow: "x", deadline: 200)
        XCTAssertEqual(level.level.expire(99), 100, "nobody yet")
        XCTAssertEqual(level.level.expire(100), 200)
        XCTAssertEqual(level.refused.withLock { $0 }, ["b"])
        XCTAssertEqual(level.level.refused, [.init(schema: "s", reason: .timeOut): 1])
        XCTAssertEqual(level.order(), ["a", "c"])
        XCTAssertNil(level.level.expire(1000), "nobody waits")
    }

    func testWideRequests() {
        let level = Level(seats: 40)
        XCTAssertEqual(level.level.widest, 6)
        for number in 0..<6 { XCTAssertEqual(level.come("w\(number)", flow: "x", seats: 10), "started") }
        XCTAssertEqual(level.level.used, 36)
        XCTAssertEqual(level.come("wide", flow: "y", seats: 10), "waits")
        XCTAssertEqual(level.come("narrow", flow: "z"), "waits", "nobody passes one that waits")
        level.end()
        XCTAssertEqual(
            level.started.withLock { $0.suffix(2).map(\.name) }, ["narrow", "wide"].sorted(by: >).reversed())
        XCTAssertEqual(Level(seats: 1).come("wide", flow: "x", seats: 10), "started", "one level takes it alone")
    }

    func testSeatsAreLent() {
        let pool = SeatPool([
            .init(nominal: 10, lendable: 5, borrowable: nil), .init(nominal: 4, lendable: 0, borrowable: 3),
            .init(nominal: 0, lendable: 0, borrowable: nil),
        ])
        XCTAssertTrue(pool.take(4, 1), "its own")
        XCTAssertTrue(pool.take(3, 1), "borrowed")
        XCTAssertFalse(pool.take(1, 1), "no more than it may borrow")
        XCTAssertTrue(pool.take(2, 2), "another borrows what is left to lend")
        XCTAssertFalse(pool.take(1, 2), "there are five")
        XCTAssertTrue(pool.take(10, 0), "who lends has its own back at once")
        XCTAssertFalse(pool.take(1, 0), "others lend nothing")
        pool.give(7, 1)
        XCTAssertFalse(pool.take(5, 1), "what is used is not lent")
        XCTAssertTrue(pool.take(4, 1))
    }

    /// Whoever waits is started, whatever happens at the same moment.
    func testNobodyIsForgotten() throws {
        let level = Level(seats: 1)
        let ended = Atomic(0)
        let each = 3000
        let threads = try (0..<4).map { number in
            try PluginThread(name: "flow-\(number)") {
                for _ in 0..<each {
                    if let turn = level.level.tryEnter(seats: 1) {
                        level.level.leave(turn)
                        ended.add(1, ordering: .relaxed)
                        continue
                    }
                    let entry = level.level.enter(
                        seats: 1, hash: UInt64(number), origin: Level.origin, deadline: .max,
                        start: { turn in
                            level.level.leave(turn)
                            ended.add(1, ordering: .relaxed)
                        }, refuse: {})
                    switch entry {
                    case .started(let turn):
                        level.level.leave(turn)
                        ended.add(1, ordering: .relaxed)
                    case .refused: ended.add(1, ordering: .relaxed)
                    case .waits: break
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertEqual(ended.load(ordering: .relaxed), 4 * each)
        XCTAssertEqual(level.level.used, 0)
        XCTAssertEqual(level.level.waiting, 0)
    }

    func testHandsAreFairAndDiffer() {
        var counts = [Int](repeating: 0, count: 16)
        for number in 0..<4000 {
            let hand = ShuffleSharding.hand(ShuffleSharding.hash("s", "flow-\(number)"), deckSize: 16, handSize: 4)
            XCTAssertEqual(Set(hand).count, 4)
            for queue in hand { counts[queue] += 1 }
        }
        for (queue, count) in counts.enumerated() {
            XCTAssertTrue((850...1150).contains(count), "queue \(queue) is dealt \(count) times of 1000")
        }
        XCTAssertEqual(ShuffleSharding.hand(7, deckSize: 2, handSize: 5).sorted(), [0, 1], "no more than there are")
    }
}
