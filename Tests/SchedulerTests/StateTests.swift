import Objects
import PluginAPI
import XCTest

@testable import Scheduler

/// hostd.scheduler.state/1 as the default scheduler writes and reads it.
final class StateTests: XCTestCase {
    private static let format = HOSTD_SCHEDULER_STATE_1.utf8.count + 1

    private func placement() throws -> Placement {
        var placement = Placement()
        for index in 0..<3 {
            placement.setNode(
                NodeDescription(
                    name: "node-\(index)", labels: ["zone": "z\(index)", "ü": ""],
                    taints: index == 2 ? [Taint(key: "k", value: "v", effect: .noExecute)] : [],
                    allocatable: Amounts(milliCPU: 4000, memory: 8 << 30, ephemeralStorage: 1 << 40, pods: 10),
                    extended: ["nvidia.com/gpu": 2], isReady: index != 1, isUnschedulable: index == 1))
        }
        let pod = try PodDescription([
            "metadata": ["namespace": "web", "labels": ["app": "shop"]],
            "spec": [
                "priority": 7,
                "containers": [
                    [
                        "ports": [["hostPort": 80, "hostIP": "127.0.0.1"]],
                        "resources": ["requests": ["cpu": "1500m", "nvidia.com/gpu": "1"]],
                    ]
                ],
                "affinity": [
                    "podAntiAffinity": [
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            [
                                "topologyKey": "zone", "namespaces": ["a", "b"],
                                "labelSelector": [
                                    "matchExpressions": [
                                        ["key": "app", "operator": "NotIn", "values": ["x", "y"]],
                                        ["key": "gone", "operator": "DoesNotExist"],
                                    ]
                                ],
                            ],
                            ["topologyKey": "zone"],
                            ["topologyKey": "zone", "labelSelector": [:], "namespaceSelector": [:]],
                        ]
                    ]
                ],
            ],
        ])
        placement.setPod(uid: "bound", pod, node: "node-0")
        var ending = pod
        ending.isTerminating = true
        ending.preferredAffinity = [(-7, ending.antiAffinity[0])]
        placement.setPod(uid: "ending", ending, node: "node-0")
        placement.setPod(uid: "elsewhere", pod, node: "not-there-yet")
        return placement
    }

    private func imported(_ state: [UInt8]) throws -> (placement: Placement, revision: UInt64) {
        try state.withUnsafeBytes { try Placement.imported(UnsafeRawBufferPointer(rebasing: $0[Self.format...])) }
    }

    func testNothingIsLost() throws {
        let original = try placement()
        let state = original.exported(revision: 99)
        XCTAssertEqual(String(decoding: state.prefix(Self.format), as: UTF8.self), HOSTD_SCHEDULER_STATE_1 + "\n")
        let (copy, revision) = try imported(state)
        XCTAssertEqual(revision, 99)
        XCTAssertEqual(copy.loads.map(\.requested), original.loads.map(\.requested))
        XCTAssertEqual(copy.loads.map(\.allocatable), original.loads.map(\.allocatable))
        XCTAssertEqual(copy.loads.map(\.flags), original.loads.map(\.flags))
        XCTAssertEqual(copy.loads.map(\.scoredMemory), original.loads.map(\.scoredMemory))
        XCTAssertEqual(copy.nodes.map(\.extendedRequested), original.nodes.map(\.extendedRequested))
        XCTAssertEqual(copy.nodes.map(\.hostPorts), original.nodes.map(\.hostPorts))
        for (one, other) in zip(copy.nodes, original.nodes) {
            XCTAssertEqual(one.description.labels, other.description.labels)
            XCTAssertEqual(one.description.taints, other.description.taints)
            XCTAssertEqual(one.description.extended, other.description.extended)
        }
        XCTAssertEqual(copy.antiAffinityPods, original.antiAffinityPods)
        let (one, other) = (try XCTUnwrap(copy.pods["bound"]?.pod), try XCTUnwrap(original.pods["bound"]?.pod))
        XCTAssertEqual(one.labels, other.labels)
        XCTAssertEqual(one.namespace, other.namespace)
        XCTAssertEqual(one.priority, other.priority)
        XCTAssertEqual(one.antiAffinity.map(\.selector), other.antiAffinity.map { $0.selector })
        XCTAssertEqual(one.antiAffinity.map(\.namespaces), other.antiAffinity.map(\.namespaces))
        XCTAssertEqual(copy.pods["elsewhere"]?.node, "not-there-yet")
        XCTAssertEqual(copy.pods["bound"]?.pod.isTerminating, false)
        let ending = try XCTUnwrap(copy.pods["ending"]?.pod)
        XCTAssertTrue(ending.isTerminating)
        XCTAssertEqual(ending.preferredAffinity.map(\.weight), [-7])
        XCTAssertEqual(ending.preferredAffinity.map { $0.term.selector }, one.antiAffinity.prefix(1).map(\.selector))
    }

    func testUnknownRecordsAndFieldsAreSkipped() throws {
        var state = try placement().exported(revision: 1)
        state += [3, 0, 0, 0, 200, 1, 2]
        XCTAssertEqual(try imported(state).placement.podCount, 3)
        // The last record grows by a field.
        var longer = Placement().exported(revision: 1)
        let plain = try placement().exported(revision: 1)
        let size = Int(plain[Self.format + 8]) | Int(plain[Self.format + 9]) << 8
        let first = plain[(Self.format + 12)..<(Self.format + 12 + size)]
        longer += [UInt8((size + 3) & 255), UInt8((size + 3) >> 8), 0, 0] + first + [7, 7, 7]
        XCTAssertEqual(try imported(longer).placement.nodeCount, 1)
    }

    func testDamagedStateIsRefusedAndNeverTraps() throws {
        let state = try placement().exported(revision: 1)
        for end in Self.format..<state.count {
            // A cut between two records cannot be told from a smaller state.
            _ = try? imported(Array(state[..<end]))
        }
        XCTAssertThrowsError(try imported(Array(state.dropLast())))
        XCTAssertThrowsError(try imported(Array(state[..<(Self.format + 7)])))
        var random = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var damaged = state
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: Self.format..<state.count, using: &random)] = .random(
                    in: 0...255, using: &random)
            }
            _ = try? imported(damaged)
        }
    }
}
