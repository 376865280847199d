import Objects
import PluginAPI
import PluginKit
import XCTest

/// Schedulers that follow another one, of either kind, while that is told and asked.
final class LiveHandOverTests: XCTestCase {
    private typealias Make = TestObjects

    /// A fresh active instance that has taken over what `old` knew, with the mark under which it follows.
    private func follower(
        of old: SchedulerInstance, _ kind: SchedulerInstance.Kind
    ) throws -> (new: SchedulerInstance, mark: UInt64) {
        let (mark, base) = try old.exportBase()
        XCTAssertEqual(base, try old.exportState(), "\(old.kind): a base is the whole state")
        let new = try SchedulerInstance(kind)
        try new.importState(base)
        try new.activate()
        return (new, mark)
    }

    private func told(_ kind: SchedulerInstance.Kind, pods: Int) throws -> SchedulerInstance {
        let scheduler = try SchedulerInstance(kind)
        try scheduler.activate()
        for index in 0..<3 { try scheduler.client.set(node: Make.node("n\(index)", cpu: "4")) }
        for index in 0..<pods { _ = try scheduler.client.schedule(Make.pod(requests: ["cpu": "10m"]), "p\(index)") }
        return scheduler
    }

    /// Anything may happen between base and takeover, in any number of rounds: afterwards both know the same.
    func testAFollowerKnowsWhatTheOldOneKnows() throws {
        for seed in 1...24 {
            var random = SplitMix(state: UInt64(seed))
            var cluster = RandomCluster()
            let kinds = (0..<2).map { _ in Bool.random(using: &random) ? SchedulerInstance.Kind.standard : .binPack }
            let old = try SchedulerInstance(kinds[0])
            try old.activate()
            try tell(old, steps: 60, &cluster, &random)
            let (new, mark) = try follower(of: old, kinds[1])
            for round in 0..<4 {
                try tell(old, steps: Int.random(in: 0..<40, using: &random), &cluster, &random, prefix: "\(round)-")
                try new.importChanges(old.exportChanges(since: mark))
                let name = "seed \(seed), round \(round), \(kinds)"
                XCTAssertEqual(try new.client.revision(), try old.client.revision(), name)
                XCTAssertEqual(try new.canonicalState(), try old.canonicalState(), name)
            }
            try old.exportEnd(mark)
        }
    }

    private func tell(
        _ scheduler: SchedulerInstance, steps: Int, _ cluster: inout RandomCluster, _ random: inout SplitMix,
        prefix: String = ""
    ) throws {
        for step in 0..<steps {
            switch Int.random(in: 0..<40, using: &random) {
            case 0..<8: try scheduler.client.set(node: cluster.node(&random))
            case 8..<11: if let node = cluster.removeNode(&random) { try scheduler.client.nodeRemove(node) }
            case 11..<18: if let uid = cluster.removePod(&random) { try scheduler.client.podRemove(uid) }
            case 18 where prefix.hasPrefix("2"): try scheduler.client.reset()
            default:
                let (pod, uid) = (cluster.pod(&random), "\(prefix)\(step)")
                guard case .place(let node) = try scheduler.client.schedule(pod, uid) else { continue }
                cluster.place(pod, uid, on: node)
                if Bool.random(using: &random) { try scheduler.client.set(pod: pod, uid, on: node) }
            }
        }
    }

    /// What has changed is handed out, and nothing else.
    func testChangesAreAsSmallAsWhatChanged() throws {
        for kind in SchedulerInstance.Kind.allCases {
            let old = try told(kind, pods: 300)
            let (mark, base) = try old.exportBase()
            let none = try old.exportChanges(since: mark)
            XCTAssertLessThan(none.count, 64, "\(kind)")
            _ = try old.client.schedule(Make.pod(requests: ["cpu": "10m"]), "more")
            try old.client.podRemove("p7")
            try old.client.podRemove("unknown")
            let some = try old.exportChanges(since: mark)
            XCTAssertGreaterThan(some.count, none.count, "\(kind)")
            XCTAssertLessThan(some.count, 512, "\(kind)")
            XCTAssertGreaterThan(base.count, 20_000, "\(kind)")
            XCTAssertEqual(try old.exportChanges(since: mark), withRevision(none, of: some), "they are told once")
        }
    }

    /// `changes` with the revision of others: it stands behind the first line.
    private func withRevision(_ changes: [UInt8], of others: [UInt8]) -> [UInt8] {
        let start = HOSTD_SCHEDULER_STATE_1.utf8.count + 1
        return Array(changes[..<start] + others[start..<(start + 8)] + changes[(start + 8)...])
    }

    func testMarks() throws {
        for kind in SchedulerInstance.Kind.allCases {
            let scheduler = try told(kind, pods: 2)
            let (first, _) = try scheduler.exportBase()
            let (second, _) = try scheduler.exportBase()
            XCTAssertNotEqual(first, second)
            XCTAssertNotEqual(second, 0)
            for mark in [0, first, second + 1, .max] {
                XCTAssertThrowsError(try scheduler.exportChanges(since: mark), "\(kind): \(mark)") {
                    XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_NOT_FOUND, "\(kind)")
                }
                try scheduler.exportEnd(mark)
            }
            _ = try scheduler.exportChanges(since: second)
            try scheduler.exportEnd(second)
            XCTAssertThrowsError(try scheduler.exportChanges(since: second), "\(kind)")
            // Nobody asks for changes after deactivate.
            let (third, _) = try scheduler.exportBase()
            try scheduler.deactivate()
            try scheduler.activate()
            XCTAssertThrowsError(try scheduler.exportChanges(since: third), "\(kind)")
        }
    }

    func testChangesThatCannotBeReadChangeNothing() throws {
        for kind in SchedulerInstance.Kind.allCases {
            let old = try told(kind, pods: 5)
            let (new, mark) = try follower(of: old, kind)
            try old.client.podRemove("p1")
            try old.client.nodeRemove("n2")
            _ = try old.client.schedule(Make.pod(requests: ["cpu": "10m"]), "more")
            let changes = try old.exportChanges(since: mark)
            let before = try new.exportState()
            let rows: [(String, [UInt8], Int32)] = [
                ("nothing", [], HOSTD_ERROR_VERSION),
                ("another format", Array("com.example.state/1\n".utf8), HOSTD_ERROR_VERSION),
                ("cut", Array(changes.dropLast()), HOSTD_ERROR_INVALID_ARGUMENT),
                ("an empty record", changes + [0, 0, 0, 0], HOSTD_ERROR_INVALID_ARGUMENT),
                ("without a revision", Array(changes.prefix(26)), HOSTD_ERROR_INVALID_ARGUMENT),
            ]
            for (name, bytes, code) in rows {
                XCTAssertThrowsError(try new.importChanges(bytes), "\(kind): \(name)") {
                    XCTAssertEqual(($0 as? PluginError)?.code, code, "\(kind): \(name)")
                }
                XCTAssertEqual(try new.exportState(), before, "\(kind): \(name)")
            }
            try new.importChanges(changes + [3, 0, 0, 0, 200, 1, 2])
            XCTAssertEqual(try new.canonicalState(), try old.canonicalState(), "a record of an unknown kind is skipped")
        }
    }

    /// Those who are not active hand out no base, and take no changes.
    func testOutOfOrder() throws {
        let scheduler = try SchedulerInstance(.binPack)
        XCTAssertThrowsError(try scheduler.exportBase())
        XCTAssertThrowsError(try scheduler.importChanges(scheduler.exportState()))
        try scheduler.exportEnd(0)
    }
}
