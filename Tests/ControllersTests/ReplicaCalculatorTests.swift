import Objects
import XCTest

@testable import Controllers

final class ReplicaCalculatorTests: XCTestCase {
    private let now = Timestamp(seconds: 100_000)
    private func text(_ seconds: Int64) -> JSON { .string(Timestamp(seconds: seconds).formatted(fraction: .none)) }

    private func pod(
        _ name: String, phase: String = "Running", started: Int64 = 1, ready: Bool = true, since: Int64 = 2,
        request: JSON = "1", deleted: Bool = false
    ) -> JSON {
        var metadata: JSON = ["name": .string(name)]
        if deleted { metadata["deletionTimestamp"] = text(1) }
        let condition: JSON = [
            "type": "Ready", "status": ready ? "True" : "False", "lastTransitionTime": text(since),
        ]
        return [
            "metadata": metadata,
            "spec": ["containers": [["name": "main", "resources": ["requests": ["cpu": request]]]]],
            "status": ["phase": .string(phase), "startTime": text(started), "conditions": .array([condition])],
        ]
    }

    private func calculator(
        _ pods: [JSON], _ values: [String: Int64], current: Int64? = nil, window: Int64 = 15
    ) -> ReplicaCalculator {
        ReplicaCalculator(
            pods: pods,
            samples: values.mapValues { .init(value: $0, time: now, window: window) }, resource: "cpu", container: nil,
            current: current ?? Int64(pods.count), tolerance: .init(), now: now)
    }

    func testUtilization() throws {
        let three = ["a", "b", "c"].map { pod($0) }
        let young = pod("c", started: 99_990, ready: false, since: 99_990)
        let cases: [(String, ReplicaCalculator, Int64, Int64)] = [
            ("more", calculator(three, ["a": 300, "b": 500, "c": 700]), 30, 5),
            ("less", calculator(three, ["a": 100, "b": 300, "c": 500]), 50, 2),
            ("near enough above", calculator(three, ["a": 540, "b": 550, "c": 550]), 50, 3),
            ("near enough below", calculator(three, ["a": 450, "b": 460, "c": 460]), 50, 3),
            ("one that tells nothing counts as using nothing", calculator(three, ["a": 900, "b": 900]), 60, 3),
            ("or, downwards, as using all", calculator(three, ["a": 100, "b": 100]), 50, 3),
            (
                "one that starts holds up",
                calculator([three[0], three[1], young], ["a": 900, "b": 900, "c": 900]), 50, 4
            ),
            (
                "one that goes does not count", calculator([three[0], pod("b", deleted: true)], ["a": 900]), 50, 2
            ),
            (
                "one that waits uses nothing yet", calculator([three[0], pod("b", phase: "Pending")], ["a": 1400]), 50,
                3
            ),
        ]
        for (reason, calculator, target, expected) in cases {
            XCTAssertEqual(try calculator.proposal(utilization: target).replicas, expected, reason)
        }
        let shown = try calculator(three, ["a": 300, "b": 500, "c": 700]).proposal(utilization: 30)
        XCTAssertEqual(shown.utilization, 50)
        XCTAssertEqual(shown.average, 500)
    }

    func testAverages() throws {
        let two = ["a", "b"].map { pod($0) }
        let cases: [(String, [String: Int64], Int64, Int64)] = [
            ("more", ["a": 400, "b": 200], 100, 6), ("less", ["a": 40, "b": 60], 100, 1),
            ("near enough", ["a": 100, "b": 108], 100, 2), ("one tells nothing", ["a": 110], 100, 2),
        ]
        for (reason, values, target, expected) in cases {
            let proposal = try calculator(two, values).proposal(average: target)
            XCTAssertEqual(proposal.replicas, expected, reason)
            XCTAssertNil(proposal.utilization, reason)
        }
    }

    func testFailures() {
        func failure(_ calculator: ReplicaCalculator) -> ReplicaCalculator.Failure? {
            do {
                _ = try calculator.proposal(utilization: 50)
                return nil
            } catch {
                return error
            }
        }
        XCTAssertEqual(failure(calculator([], [:])), .noPods)
        XCTAssertEqual(failure(calculator([pod("a")], [:])), .noMetrics)
        XCTAssertEqual(
            failure(calculator([pod("a", request: .null)], ["a": 1])),
            .missingRequest(resource: "cpu", container: "main", pod: "a"))
    }

    func testPodsThatStart() {
        let cases: [(String, JSON, Int64, Bool)] = [
            ("long ready", pod("a", started: 1, since: 2), 15, true),
            ("ready for a whole measurement", pod("a", started: 99_900, since: 99_950), 15, true),
            ("measured while it was not ready", pod("a", started: 99_900, since: 99_990), 15, false),
            ("never ready", pod("a", started: 1, ready: false, since: 2), 15, false),
            ("ready once", pod("a", started: 1, ready: false, since: 99_000), 15, true),
        ]
        for (reason, pod, window, isTypical) in cases {
            let calculator = calculator([pod, self.pod("b")], ["a": 2000, "b": 2000], window: window)
            // Two typical pods ask for eight; one that starts, counted as nothing, for four.
            XCTAssertEqual(try calculator.proposal(utilization: 50).replicas, isTypical ? 8 : 4, reason)
        }
    }
}
