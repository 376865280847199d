import Objects
import XCTest

@testable import API

final class AppArmorAnnotationsTests: XCTestCase {
    private func taken(_ annotation: JSON, pod: JSON = .null, container: JSON = .null, os: JSON = .null) -> (JSON, Int)
    {
        var object: JSON = [
            "metadata": ["name": "p", "annotations": [AppArmorAnnotations.prefix + "c": annotation]],
            "spec": ["containers": [["name": "c"], ["name": "other"]]],
        ]
        if pod.exists { object["spec"]["securityContext"] = ["appArmorProfile": pod] }
        if container.exists { object["spec"]["containers"][0]["securityContext"] = ["appArmorProfile": container] }
        if os.exists { object["spec"]["os"] = ["name": os] }
        let warnings = AppArmorAnnotations.takeOver(into: &object)
        XCTAssertTrue(
            object["spec"]["containers"][1]["securityContext"].isNull, "the other container has no annotation")
        return (object["spec"]["containers"][0]["securityContext"]["appArmorProfile"], warnings.count)
    }

    func testAnnotationsBecomeFields() {
        let rows: [(annotation: JSON, pod: JSON, container: JSON, expected: JSON, warnings: Int, reason: String)] = [
            ("unconfined", .null, .null, ["type": "Unconfined"], 1, "unconfined"),
            ("runtime/default", .null, .null, ["type": "RuntimeDefault"], 1, "the runtime's"),
            (
                "localhost/a/b", .null, .null, ["type": "Localhost", "localhostProfile": "a/b"], 1, "one of the node's"
            ), ("localhost/", .null, .null, .null, 1, "without a name"), ("else", .null, .null, .null, 1, "unknown"),
            ("unconfined", ["type": "Unconfined"], .null, .null, 0, "the pod says the same"),
            ("unconfined", ["type": "RuntimeDefault"], .null, ["type": "Unconfined"], 1, "the pod says otherwise"),
            (
                "unconfined", .null, ["type": "RuntimeDefault"], ["type": "RuntimeDefault"], 0,
                "the container speaks for itself"
            ),
        ]
        for row in rows {
            let (profile, warnings) = taken(row.annotation, pod: row.pod, container: row.container)
            XCTAssertEqual(profile, row.expected, row.reason)
            XCTAssertEqual(warnings, row.warnings, row.reason)
        }
        XCTAssertEqual(taken("unconfined", os: "windows").0, .null)
        var plain: JSON = ["metadata": ["name": "p"], "spec": ["containers": [["name": "c"]]]]
        XCTAssertEqual(AppArmorAnnotations.takeOver(into: &plain), [])
    }

    func testClientsAreWarned() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let answer = try server.request(
            "POST", "/api/v1/namespaces/default/pods",
            [
                "metadata": ["name": "p", "annotations": [AppArmorAnnotations.prefix + "c": "unconfined"]],
                "spec": ["containers": [["name": "c", "image": "i"]]],
            ])
        XCTAssertEqual(answer.status, 201, answer.text)
        XCTAssertEqual(
            try answer.json["spec"]["containers"][0]["securityContext"], ["appArmorProfile": ["type": "Unconfined"]])
        XCTAssertTrue(answer.headers["warning"]?.contains("deprecated since v1.30") == true)
    }
}
