import PluginAPI
import PluginKit
import Synchronization
import XCTest

/// The client of hostd.election/1 over a host that notes what it is asked and speaks when it is told to.
final class LeaderElectionTests: XCTestCase {
    /// A host with a log that drops everything and an election.
    private final class FakeHost: @unchecked Sendable {  // Tables are written once; `state` has a lock.
        struct State {
            var stands: [String] = []
            var resigned: [UInt64] = []
            /// The sink's context as a number.
            var sink: (sink: hostd_sink, context: UInt)?
            var token: UInt64?
            var refuses = false
        }
        let state = Mutex(State())
        private let host = UnsafeMutablePointer<hostd_host>.allocate(capacity: 1)
        private let log = UnsafeMutablePointer<hostd_log_1>.allocate(capacity: 1)
        private let election = UnsafeMutablePointer<hostd_election_1>.allocate(capacity: 1)

        init() {
            let this = Unmanaged.passUnretained(self).toOpaque()
            func head<Table>(_ id: StaticString, _ type: Table.Type) -> hostd_interface {
                let name = UnsafeRawPointer(id.utf8Start).assumingMemoryBound(to: CChar.self)
                return hostd_interface(
                    struct_size: UInt32(MemoryLayout<Table>.size), reserved: 0, self: this, id: name, slots: name)
            }
            memset(log, 0, MemoryLayout<hostd_log_1>.size)
            log.pointee.interface = head("hostd.log/1", hostd_log_1.self)
            memset(election, 0, MemoryLayout<hostd_election_1>.size)
            election.pointee.interface = head("hostd.election/1", hostd_election_1.self)
            election.pointee.campaign = {
                this, key, keySize, value, valueSize, index, indexSize, life, sink, context, candidacy, error in
                FakeHost.of(this).campaign(
                    [(key, keySize), (value, valueSize), (index, indexSize)].map {
                        String(decoding: UnsafeBufferPointer(start: $0.0, count: Int($0.1)), as: UTF8.self)
                    }, life, sink, context, candidacy, error)
            }
            election.pointee.token = { this, candidacy, token, error in
                guard let known = FakeHost.of(this).state.withLock({ $0.token }), candidacy == 7 else {
                    error.pointee.code = HOSTD_ERROR_WRONG_STATE
                    return HOSTD_ERROR_WRONG_STATE
                }
                token.pointee = known
                return HOSTD_OK
            }
            election.pointee.resign = { this, candidacy, _ in
                FakeHost.of(this).state.withLock {
                    $0.resigned.append(candidacy)
                    $0.sink = nil
                }
                return HOSTD_OK
            }
            memset(host, 0, MemoryLayout<hostd_host>.size)
            host.pointee.struct_size = UInt32(MemoryLayout<hostd_host>.size)
            host.pointee.`self` = this
            host.pointee.get_interface = { this, id in
                let fake = FakeHost.of(this)
                switch String(cString: id) {
                case HOSTD_LOG_1:
                    return UnsafePointer(UnsafeRawPointer(fake.log).assumingMemoryBound(to: hostd_interface.self))
                case HOSTD_ELECTION_1:
                    return UnsafePointer(UnsafeRawPointer(fake.election).assumingMemoryBound(to: hostd_interface.self))
                default: return nil
                }
            }
        }

        deinit {
            host.deallocate()
            log.deallocate()
            election.deallocate()
        }

        private static func of(_ this: UnsafeMutableRawPointer?) -> FakeHost {
            Unmanaged<FakeHost>.fromOpaque(this!).takeUnretainedValue()
        }

        func client() throws -> LeaderElection { try LeaderElection(Host(UnsafePointer(host))) }

