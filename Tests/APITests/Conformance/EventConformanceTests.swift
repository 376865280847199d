import Objects
import XCTest

@testable import API

/// Events have two faces, `v1` and `events.k8s.io/v1`, and lose nothing between them.
final class EventConformanceTests: ConformanceCase {
    private static let old = "/api/v1/namespaces/default/events"
    private static let new = "/apis/events.k8s.io/v1/namespaces/default/events"

    func testOldEventsAsNewOnes() throws {
        let object: JSON = ["kind": "Pod", "namespace": "default", "name": "p", "uid": "u", "apiVersion": "v1"]
        let event: JSON = [
            "metadata": ["name": "old"], "involvedObject": object, "reason": "Killing", "message": "it goes",
            "type": "Normal", "count": 3, "source": ["component": "kubelet", "host": "n"],
            "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:06Z",
        ]
        XCTAssertEqual(try ask("POST", Self.old, event).status, 201)
        let shown = try ask("GET", Self.new + "/old").json
        let members: [String: JSON] = [
            "regarding": object, "reason": "Killing", "note": "it goes", "type": "Normal", "deprecatedCount": 3,
            "deprecatedSource": ["component": "kubelet", "host": "n"],
            "deprecatedFirstTimestamp": "2026-01-02T03:04:05Z", "deprecatedLastTimestamp": "2026-01-02T03:04:06Z",
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "involvedObject": .null, "message": .null,
            "count": .null,
        ]
        for (name, value) in members { XCTAssertEqual(shown[name], value, name) }
        for (query, count) in [
            ("involvedObject.name%3Dp", 1), ("involvedObject.name%3Dq", 0), ("reason%3DKilling,type%3DNormal", 1),
            ("source%3Dkubelet", 1), ("involvedObject.uid%3Du,involvedObject.kind%3DPod", 1),
        ] {
            let list = try ask("GET", "\(Self.old)?fieldSelector=\(query)")
            XCTAssertEqual(try list.json["items"].count, count, "\(query): \(list.text)")
        }
    }

    /// What nobody has said of an event is there all the same, in both forms.
    func testWhatIsAlwaysThere() throws {
        let event: JSON = [
            "metadata": ["name": "bare"], "involvedObject": ["kind": "Pod", "namespace": "default", "name": "p"],
        ]
        XCTAssertEqual(try ask("POST", Self.old, event).status, 201)
        let rows: [(path: String, members: [String: JSON])] = [
            (
                Self.old,
                [
                    "source": [:], "reportingComponent": "", "reportingInstance": "", "eventTime": .null,
                    "firstTimestamp": .null, "lastTimestamp": .null,
                ]
            ),
            (
                Self.new,
                [
                    "deprecatedSource": [:], "reportingController": "", "reportingInstance": "", "eventTime": .null,
                    "deprecatedFirstTimestamp": .null, "deprecatedLastTimestamp": .null,
                ]
            ),
        ]
        XCTAssertEqual(try merge(Self.old + "/bare", ["message": "more"]).status, 200)
        for row in rows {
            let shown = try ask("GET", row.path + "/bare").json.objectValue ?? [:]
            for (name, value) in row.members { XCTAssertEqual(shown[name], value, "\(row.path) \(name)") }
        }
        let protobuf = try ask(
            "GET", Self.new + "/bare", headers: ["Accept": "application/vnd.kubernetes.protobuf"])
        XCTAssertEqual(protobuf.status, 200)
    }

