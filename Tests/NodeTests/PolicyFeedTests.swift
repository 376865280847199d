import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

@testable import Node

/// What the network is told of policies, and when.
final class PolicyFeedTests: XCTestCase {
    /// A network that keeps messages, and fails as it is told to.
    private final class Network: NetworkProvider {
        let messages = Mutex<[JSON]>([])
        let failure = Mutex<PluginError?>(nil)
        func status(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func attach(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func check(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func detach(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func collectGarbage(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func servicesSet(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func policiesSet(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func policyRulesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
            if let failure = failure.withLock({ $0 }) { throw failure }
            messages.withLock { $0.append(request) }
            return [:]
        }
        var model: PolicyModel {
            var model = PolicyModel()
            for message in messages.withLock({ $0 }) { model.apply(message) }
            return model
        }
    }

    private final class Bench: Sendable {
        let network = Network()
        let feed: PolicyFeed
        let observed = Mutex(0)
        let reports = Mutex<[String]>([])
        private let existing: [JSON]
        private final class Late: Sendable { let bench = Mutex<Bench?>(nil) }

        init(pods: [JSON] = []) {
            existing = pods
            let late = Late()
            feed = PolicyFeed(
                network: network, flush: {},
                observe: {
                    let bench = late.bench.withLock { $0 }
                    bench?.observed.withLock { $0 += 1 }
                    for pod in bench?.existing ?? [] { bench?.feed.podChanged(pod) }
                },
                report: { policy, reason, message in
                    late.bench.withLock { $0 }?.reports.withLock { $0.append("\(policy.name) \(reason): \(message)") }
                })
            late.bench.withLock { $0 = self }
        }
    }

    private static func pod(_ name: String, _ address: String?, labels: JSON = [:]) -> JSON {
        [
            "metadata": ["name": .string(name), "namespace": "d", "uid": .string(name), "labels": labels],
            "spec": ["containers": [["name": "c", "image": "i"]]],
            "status": ["podIP": address.map(JSON.string) ?? .null],
        ]
    }

    private static func policy(_ name: String, _ specification: JSON = ["podSelector": [:]]) -> JSON {
        ["metadata": ["name": .string(name), "namespace": "d"], "spec": specification]
    }

    func testWithoutPoliciesNothingIsWatched() throws {
        let bench = Bench()
        try bench.feed.send()
        XCTAssertEqual(bench.network.messages.withLock { $0.count }, 0, "not ready")
        bench.feed.ready()
        try bench.feed.send()
        try bench.feed.send()
        let first: JSON = ["full": true, "groups": [], "policies": [], "subjects": []]
        XCTAssertEqual(bench.network.messages.withLock { $0 }, [first], "what an earlier run left goes, once")
        try bench.feed.isolate(XCTUnwrap(Pod(object: Self.pod("a", nil))), addresses: ["10.244.0.2"])
        XCTAssertEqual(bench.observed.withLock { $0 }, 0)
    }

    func testPodsAreIsolatedBeforeTheyStart() throws {
        let bench = Bench(pods: [Self.pod("a", "10.244.0.2")])
        bench.feed.policyChanged(Self.policy("deny"))
        bench.feed.ready()
        try bench.feed.isolate(XCTUnwrap(Pod(object: Self.pod("b", nil))), addresses: ["fd00::3", "10.244.0.3"])
        XCTAssertEqual(bench.observed.withLock { $0 }, 1)
        XCTAssertFalse(bench.network.model.allows("10.244.0.9", "10.244.0.3"), "the new pod, when the call returns")
        XCTAssertFalse(bench.network.model.allows("10.244.0.9", "10.244.0.2"), "one that ran before")
        // A pod that must be isolated and cannot be does not start; others do.
        bench.network.failure.withLock { $0 = .unavailable("swapping") }
        XCTAssertThrowsError(
            try bench.feed.isolate(XCTUnwrap(Pod(object: Self.pod("c", nil))), addresses: ["10.244.0.4"]))
        bench.feed.policyChanged(Self.policy("deny", ["podSelector": ["matchLabels": ["x": "y"]]]))
        XCTAssertNoThrow(try bench.feed.isolate(XCTUnwrap(Pod(object: Self.pod("e", nil))), addresses: ["10.244.0.5"]))
        bench.network.failure.withLock { $0 = nil }
        try bench.feed.send()
        XCTAssertEqual(bench.network.messages.withLock { $0.last?["full"] }, true, "after a failure everything")
        XCTAssertTrue(bench.network.model.allows("10.244.0.9", "10.244.0.4"))
    }

    func testANewNetworkIsToldEverything() throws {
        let bench = Bench(pods: [Self.pod("a", "10.244.0.2")])
        bench.feed.ready()
        bench.feed.policyChanged(Self.policy("deny"))
        try bench.feed.send()
        let before = bench.network.messages.withLock { $0.last }
        bench.feed.resend()
        try bench.feed.send()
        XCTAssertEqual(bench.network.messages.withLock { $0.last }, before)
        bench.feed.policyRemoved(Self.policy("deny"))
        try bench.feed.send()
        XCTAssertEqual(bench.network.model, PolicyModel())
    }

    func testANetworkWithoutEnforcement() throws {
        let bench = Bench(pods: [Self.pod("a", "10.244.0.2")])
        bench.network.failure.withLock { $0 = .notSupported("this network has no rules") }
        bench.feed.ready()
        try bench.feed.send()
        XCTAssertEqual(bench.reports.withLock { $0 }, [], "without policies nobody needs to know")
        bench.feed.policyChanged(Self.policy("deny"))
        try bench.feed.send()
        try bench.feed.send()
        let report = "deny NotEnforced: the policy has no effect: this network has no rules"
        XCTAssertEqual(bench.reports.withLock { $0 }, [report], "each author once")
        XCTAssertNoThrow(try bench.feed.isolate(XCTUnwrap(Pod(object: Self.pod("b", nil))), addresses: ["10.244.0.3"]))
        bench.network.failure.withLock { $0 = nil }
        bench.feed.resend()
        try bench.feed.send()
        XCTAssertFalse(bench.network.model.allows("10.244.0.9", "10.244.0.2"), "the next network enforces")
    }

    func testAPolicyThatCannotBeRead() throws {
        let bench = Bench()
        bench.feed.ready()
        bench.feed.policyChanged(
            Self.policy(
                "odd", ["podSelector": ["matchExpressions": [["key": "a", "operator": "Like", "values": ["b"]]]]]))
        XCTAssertEqual(bench.reports.withLock { $0.count }, 1)
        try bench.feed.send()
        XCTAssertEqual(bench.network.model, PolicyModel())
    }
}
