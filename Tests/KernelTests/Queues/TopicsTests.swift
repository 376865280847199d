import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class TopicsTests: XCTestCase {
    private let dispatchers = WorkerPool(name: "test-dispatch", maximum: 4)
    private lazy var topics = Topics(dispatchers: dispatchers)

    override func tearDown() {
        topics.close()
        dispatchers.close()
    }

    private final class Inbox: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var messages: [String] = []
        var sink: @Sendable (Int32, UnsafeBufferPointer<UInt8>) -> Void {
            { [self] kind, data in
                monitor.locked {
                    messages.append(kind == HOSTD_SINK_DATA ? String(decoding: data, as: UTF8.self) : "kind \(kind)")
                    monitor.broadcast()
                }
            }
        }
        func wait(_ count: Int, file: StaticString = #filePath, line: UInt = #line) -> [String] {
            let deadline = monotonicNow() + 60_000_000_000
            return monitor.locked {
                while messages.count < count {
                    if !monitor.wait(until: deadline) {
                        XCTFail("\(messages)", file: file, line: line)
                        break
                    }
                }
                return messages
            }
        }
    }

    private func publish(_ topic: String, _ text: String, retain: Bool = false) throws {
        try topics.publish(topic, Array(text.utf8), retain: retain)
    }

    func testMessagesComeInOrderAndRetainedOnesFirst() throws {
        try publish("t", "lost")
        try publish("t", "kept 1", retain: true)
        try publish("t", "kept 2", retain: true)
        let inbox = Inbox()
        let other = Inbox()
        let subscription = try topics.subscribe("t", sink: inbox.sink)
        _ = try topics.subscribe("other", sink: other.sink)
        for number in 0..<100 { try publish("t", "\(number)") }
        XCTAssertEqual(inbox.wait(101), ["kept 2"] + (0..<100).map(String.init))
        topics.unsubscribe(subscription)
        topics.unsubscribe(subscription)
        try publish("t", "unheard")
        try publish("other", "end")
        XCTAssertEqual(other.wait(1), ["end"])
        XCTAssertEqual(inbox.wait(101).count, 101)
        try publish("t", "", retain: true)
        let late = Inbox()
        _ = try topics.subscribe("t", sink: late.sink)
        try publish("t", "fresh")
        XCTAssertEqual(late.wait(1), ["fresh"])
    }

    func testASubscriberFarBehindIsToldToResync() throws {
        let inbox = Inbox()
        let gate = Monitor()
        let isOpen = Mutex(false)
        _ = try topics.subscribe("t") { kind, data in
            gate.locked { while !isOpen.withLock({ $0 }) { gate.wait() } }
            inbox.sink(kind, data)
        }
        let big = String(repeating: "x", count: 300_000)
        for _ in 0..<8 { try publish("t", big) }
        gate.locked {
            isOpen.withLock { $0 = true }
            gate.broadcast()
        }
        var count = 1
        while inbox.wait(count).last != "kind \(HOSTD_SINK_RESYNC)" { count += 1 }
        XCTAssertLessThanOrEqual(count, 3)
    }

    func testBoundsAreChecked() throws {
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try self.publish("", "x") }
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try self.publish(String(repeating: "t", count: 300), "x") }
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) {
            try self.topics.publish("t", [UInt8](repeating: 0, count: 1_048_577), retain: false)
        }
    }
}