    func testNewEventsAsOldOnes() throws {
        let object: JSON = ["kind": "Node", "name": "n"]
        let event: JSON = [
            "metadata": ["name": "new"], "regarding": object, "reason": "Rebooted", "note": "again", "type": "Warning",
            "action": "Reboot", "reportingController": "example.com/c", "reportingInstance": "c-1",
            "eventTime": "2026-01-02T03:04:05.000006Z", "related": ["kind": "Pod", "name": "p"],
            "series": ["count": 2, "lastObservedTime": "2026-01-02T03:04:07.000008Z"],
        ]
        let made = try ask("POST", Self.new, event)
        XCTAssertEqual(made.status, 201, made.text)
        let shown = try ask("GET", Self.old + "/new").json
        let members: [String: JSON] = [
            "involvedObject": object, "message": "again", "reportingComponent": "example.com/c",
            "reportingInstance": "c-1", "eventTime": "2026-01-02T03:04:05.000006Z", "action": "Reboot",
            "related": ["kind": "Pod", "name": "p"],
            "series": ["count": 2, "lastObservedTime": "2026-01-02T03:04:07.000008Z"],
        ]
        for (name, value) in members { XCTAssertEqual(shown[name], value, name) }
        let next = try ask(
            "PATCH", Self.new + "/new",
            ["series": ["count": 3, "lastObservedTime": "2026-01-02T03:04:09.000001Z"]],
            type: "application/strategic-merge-patch+json")
        XCTAssertEqual(next.status, 200, next.text)
        XCTAssertEqual(try next.json["series"]["count"], 3)
        XCTAssertEqual(try next.json["series"]["lastObservedTime"], "2026-01-02T03:04:09.000001Z")
        let found = try ask("GET", "\(Self.new)?fieldSelector=reportingController%3Dexample.com/c").json["items"]
        XCTAssertEqual(found.arrayValue.map(\.name), ["new"])
    }

    /// By the newer group only the series of an event and its metadata change; by the older one everything does.
    func testWhatStays() throws {
        let event: JSON = [
            "metadata": ["name": "stays"], "regarding": ["kind": "Node", "name": "n"], "reason": "R", "note": "n",
            "type": "Normal", "action": "A", "reportingController": "example.com/c", "reportingInstance": "c-1",
            "eventTime": "2026-01-02T03:04:05.000006Z",
        ]
        XCTAssertEqual(try ask("POST", Self.new, event).status, 201)
        for (patch, field): (JSON, String) in [
            (["note": "m"], "message"), (["reportingController": "example.com/d"], "reportingController"),
            (["series": ["count": 1, "lastObservedTime": "2026-01-02T03:04:05.000006Z"]], "series.count"),
        ] {
            let refused = try merge(Self.new + "/stays", patch)
            XCTAssertEqual(refused.status, 422, refused.text)
            XCTAssertEqual(try refused.json["details"]["causes"][0]["field"].stringValue, field)
        }
        XCTAssertEqual(try merge(Self.new + "/stays", ["metadata": ["labels": ["a": "b"]]]).status, 200)
        XCTAssertEqual(try merge(Self.old + "/stays", ["message": "m"]).status, 200)
    }

    func testWhatIsRefused() throws {
        let rows: [(reason: String, change: (String, JSON), field: String)] = [
            ("no action", ("action", ""), "action"), ("no reason", ("reason", ""), "reason"),
            ("no controller", ("reportingController", ""), "reportingController"),
            ("no instance", ("reportingInstance", ""), "reportingInstance"),
            ("another type", ("type", "Odd"), "type"), ("no time", ("eventTime", .null), "eventTime"),
            (
                "a series of one", ("series", ["count": 1, "lastObservedTime": "2026-01-02T03:04:05.000006Z"]),
                "series.count"
            ),
            ("a count of the older form", ("deprecatedCount", 2), "count"),
            ("a long note", ("note", .string(String(repeating: "x", count: 1025))), "message"),
        ]
        for row in rows {
            var event: JSON = [
                "metadata": ["name": "refused"], "regarding": ["kind": "Node", "name": "n"], "reason": "R",
                "note": "n", "type": "Normal", "action": "A", "reportingController": "example.com/c",
                "reportingInstance": "c-1", "eventTime": "2026-01-02T03:04:05.000006Z",
            ]
            event[row.change.0] = row.change.1
            let answer = try ask("POST", Self.new, event)
            XCTAssertEqual(answer.status, 422, "\(row.reason): \(answer.text)")
            XCTAssertEqual(
                try answer.json["details"]["causes"].arrayValue.map { $0["field"].stringValue ?? "" }, [row.field],
                row.reason)
        }
    }
}
