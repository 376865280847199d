import Objects
import PluginKit
import XCTest

@testable import API

/// Events on their way into the API.
final class EventRecorderTests: XCTestCase {
    private var server: TestServer!
    private let path = "/api/v1/namespaces/default/events"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func pod(_ name: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": ["name": .string(name), "namespace": "default", "uid": .string("uid-\(name)")],
        ]
    }

    private func events() throws -> [JSON] { try server.request("GET", path).json["items"].arrayValue }

    func testAllAreWrittenWhateverComesAtOnce() throws {
        let recorder = try EventRecorder(server.kit, component: "tester")
        for number in 0..<100 {
            recorder.record(pod("p\(number)"), .normal, reason: "Tested", message: "number \(number)")
        }
        try server.eventually("100 events") { try events().count == 100 }
        XCTAssertEqual(Set(try events().map { $0["involvedObject"]["name"] }).count, 100)
        XCTAssertEqual(Set(try events().map { $0["source"]["component"] }), ["tester"])
        recorder.stop()
    }

    func testRepeatedOnesCountUp() throws {
        let recorder = try EventRecorder(server.kit, component: "tester")
        for _ in 0..<3 { recorder.record(pod("p"), .warning, reason: "Tested", message: "again") }
        try server.eventually("a count of 3") { try events().map { $0["count"] } == [3] }
        recorder.record(pod("p"), .warning, reason: "Tested", message: "again")
        try server.eventually("a count of 4") { try events().map { $0["count"] } == [4] }
        // What has expired meanwhile begins anew, with its count.
        let name = try XCTUnwrap(try events().first).name
        XCTAssertEqual(try server.request("DELETE", "\(path)/\(name)").status, 200)
        recorder.record(pod("p"), .warning, reason: "Tested", message: "again")
        try server.eventually("a count of 5") { try events().map { $0["count"] } == [5] }
        recorder.stop()
    }

    func testOneThatIsRefusedKeepsNoOtherBack() throws {
        let recorder = try EventRecorder(server.kit, component: "tester")
        var nowhere = pod("p0")
        nowhere["metadata"]["namespace"] = "nowhere"
        recorder.record(nowhere, .normal, reason: "Tested", message: "refused")
        for number in 1..<5 { recorder.record(pod("p\(number)"), .normal, reason: "Tested", message: "taken") }
        try server.eventually("4 events") { try events().count == 4 }
        recorder.stop()
    }

    func testWhatWaitsAtAnOrderlyEndIsWritten() throws {
        let recorder = try EventRecorder(server.kit, component: "tester")
        for number in 0..<40 { recorder.record(pod("p\(number)"), .normal, reason: "Tested", message: "last words") }
        recorder.stop(writesPending: true)
        XCTAssertEqual(try events().count, 40)
        recorder.record(pod("late"), .normal, reason: "Tested", message: "too late")
        recorder.stop(writesPending: true)
        XCTAssertEqual(try events().count, 40, "nothing is taken after the end")
    }
}
