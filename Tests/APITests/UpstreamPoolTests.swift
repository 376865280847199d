import CEpoll
import Glibc
import Synchronization
import XCTest

@testable import API

/// Connections to other servers that wait for their next request.
final class UpstreamPoolTests: XCTestCase {
    private var far: [Int32] = []

    override func tearDown() { for descriptor in far { close(descriptor) } }

    private func pool(ofServer: Int = 2, all: Int = 3) -> UpstreamPool {
        let delays = Recorder()
        recorder = delays
        return UpstreamPool(limits: .init(ofServer: ofServer, all: all, patience: 100)) { delay, _ in
            delays.noted.withLock { $0.append(delay) }
            return { delays.cancelled.add(1, ordering: .relaxed) }
        }
    }
    private var recorder = Recorder()

    private final class Recorder: Sendable {
        let noted = Mutex<[UInt64]>([])
        let cancelled = Atomic<Int>(0)
    }

    private func key(_ port: UInt16 = 80, _ security: UpstreamSecurity = .none, user: UserInfo? = nil)
        -> UpstreamConnection.Key
    {
        .init(address: UpstreamAddress(host: "10.0.0.5", port: port), security: security, user: user)
    }

    /// A connection, and the server's end of it in `far`.
    private func connection(_ key: UpstreamConnection.Key) -> UpstreamConnection {
        var pair: [Int32] = [0, 0]
        XCTAssertEqual(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &pair), 0)
        far.append(pair[1])
        return UpstreamConnection(pair[0], key)
    }

    private func isEnded(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT))
        // An end that leaves something unread is a reset.
        return count == 0 || (count < 0 && errno == ECONNRESET)
    }

    func testTheOneThatWaitedShortestIsTaken() throws {
        let pool = pool()
        let (first, second) = (connection(key()), connection(key()))
        XCTAssertFalse(first.isReused)
        pool.put(first, now: 1)
        pool.put(second, now: 2)
        XCTAssertEqual(pool.count, 2)
        XCTAssertTrue(try XCTUnwrap(pool.take(key())) === second)
        XCTAssertTrue(try XCTUnwrap(pool.take(key())) === first)
        XCTAssertTrue(first.isReused)
        XCTAssertNil(pool.take(key()))
        XCTAssertEqual(pool.count, 0)
    }

    func testConnectionsAreForWhatTheyWereMadeFor() throws {
        let pool = pool(all: 100)
        let contexts = try (0..<2).map { _ in try TLSClientContext(trust: .anyone) }
        let keys = [
            key(), key(81), key(80, .unverified), key(80, .context(contexts[0], serverName: "a")),
            key(80, .context(contexts[0], serverName: "b")), key(80, .context(contexts[1], serverName: "a")),
            key(user: UserInfo(name: "ann")), key(user: UserInfo(name: "ann", groups: ["people"])),
        ]
        for key in keys { pool.put(connection(key), now: 1) }
        for key in keys {
            XCTAssertNotNil(pool.take(key), "\(key)")
            XCTAssertNil(pool.take(key), "\(key)")
        }
    }

    func testBounds() {
        let pool = pool()
        for _ in 0..<3 { pool.put(connection(key()), now: 1) }
        XCTAssertEqual(pool.count, 2, "of one server")
        XCTAssertTrue(isEnded(far[2]), "what there is no room for is closed")
        for _ in 0..<2 { pool.put(connection(key(81)), now: 1) }
        XCTAssertEqual(pool.count, 3, "in all")
        XCTAssertFalse(isEnded(far[3]))
        XCTAssertTrue(isEnded(far[4]))
    }

    func testConnectionsThatTheServerEndedAreNotGivenOut() {
        let pool = pool()
        pool.put(connection(key()), now: 1)
        close(far.removeLast())
        XCTAssertNil(pool.take(key()), "it has ended")
        pool.put(connection(key()), now: 1)
        XCTAssertEqual(send(far[0], "x", 1, 0), 1)
        XCTAssertNil(pool.take(key()), "something came that nobody asked for")
        XCTAssertTrue(isEnded(far[0]))
    }

    func testNobodyWaitsForEver() {
        let pool = pool()
        pool.put(connection(key()), now: 10)
        pool.put(connection(key(81)), now: 60)
        XCTAssertEqual(recorder.noted.withLock { $0 }, [100], "one look is enough")
        pool.sweep(now: 110)
        XCTAssertEqual(pool.count, 1)
        XCTAssertTrue(isEnded(far[0]))
        XCTAssertEqual(recorder.noted.withLock { $0 }, [100, 50], "the next when the next is due")
        pool.sweep(now: 160)
        XCTAssertEqual(pool.count, 0)
        XCTAssertEqual(recorder.noted.withLock { $0 }, [100, 50])
        pool.put(connection(key()), now: 200)
        XCTAssertEqual(recorder.noted.withLock { $0 }, [100, 50, 100])
        pool.close()
        XCTAssertEqual(recorder.cancelled.load(ordering: .relaxed), 1)
        XCTAssertTrue(isEnded(far[2]))
        pool.put(connection(key()), now: 200)
        XCTAssertEqual(pool.count, 0, "a closed pool keeps nothing")
    }

    func testWithoutATimerNothingWaits() {
        let pool = UpstreamPool { _, _ in nil }
        pool.put(connection(key()), now: 1)
        XCTAssertEqual(pool.count, 0)
        XCTAssertTrue(isEnded(far[0]))
    }
}
