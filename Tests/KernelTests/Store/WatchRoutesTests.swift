import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// Routing finds each watch that wants an event, and visits as few of the others as its index allows.
final class WatchRoutesTests: XCTestCase {
    private let dispatchers = WorkerPool(name: "test-watch", maximum: 1)
    private lazy var hub = WatchHub(
        tree: StateTree(), lock: ReadWriteLock(), dispatchers: dispatchers, queueLimit: 1 << 20)

    override func tearDown() { dispatchers.close() }

    private func watch(_ prefix: String, _ selector: String = "") throws -> Watch {
        Watch(
            handle: 0, prefix: Array(prefix.utf8), selector: try IndexSelector(selector), from: 0, hub: hub,
            sink: { _, _ in })
    }

    private func record(_ kind: UInt32, _ key: String, _ index: [String: String]) throws -> Record {
        let key = Array(key.utf8)
        let pairs = indexBytes(index)
        return try key.withUnsafeBytes { key in
            try pairs.withUnsafeBytes { try Record.make(kind: kind, key: key, index: $0) }
        }
    }

    private func event(_ key: String, _ index: [String: String], previous: [String: String]? = nil) throws -> Event {
        Event(
            record: try record(Record.Kind.put, key, index),
            previous: try previous.map { try record(Record.Kind.put, key, $0) })
    }

    func testWhatAnEventVisits() throws {
        let rows: [(prefix: String, selector: String, isVisited: Bool, reason: String)] = [
            ("pods/", "", true, "the whole resource"),
            ("pods/d/", "", true, "the namespace"),
            ("pods/e/", "", false, "another namespace"),
            ("pods/", ".spec.nodeName=n1", true, "the node"),
            ("pods/", ".spec.nodeName=n2", false, "another node's watch costs nothing"),
            ("pods/d/", "app=web", true, "namespace and label"),
            ("pods/e/", "app=web", false, "the label in another namespace"),
            ("pods/d/", ".metadata.name=a", true, "a name"),
            ("pods/d/", ".metadata.name=b", false, "another name"),
            ("pods/", "app in (web,db)", true, "one of a set"),
            ("pods/", "app in (db,cache)", false, "none of a set"),
            ("pods/d/", "app in (web,db)", true, "one of a set within the namespace"),
            ("pods/", "tier", false, "a label that is not there"),
            ("pods/", "app", true, "a label that is there"),
            ("pods/", "weight>3", false, "a number that is not there"),
            ("pods/", "app!=db", true, "an exclusion cannot be looked up"),
            ("pods/e/", "app!=db", false, "but its namespace can"),
            ("pods/", "!tier", true, "an absence cannot be looked up"),
            ("pods/", "app!=db,.spec.nodeName=n2", false, "the requirement that can be looked up decides"),
        ]
        let event = try event("pods/d/a", ["app": "web", ".spec.nodeName": "n1", ".metadata.name": "a"])
        defer { event.release() }
        for row in rows {
            var routes = WatchRoutes()
            let watch = try watch(row.prefix, row.selector)
            routes.insert(watch)
            var visited = false
            routes.visit(event) { visited = visited || $0 === watch }
            XCTAssertEqual(visited, row.isVisited, "\(row.prefix) \(row.selector): \(row.reason)")
            routes.remove(watch)
            XCTAssertTrue(routes.isEmpty, "\(row.prefix) \(row.selector)")
        }
    }

    func testAWatchOfTheOldValueIsVisitedToo() throws {
        let event = try event("pods/d/a", [".spec.nodeName": "n2"], previous: [".spec.nodeName": "n1"])
        defer { event.release() }
        var routes = WatchRoutes()
        let old = try watch("pods/", ".spec.nodeName=n1")
        routes.insert(old)
        var found = 0
        routes.visit(event) { if $0 === old { found += 1 } }
        XCTAssertEqual(found, 1)
        XCTAssertEqual(old.interest(in: event), HOSTD_STORE_RECORD_LEFT | HOSTD_STORE_RECORD_HAS_PREVIOUS)
    }

    func testAmongRequirementsTheLeastSharedOneIsTaken() throws {
        var routes = WatchRoutes()
        for node in 0..<1000 { routes.insert(try watch("pods/", "phase=Running,.spec.nodeName=n\(node)")) }
        let event = try event("pods/d/a", ["phase": "Running", ".spec.nodeName": "n7"])
        defer { event.release() }
        var visited = 0
        routes.visit(event) { _ in visited += 1 }
        XCTAssertLessThanOrEqual(visited, 3, "a thousand share the phase, one the node")
    }

    /// Any selector, any event: who wants it is visited.
    func testNoWatchThatWantsAnEventIsMissed() throws {
        var random = SeededGenerator(seed: 5)
        let names = ["app", "tier", ".spec.nodeName"]
        let values = ["a", "b", "c", "4"]
        func pick(_ list: [String]) -> String { list[Int.random(in: 0..<list.count, using: &random)] }
        func requirement() -> String {
            let name = pick(names)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: return "\(name)=\(pick(values))"
            case 1: return "\(name)!=\(pick(values))"
            case 2: return "\(name) in (\(pick(values)),\(pick(values)))"
            case 3: return "\(name) notin (\(pick(values)))"
            case 4: return name
            case 5: return "!\(name)"
            default: return "\(name)>3"
            }
        }
        func index() -> [String: String] {
            var index: [String: String] = [:]
            for name in names where Bool.random(using: &random) { index[name] = pick(values) }
            return index
        }
        for _ in 0..<30 {
            var routes = WatchRoutes()
            var watches: [Watch] = []
            for _ in 0..<60 {
                let parts = (0..<Int.random(in: 0...3, using: &random)).map { _ in requirement() }
                let watch = try watch(pick(["pods/", "pods/d/", "pods/e/"]), parts.joined(separator: ","))
                routes.insert(watch)
                watches.append(watch)
            }
            for gone in watches.prefix(15) { routes.remove(gone) }
            watches.removeFirst(15)
            for _ in 0..<40 {
                let event = try event(
                    pick(["pods/d/x", "pods/e/x"]), index(), previous: Bool.random(using: &random) ? index() : nil)
                var visited: Set<ObjectIdentifier> = []
                routes.visit(event) { visited.insert(ObjectIdentifier($0)) }
                for watch in watches where watch.interest(in: event) != nil {
                    XCTAssertTrue(visited.contains(ObjectIdentifier(watch)), "\(watch.selector) is missed")
                }
                event.release()
            }
            for watch in watches { routes.remove(watch) }
            XCTAssertTrue(routes.isEmpty)
        }
    }
}
