import Objects
import PluginAPI
import PluginKit
import XCTest

/// Schedulers that take over from each other, whichever they are.
final class HandOverTests: XCTestCase {
    private typealias Make = TestObjects

    private func scheduler(_ kind: SchedulerInstance.Kind, nodes: Int = 3) throws -> SchedulerInstance {
        let scheduler = try SchedulerInstance(kind)
        try scheduler.activate()
        for index in 0..<nodes {
            try scheduler.client.set(node: Make.node("n\(index)", cpu: "1", labels: ["zone": .string("z\(index % 2)")]))
        }
        return scheduler
    }

    func testAssumedPodsGoAlong() throws {
        let half = Make.pod(requests: ["cpu": "500m"])
        for (from, to) in SchedulerInstance.Kind.allCases.flatMap({ a in SchedulerInstance.Kind.allCases.map { (a, $0) }
        }) {
            let old = try scheduler(from, nodes: 1)
            XCTAssertEqual(try old.client.schedule(half, "assumed"), .place(node: "n0"))
            try old.client.set(pod: half, "bound", on: "n0")
            let revision = try old.client.revision()
            let new = try old.successor(to)
            XCTAssertEqual(try new.client.revision(), revision, "\(from) to \(to)")
            XCTAssertEqual(
                try new.client.schedule(half, "more"),
                .refuse(nodes: 1, refusals: [SchedulingRefusal(reason: "Insufficient cpu", nodes: 1)]),
                "\(from) to \(to)")
            XCTAssertEqual(try new.client.schedule(half, "assumed"), .place(node: "n0"), "it stays where it was")
            try new.client.podRemove("bound")
            XCTAssertEqual(try new.client.schedule(half, "more"), .place(node: "n0"))
            XCTAssertEqual(try new.client.revision(), revision + 4)
            // The old one goes on, should the swap fail after all.
            XCTAssertEqual(try old.client.revision(), revision)
            try old.client.podRemove("assumed")
            XCTAssertEqual(try old.client.schedule(half, "more"), .place(node: "n0"))
        }
    }

    func testTheStateIsTheSameAgain() throws {
        for kind in SchedulerInstance.Kind.allCases {
            let one = try scheduler(kind)
            for index in 0..<20 {
                let pod = Make.pod(requests: ["cpu": "10m"], labels: ["b": "1", "a": .string("\(index)"), "c": ""])
                _ = try one.client.schedule(pod, "\(index * 7 % 20)")
            }
            let state = try one.exportState()
            XCTAssertEqual(try one.exportState(), state, "\(kind): exporting changes nothing")
            XCTAssertEqual(try one.successor(kind).exportState(), state, "\(kind)")
        }
    }

    func testARefusedImportChangesNothing() throws {
        for kind in SchedulerInstance.Kind.allCases {
            let source = try scheduler(kind)
            let state = try source.exportState()
            let target = try SchedulerInstance(kind)
            let before = try target.exportState()
            let rows: [(String, [UInt8], Int32)] = [
                ("nothing", [], HOSTD_ERROR_VERSION),
                ("another format", Array("com.example.state/1\n".utf8), HOSTD_ERROR_VERSION),
                ("a later format", Array("hostd.scheduler.state/2\n".utf8) + state, HOSTD_ERROR_VERSION),
                ("cut", Array(state.dropLast()), HOSTD_ERROR_INVALID_ARGUMENT),
                ("without a revision", Array(state.prefix(24)), HOSTD_ERROR_INVALID_ARGUMENT),
            ]
            for (name, bytes, code) in rows {
                XCTAssertThrowsError(try target.importState(bytes), "\(kind): \(name)") {
                    XCTAssertEqual(($0 as? PluginError)?.code, code, "\(kind): \(name)")
                }
            }
            XCTAssertEqual(try target.exportState(), before, "\(kind)")
            try target.importState(state)
            XCTAssertEqual(try target.exportState(), state)
        }
    }

    func testRevisionsOfDifferentHistoriesDiffer() throws {
        for kind in SchedulerInstance.Kind.allCases {
            let one = try scheduler(kind)
            let first = try one.client.revision()
            try one.client.reset()
            let second = try one.client.revision()
            let other = try SchedulerInstance(kind)
            try other.activate()
            XCTAssertEqual(Set([first, second, try other.client.revision()]).count, 3, "\(kind)")
            try one.client.podRemove("unknown")
            try one.client.nodeRemove("unknown")
            XCTAssertEqual(try one.client.revision(), second + 2)
        }
    }

    /// Two schedulers of different kinds are told the same, swap kinds at random, and are asked about the same pods: they
    /// agree on whether a pod fits and on each reason, and never place more than there is.
    func testRandomHistoriesAgree() throws {
        for seed in 1...12 {
            var random = SplitMix(state: UInt64(seed))
            var one = try scheduler(.standard, nodes: 0)
            var other = try scheduler(.binPack, nodes: 0)
            var cluster = RandomCluster()
            for step in 0..<150 {
                let name = "seed \(seed), step \(step)"
                switch Int.random(in: 0..<10, using: &random) {
                case 0...1:
                    let node = cluster.node(&random)
                    for client in [one.client, other.client] { try client.set(node: node) }
                case 2 where Bool.random(using: &random):
                    if let node = cluster.removeNode(&random) {
                        for client in [one.client, other.client] { try client.nodeRemove(node) }
                    }
                case 3:
                    if let uid = cluster.removePod(&random) {
                        for client in [one.client, other.client] { try client.podRemove(uid) }
                    }
                case 4:
                    one = try one.successor(Bool.random(using: &random) ? .standard : .binPack)
                    other = try other.successor(Bool.random(using: &random) ? .standard : .binPack)
                default:
                    let pod = cluster.pod(&random)
                    let decision = try one.client.schedule(pod, "\(step)")
                    let probe = try other.client.schedule(pod, "\(step)")
                    switch (decision, probe) {
                    case (.place(let node), .place):
                        cluster.place(pod, "\(step)", on: node)
                        try other.client.set(pod: pod, "\(step)", on: node)
                        XCTAssertTrue(try cluster.fits(pod, node), "\(name): \(node) has too much on it")
                    case (.refuse, .refuse): XCTAssertEqual(decision, probe, name)
                    default: XCTFail("\(name): \(decision) but \(probe) for \(pod.serializedString())")
                    }
                }
            }
        }
    }
}