        private func campaign(
            _ texts: [String], _ life: UInt64, _ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?,
            _ candidacy: UnsafeMutablePointer<UInt64>, _ error: UnsafeMutablePointer<hostd_error>
        ) -> Int32 {
            let address = UInt(bitPattern: context)
            let status = state.withLock { state -> Int32 in
                if state.refuses { return HOSTD_ERROR_UNAVAILABLE }
                state.stands.append((texts + ["\(life)"]).joined(separator: "|"))
                state.sink = (sink, address)
                return HOSTD_OK
            }
            error.pointee.code = status
            error.pointee.retryable = status == HOSTD_OK ? 0 : 1
            candidacy.pointee = 7
            return status
        }

        /// What the host tells the candidate, if it stands.
        func tell(_ text: String, kind: Int32 = HOSTD_SINK_DATA) {
            guard let (sink, context) = state.withLock({ $0.sink }) else { return }
            Array(text.utf8).withUnsafeBufferPointer {
                sink(UnsafeMutableRawPointer(bitPattern: context), UInt32(kind), $0.baseAddress, UInt64($0.count))
            }
        }
    }

    private final class Heard: Sendable {
        let all = Mutex<[LeaderElection.News]>([])
        var news: [LeaderElection.News] { all.withLock { $0 } }
    }

    private func stand(_ host: FakeHost, _ heard: Heard) throws -> LeaderElection.Candidate {
        try host.client().campaign(
            at: "leases//a", value: Array("{}".utf8), index: Array("n\0v\0".utf8), timeToLiveMilliseconds: 1500
        ) { news in heard.all.withLock { $0.append(news) } }
    }

    func testWhatACandidateSaysAndHears() throws {
        let (host, heard) = (FakeHost(), Heard())
        let candidate = try stand(host, heard)
        XCTAssertEqual(host.state.withLock { $0.stands }, ["leases//a|{}|n\0v\0|1500"])
        let rows: [(text: String, kind: Int32, news: LeaderElection.News?, why: String)] = [
            (
                "{\"leading\":true,\"token\":9007199254740993}", HOSTD_SINK_DATA,
                .leading(token: 9_007_199_254_740_993), "all digits"
            ),
            (
                "{\"leading\":false,\"reason\":\"the lease has ended\"}", HOSTD_SINK_DATA,
                .following(reason: "the lease has ended"), ""
            ),
            ("{\"leading\":false}", HOSTD_SINK_DATA, .following(reason: ""), "no reason is none"),
            ("{\"leading\":", HOSTD_SINK_DATA, nil, "what is no JSON says nothing"),
            ("", HOSTD_SINK_PROGRESS, nil, "another kind of message"),
        ]
        for row in rows {
            let before = heard.news.count
            host.tell(row.text, kind: row.kind)
            XCTAssertEqual(Array(heard.news[before...]), row.news.map { [$0] } ?? [], row.why)
        }
        candidate.resign()
    }

    func testTheTokenIsTheHosts() throws {
        let host = FakeHost()
        let candidate = try stand(host, Heard())
        XCTAssertThrowsError(try candidate.token(), "nobody leads") {
            XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_WRONG_STATE)
        }
        host.state.withLock { $0.token = 42 }
        XCTAssertEqual(try candidate.token(), 42)
        candidate.resign()
    }

    func testResigningOnceAndForAll() throws {
        let (host, heard) = (FakeHost(), Heard())
        let candidate = try stand(host, heard)
        candidate.resign()
        candidate.resign()
        XCTAssertEqual(host.state.withLock { $0.resigned }, [7])
        host.tell("{\"leading\":true,\"token\":1}")
        XCTAssertEqual(heard.news, [], "nothing is heard after it")
    }

    func testARefusalIsThrown() throws {
        let host = FakeHost()
        host.state.withLock { $0.refuses = true }
        XCTAssertThrowsError(try stand(host, Heard())) { error in
            XCTAssertEqual((error as? PluginError)?.code, HOSTD_ERROR_UNAVAILABLE)
            XCTAssertEqual((error as? PluginError)?.isRetryable, true)
        }
        XCTAssertEqual(host.state.withLock { $0.resigned }, [], "what never began is not ended")
    }
}
