import Dispatch
import Synchronization
import XCTest

@testable import API

final class EventLoopTests: XCTestCase {
    /// What happened, in order, and who waits for so much of it.
    private final class Record: Sendable {
        private let events = Mutex<[String]>([])
        func add(_ event: String) { events.withLock { $0.append(event) } }
        var all: [String] { events.withLock { $0 } }
    }

    /// Runs `work` in one turn of a loop that finds all of it at once, and waits until the loop has ended.
    private func inOneTurn(_ work: [@Sendable (EventLoop) -> Void]) throws {
        let loop = try EventLoop()
        try loop.start(name: "turn")
        let gate = DispatchSemaphore(value: 0)
        loop.post { gate.wait() }
        for item in work { loop.post { [unowned loop] in item(loop) } }
        gate.signal()
        loop.leave(patience: 50_000_000)
        loop.join()
    }

    func testWorkIsPutOffUntilAllThatIsReadyIsDone() throws {
        let record = Record()
        try inOneTurn([
            { loop in
                loop.afterwards { record.add("put off") }
                record.add("first")
            }, { _ in record.add("second") },
        ])
        XCTAssertEqual(record.all, ["first", "second", "put off"])
    }

    func testWorkThatIsPutOffOnceMoreIsDoneInTheSameTurn() throws {
        let record = Record()
        try inOneTurn([
            { loop in
                loop.afterwards {
                    record.add("put off")
                    loop.afterwards { record.add("once more") }
                }
            }
        ])
        XCTAssertEqual(record.all, ["put off", "once more"])
    }

    func testALoopThatHasStoppedSaysSo() throws {
        let record = Record()
        let loop = try EventLoop()
        try loop.start(name: "stops")
        XCTAssertTrue(loop.take { record.add("taken") })
        loop.leave()
        loop.join()
        XCTAssertFalse(loop.take { record.add("too late") })
        XCTAssertEqual(record.all, ["taken"])
    }
}
