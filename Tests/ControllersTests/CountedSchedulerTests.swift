import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

@testable import Controllers

/// The driver's view of a scheduler whose provider is swapped, crashes and comes back.
final class CountedSchedulerTests: XCTestCase {
    /// A role whose provider changes behind it: each provider has one node's worth of pods, and counts or not.
    private final class Role: SchedulerProvider {
        struct Provider {
            var pods: Set<String> = []
            var nodes: Set<String> = []
            var revision: UInt64?
        }
        struct State {
            var provider: Provider?
            var epoch: UInt64 = 0
            var resets = 0
            var failure: PluginError?
        }
        let state = Mutex(State())
        static let capacity = 5

        func call<Result>(counts: Bool = true, _ body: (inout Provider) -> sending Result) throws -> sending Result {
            try state.withLock { state in
                if let failure = state.failure { throw failure }
                guard var provider = state.provider else { throw PluginError.unavailable("no provider") }
                let result = body(&provider)
                if counts { provider.revision = provider.revision.map { $0 + 1 } }
                state.provider = provider
                return result
            }
        }

        /// A provider that knows nothing, or what `state` says.
        func bind(_ known: Provider? = nil, counts: Bool = true) {
            state.withLock { state in
                state.epoch += 1 << 32
                state.provider = known ?? Provider(revision: counts ? state.epoch : nil)
            }
        }

        func nodeSet(_ node: hostd_scheduler_node, name: String, object: UnsafeRawBufferPointer) throws {
            try call { _ = $0.nodes.insert(name) }
        }
        func nodeRemove(_ name: String) throws { try call { _ = $0.nodes.remove(name) } }
        func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws {
            try call { _ = $0.pods.insert(uid) }
        }
        func podRemove(_ uid: String) throws { try call { _ = $0.pods.remove(uid) } }
        func schedule(
            _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
        ) throws -> SchedulingDecision {
            try call { provider in
                guard let node = provider.nodes.first, provider.pods.count < Self.capacity else {
                    return .refuse(nodes: provider.nodes.count, refusals: [])
                }
                provider.pods.insert(uid)
                return .place(node: node)
            }
        }
        func reset() throws {
            try state.withLock { state in
                guard let provider = state.provider else { throw PluginError.unavailable("no provider") }
                state.resets += 1
                state.epoch += 1 << 32
                state.provider = Provider(revision: provider.revision == nil ? nil : state.epoch)
            }
        }
        func revision() throws -> UInt64 {
            guard let revision = try call(counts: false, { $0.revision }) else {
                throw PluginError.notSupported("counts nothing")
            }
            return revision
        }
        var resets: Int { state.withLock { $0.resets } }
        var provider: Provider? { state.withLock { $0.provider } }
    }

    private let pod = hostd_scheduler_pod()

    private func feed(_ scheduler: inout CountedScheduler, _ pods: [String] = []) throws {
        try scheduler.feed { scheduler in
            try scheduler.tell {
                try $0.nodeSet(hostd_scheduler_node(), name: "n", object: .init(start: nil, count: 0))
            }
            for uid in pods { try place(uid, &scheduler) }
        }
    }

    private func place(_ uid: String, _ scheduler: inout CountedScheduler) throws {
        try scheduler.tell { try $0.podSet(pod, uid: uid, node: "n", object: .init(start: nil, count: 0)) }
    }

    private func fedRole(counts: Bool = true) throws -> (Role, CountedScheduler) {
        let role = Role()
        role.bind(counts: counts)
        var scheduler = CountedScheduler(role)
        XCTAssertFalse(scheduler.isFed)
        try feed(&scheduler)
        return (role, scheduler)
    }

    func testStateThatWasHandedOverNeedsNoFeed() throws {
        var (role, scheduler) = try fedRole()
        XCTAssertEqual(try scheduler.schedule(pod, uid: "a", object: [:]), .place(node: "n"))
        role.bind(role.provider)
        XCTAssertTrue(try scheduler.providerChanged())
        XCTAssertEqual(try scheduler.schedule(pod, uid: "b", object: [:]), .place(node: "n"))
        XCTAssertEqual(role.provider?.pods, ["a", "b"])
        XCTAssertEqual(role.resets, 1)
    }

