import Objects
import XCTest

@testable import API

/// The annotation that counts the templates of a daemon set.
final class TemplateGenerationTests: XCTestCase {
    func testItCountsTemplates() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let path = "/apis/apps/v1/namespaces/default/daemonsets"
        let labels: JSON = ["matchLabels": ["a": "b"]]
        let container: JSON = ["name": "c", "image": "i"]
        let template: JSON = ["metadata": ["labels": ["a": "b"]], "spec": ["containers": .array([container])]]
        let set: JSON = [
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": ["name": "d"],
            "spec": ["selector": labels, "template": template],
        ]
        func number(_ object: JSON) -> String? { object.annotations[TemplateGeneration.annotation].stringValue }
        let created = try server.request("POST", path + "?fieldManager=create", set).json
        XCTAssertEqual(number(created), "1")
        let fields = created.metadata["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"]
        XCTAssertEqual(fields, [".": [:], "f:\(TemplateGeneration.annotation)": [:]])

        let merge = ["Content-Type": "application/merge-patch+json"]
        let same = try server.request("PATCH", path + "/d", ["spec": ["minReadySeconds": 3]], headers: merge).json
        XCTAssertEqual(number(same), "1")
        XCTAssertEqual(same.generation, 2)
        let image: JSON = ["spec": ["template": ["spec": ["priority": .null, "terminationGracePeriodSeconds": 5]]]]
        let changed = try server.request("PATCH", path + "/d", image, headers: merge).json
        XCTAssertEqual(number(changed), "2")
        XCTAssertEqual(changed.generation, 3)
        // Who says nothing of it, or something else, changes nothing.
        var sent = changed
        sent["metadata"]["annotations"] = [TemplateGeneration.annotation: "9", "mine": "x"]
        sent["metadata"].removeValue(forKey: "managedFields")
        let put = try server.request("PUT", path + "/d", sent).json
        XCTAssertEqual(number(put), "2")
        XCTAssertEqual(put.annotations["mine"], "x")
        sent["metadata"].removeValue(forKey: "annotations")
        sent["metadata"].removeValue(forKey: "resourceVersion")
        XCTAssertEqual(number(try server.request("PUT", path + "/d", sent).json), "2")
        XCTAssertEqual(number(try server.request("PUT", path + "/d/status", sent).json), "2")
        var given = set
        given["metadata"] = ["name": "e", "annotations": [TemplateGeneration.annotation: "7"]]
        XCTAssertEqual(number(try server.request("POST", path, given).json), "7")
    }
}
