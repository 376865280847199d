import Objects
import PluginAPI
import Synchronization
import XCTest

@testable import Controllers
@testable import PluginKit

/// What is done while leading, begun and ended as the election says.
final class LeadershipTests: XCTestCase {
    /// What happened, in order, and the way to wait for it.
    private final class Course: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var steps: [String] = []
        private var failures = 0
        private var hear: (@Sendable (LeaderElection.News) -> Void)?

        func note(_ step: String) {
            monitor.locked {
                steps.append(step)
                monitor.broadcast()
            }
        }

        func wait(_ expected: [String], file: StaticString = #filePath, line: UInt = #line) {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            let deadline = UInt64(now.tv_sec + 20) * 1_000_000_000
            monitor.locked {
                while steps.count < expected.count, monitor.wait(until: deadline) {}
                XCTAssertEqual(steps, expected, file: file, line: line)
            }
        }

        func failNextStarts(_ count: Int) { monitor.locked { failures = count } }

        func begin(_ fence: WriteFence) throws -> any LeaderWork {
            let fails = monitor.locked { () -> Bool in
                defer { failures = max(0, failures - 1) }
                return failures > 0
            }
            note(fails ? "failed \(fence.revision)" : "begun \(fence.key) \(fence.revision)")
            if fails { throw PluginError.unavailable("the store is not there") }
            return Work(course: self, token: fence.revision)
        }

        func leadership() throws -> Leadership {
            try Leadership(Self.log, begin: { try self.begin($0) }) { hear in
                self.monitor.locked { self.hear = hear }
                return { self.note("resigned") }
            }
        }

        func tell(_ news: LeaderElection.News) { monitor.locked { hear }?(news) }

        private static var log: Log {
            let table = UnsafeMutablePointer<hostd_log_1>.allocate(capacity: 1)
            memset(table, 0, MemoryLayout<hostd_log_1>.size)
            table.pointee.log = { _, _, _, _, _, _, _ in HOSTD_OK }
            return Log(table)
        }
    }

    private final class Work: LeaderWork {
        let course: Course
        let token: UInt64
        init(course: Course, token: UInt64) {
            self.course = course
            self.token = token
        }
        func stop(isOrderly: Bool) { course.note("stopped \(token)\(isOrderly ? " in order" : "")") }
    }

    private let key = "leases.coordination.k8s.io/kube-system/hostd-controllers"

    func testAStandbyDoesNothing() throws {
        let course = Course()
        try course.leadership().end()
        course.wait(["resigned"])
    }

    func testATermIsFencedByItsTokenAndEndsAtOnce() throws {
        let course = Course()
        let leadership = try course.leadership()
        course.tell(.leading(token: 5))
        course.wait(["begun \(key) 5"])
        course.tell(.following(reason: "the lease has ended"))
        course.wait(["begun \(key) 5", "stopped 5"])
        course.tell(.leading(token: 9))
        course.wait(["begun \(key) 5", "stopped 5", "begun \(key) 9"])
        leadership.end()
        leadership.end()
        course.wait(["begun \(key) 5", "stopped 5", "begun \(key) 9", "stopped 9 in order", "resigned", "resigned"])
        course.tell(.leading(token: 10))
    }

    func testANewTermOfTheSameCandidateBeginsAnew() throws {
        let course = Course()
        let leadership = try course.leadership()
        course.tell(.leading(token: 5))
        course.wait(["begun \(key) 5"])
        course.tell(.leading(token: 6))
        course.wait(["begun \(key) 5", "stopped 5", "begun \(key) 6"])
        leadership.end()
    }

    func testWorkThatCannotBeginIsTriedAgain() throws {
        let course = Course()
        course.failNextStarts(1)
        let leadership = try course.leadership()
        course.tell(.leading(token: 5))
        course.wait(["failed 5", "begun \(key) 5"])
        leadership.end()
    }

    func testOptions() throws {
        let rows: [(options: JSON, engine: String, elects: Bool?, why: String)] = [
            ([:], "embedded", false, "only one hostd can open it: nothing is to be written"),
            ([:], "etcd", true, "others may share it"),
            ([:], "com.example.store", true, "what is not known may be shared"),
            (["leaderElection": "always"], "embedded", true, "asked for"),
            (["leaderElection": "never"], "etcd", false, "asked for"),
            (["leaderElection": "sometimes"], "etcd", nil, "no mode"),
            (["leaseSeconds": 0], "etcd", nil, "too short"),
            (["leaseSeconds": 3601], "etcd", nil, "too long"),
        ]
        for row in rows {
            guard let elects = row.elects else {
                XCTAssertThrowsError(try ElectionOptions(row.options), row.why)
                continue
            }
            let options = try ElectionOptions(row.options)
            XCTAssertEqual(options.holdsElection(over: ["engine": .string(row.engine)]), elects, row.why)
            XCTAssertEqual(options.leaseMilliseconds, 10_000)
        }
    }

    func testTheKeyHoldsALease() throws {
        let lease = LeaseObject.make(name: Leadership.name, try ElectionOptions(["leaseSeconds": 15]))
        let object = try JSON(parsing: lease.value)
        XCTAssertEqual(object.kind, "Lease")
        XCTAssertEqual(object["spec"]["holderIdentity"], .string(lease.holder))
        XCTAssertEqual(object["spec"]["leaseDurationSeconds"], 15)
        XCTAssertEqual("leases.coordination.k8s.io/\(object.namespace)/\(object.name)", Leadership.key)
        XCTAssertTrue(
            lease.value.starts(
                with: Array("{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{".utf8)),
            "where a reader puts the resource version")
        XCTAssertEqual(
            String(decoding: lease.index, as: UTF8.self),
            ".metadata.name\0hostd-controllers\0.metadata.namespace\0kube-system\0")
    }
}