    func testDecisionOfAProviderThatKnowsLessDoesNotCount() throws {
        let rows: [(String, (Role) -> Void)] = [
            ("no state", { $0.bind() }),
            (
                "state of before the last change",
                { role in
                    var old = role.provider
                    old?.pods.remove("b")
                    old?.revision? -= 1
                    role.bind(old)
                }
            ),
        ]
        for (reason, change) in rows {
            var (role, scheduler) = try fedRole()
            try place("a", &scheduler)
            try place("b", &scheduler)
            change(role)
            XCTAssertNil(try scheduler.schedule(pod, uid: "c", object: [:]), reason)
            XCTAssertFalse(scheduler.isFed, reason)
            try feed(&scheduler, ["a", "b"])
            XCTAssertEqual(try scheduler.schedule(pod, uid: "c", object: [:]), .place(node: "n"), reason)
            XCTAssertEqual(role.provider?.pods, ["a", "b", "c"], reason)
        }
    }

    func testAProviderThatCountsNothingIsFedAfterEveryChange() throws {
        var (role, scheduler) = try fedRole(counts: false)
        XCTAssertEqual(try scheduler.schedule(pod, uid: "a", object: [:]), .place(node: "n"))
        role.bind(role.provider)
        XCTAssertFalse(try scheduler.providerChanged())
        XCTAssertFalse(scheduler.isFed)
    }

    func testAProviderThatCountsWronglyStillSchedules() throws {
        let (role, _) = try fedRole()
        var scheduler = CountedScheduler(role)
        var feeds = 0
        var decision: SchedulingDecision?
        while decision == nil, feeds < 10 {
            try feed(&scheduler)
            feeds += 1
            role.state.withLock { $0.provider?.revision? += 1 }
            decision = try scheduler.schedule(pod, uid: "a", object: [:])
        }
        XCTAssertEqual(decision, .place(node: "n"))
        XCTAssertEqual(feeds, 4)
    }

    func testUnknownEffectsAreFoundOut() throws {
        var (role, scheduler) = try fedRole()
        role.state.withLock { $0.failure = .deadlineExceeded("late") }
        XCTAssertThrowsError(try scheduler.schedule(pod, uid: "a", object: [:]))
        XCTAssertTrue(scheduler.isFed, "a decision that was not told is tried again")
        XCTAssertThrowsError(try place("b", &scheduler))
        XCTAssertFalse(scheduler.isFed, "what was not told must be told")
        role.state.withLock { $0.failure = .invalid("bad pod") }
        XCTAssertThrowsError(try feed(&scheduler))
        role.state.withLock { $0.failure = nil }
        try feed(&scheduler)
        role.state.withLock { $0.failure = .invalid("bad pod") }
        XCTAssertThrowsError(try place("b", &scheduler))
        XCTAssertTrue(scheduler.isFed, "one object that is refused is no reason to feed again")
    }

    /// Swaps with and without state, crashes back to old state, outages: at any time the pods that were placed are at most
    /// what fits, and none that was placed is forgotten.
    func testNoOverCommitWhateverHappensToTheProvider() throws {
        var random = SystemRandomNumberGenerator()
        for round in 0..<200 {
            let role = Role()
            role.bind(counts: round % 4 != 0)
            var scheduler = CountedScheduler(role)
            var placed: Set<String> = []
            var checkpoint: Role.Provider?
            for step in 0..<100 {
                var wasToldOfChange = true
                switch Int.random(in: 0..<10, using: &random) {
                case 0: role.bind(counts: round % 4 != 0)
                case 1: role.bind(role.provider)
                case 2: checkpoint = role.provider
                case 3: if let checkpoint { role.bind(checkpoint) }
                case 4: role.state.withLock { $0.provider = nil }
                case 5 where !placed.isEmpty:
                    let uid = placed.removeFirst()
                    // As the driver does: what fails is told with the next feed.
                    do { if scheduler.isFed { try scheduler.tell { try $0.podRemove(uid) } } } catch {
                        XCTAssertFalse(scheduler.isFed)
                    }
                    fallthrough
                default: wasToldOfChange = false
                }
                do {
                    // The watch's message may come late for providers that count.
                    if wasToldOfChange && (round % 4 == 0 || Bool.random()) { _ = try scheduler.providerChanged() }
                    if !scheduler.isFed { try feed(&scheduler, Array(placed)) }
                    let uid = "\(round)-\(step)"
                    if case .place = try scheduler.schedule(pod, uid: uid, object: [:]) { placed.insert(uid) }
                } catch let error as PluginError {
                    XCTAssertEqual(error.code, HOSTD_ERROR_UNAVAILABLE)
                    role.bind(counts: round % 4 != 0)
                    if round % 4 == 0 { _ = try scheduler.providerChanged() }
                }
                XCTAssertLessThanOrEqual(placed.count, Role.capacity, "round \(round), step \(step)")
            }
        }
    }
}
