import Objects
import XCTest

@testable import API

/// Versions of a custom resource that a webhook converts.
final class ConversionWebhookTests: XCTestCase {
    private var server: TestServer!
    private var webhook: ConversionServer!
    private let first = CustomDefinitions.widgetsPath
    private let second = "/apis/example.com/v2/namespaces/default/widgets"

    override func setUpWithError() throws {
        server = try TestServer()
        webhook = try ConversionServer()
        let answer = try server.request(
            "POST", CustomDefinitions.path,
            CustomDefinitions.widgets { [webhook] object in
                var other = object["spec"]["versions"][0]
                other["name"] = "v2"
                other["storage"] = false
                other["schema"]["openAPIV3Schema"]["properties"]["spec"] = [
                    "type": "object",
                    "properties": [
                        "dimensions": ["type": "object", "properties": ["size": ["type": "integer", "maximum": 10]]],
                        "color": ["type": "string"], "unit": ["type": "string", "default": "cm"],
                    ],
                ]
                object["spec"]["versions"].append(other)
                object["spec"]["conversion"] = webhook?.conversion() ?? .null
            })
        XCTAssertEqual(answer.status, 201, String(decoding: answer.body, as: UTF8.self))
    }

    override func tearDownWithError() throws {
        try webhook.stop()
        try server.stop()
    }

    func testObjectsAreConvertedBothWays() throws {
        XCTAssertEqual(try server.request("POST", first, CustomDefinitions.widget("a", ["size": 3])).status, 201)
        let read = try server.request("GET", second + "/a").json
        XCTAssertEqual(read.apiVersion, "example.com/v2")
        XCTAssertEqual(read["spec"], ["color": "red", "dimensions": ["size": 3], "unit": "cm"])
        XCTAssertEqual(read.annotations["converted"], "yes", "annotations are the webhook's to change")

        var wanted = CustomDefinitions.widget("b", ["dimensions": ["size": 4]])
        wanted.apiVersion = "example.com/v2"
        XCTAssertEqual(try server.request("POST", second, wanted).json["spec"]["dimensions"]["size"], 4)
        let record = try XCTUnwrap(try server.store.get("widgets.example.com/default/b")).object()
        XCTAssertEqual(record.apiVersion, "example.com/v1", "it lies in the storage version")
        XCTAssertEqual(record["spec"]["size"], 4)

        let patched = try server.request(
            "PATCH", second + "/a", ["spec": ["dimensions": ["size": 5]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(try patched.json["spec"]["dimensions"]["size"], 5)
        XCTAssertEqual(try server.request("GET", first + "/a").json["spec"]["size"], 5)
        wanted["spec"]["dimensions"]["size"] = 11
        XCTAssertEqual(try server.request("PUT", second + "/b", wanted).status, 422, "each version has its own rules")
        XCTAssertEqual(try server.request("DELETE", second + "/b").status, 200)
    }

    func testAListIsOneCall() throws {
        for name in ["a", "b", "c"] {
            _ = try server.request("POST", first, CustomDefinitions.widget(name, ["size": 3]))
        }
        let before = webhook.calls
        let list = try server.request("GET", second).json
        XCTAssertEqual(list["items"].arrayValue.map { $0["spec"]["dimensions"]["size"] }, [3, 3, 3])
        XCTAssertEqual(webhook.calls, before + 1)
        _ = try server.request("GET", first)
        XCTAssertEqual(webhook.calls, before + 1, "what lies in the version asked for needs none")
        let table = try server.request(
            "GET", second, headers: ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"]
        ).json
        XCTAssertEqual(table["rows"].count, 3)
    }

    func testWatchesAreConverted() throws {
        _ = try server.request("POST", first, CustomDefinitions.widget("a", ["size": 3]))
        let version = try server.request("GET", first).json.metadata["resourceVersion"].stringValue ?? ""
        _ = try server.request("POST", first, CustomDefinitions.widget("b", ["size": 4]))
        _ = try server.request("DELETE", first + "/b")
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(second)?watch=true&timeoutSeconds=600&resourceVersion=\(version) HTTP/1.1\r\nHost: a\r\n"
                + "Authorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).status, 200)
        let events = try (0..<2).map { _ in try XCTUnwrap(try client.event()) }
        XCTAssertEqual(events.map { $0["type"].stringValue }, ["ADDED", "DELETED"])
        XCTAssertEqual(events.map { $0["object"]["spec"]["dimensions"]["size"] }, [4, 4])
    }

    /// Each version has selectors of its own, which find what the webhook makes of the objects.
    func testFieldsOfEachVersion() throws {
        _ = try server.request("POST", first, CustomDefinitions.widget("before", ["size": 3]))
        let selectable: JSON = [
            ["op": "add", "path": "/spec/versions/0/selectableFields", "value": [["jsonPath": ".spec.size"]]],
            [
                "op": "add", "path": "/spec/versions/1/selectableFields",
                "value": [["jsonPath": ".spec.dimensions.size"], ["jsonPath": ".spec.unit"]],
            ],
        ]
        let changed = try server.request(
            "PATCH", CustomDefinitions.path + "/widgets.example.com", selectable,
            headers: ["Content-Type": "application/json-patch+json"])
        XCTAssertEqual(changed.status, 200, changed.text)
        var later = CustomDefinitions.widget("later", ["dimensions": ["size": 4]])
        later.apiVersion = "example.com/v2"
        XCTAssertEqual(try server.request("POST", second, later).status, 201)
        XCTAssertEqual(
            try server.request("POST", first, CustomDefinitions.widget("third", ["size": 3])).status, 201)
        let rows: [(path: String, field: String, names: [String]?, reason: String)] = [
            (first, "spec.size%3D3", ["before", "third"], "the stored version"),
            (second, "spec.dimensions.size%3D3", ["before", "third"], "what was there before is found, too"),
            (second, "spec.dimensions.size%3D4,spec.unit%3Dcm", ["later"], "and by the version's defaults"),
            (second, "spec.dimensions.size%21%3D4", ["before", "third"], "all but"),
            (first, "spec.dimensions.size%3D4", nil, "a field of the other version"),
            (second, "spec.size%3D3", nil, "the same the other way"),
        ]
        for row in rows {
            let list = try server.request("GET", "\(row.path)?fieldSelector=\(row.field)")
            XCTAssertEqual(list.status, row.names == nil ? 400 : 200, "\(row.reason): \(list.text)")
            guard let names = row.names else { continue }
            XCTAssertEqual(try list.json["items"].arrayValue.map(\.name), names, row.reason)
        }

        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(second)?watch=true&timeoutSeconds=600&fieldSelector=spec.dimensions.size%3D4 HTTP/1.1\r\n"
                + "Host: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).status, 200)
        for (path, name, patch): (String, String, JSON) in [
            (first, "third", ["spec": ["size": 4]]),
            (second, "later", ["metadata": ["finalizers": ["example.com/wait"]]]),
            (second, "third", ["spec": ["dimensions": ["size": 5]]]),
        ] {
            let patched = try server.request(
                "PATCH", "\(path)/\(name)", patch, headers: ["Content-Type": "application/merge-patch+json"])
            XCTAssertEqual(patched.status, 200, patched.text)
        }
        // It waits for its finalizer, and is still found by what it is in the other version.
        XCTAssertEqual(
            try server.request("DELETE", second + "?fieldSelector=spec.dimensions.size%3D4").status, 200)
        let events = try (0..<5).map { _ in try XCTUnwrap(try client.event()) }
        XCTAssertEqual(
            events.map { "\($0["type"].stringValue ?? "") \($0["object"].name)" },
            ["ADDED later", "ADDED third", "MODIFIED later", "DELETED third", "MODIFIED later"])
        XCTAssertTrue(events.allSatisfy { $0["object"]["spec"]["dimensions"]["size"] == 4 })
    }

    func testAWebhookThatFails() throws {
        _ = try server.request("POST", first, CustomDefinitions.widget("a", ["size": 3]))
        webhook.failure = "cannot convert today"
        let answer = try server.request("GET", second + "/a")
        XCTAssertEqual(answer.status, 500)
        XCTAssertEqual(
            try answer.json["message"],
            "conversion webhook for example.com/v1, Kind=Widget failed: cannot convert today")
        XCTAssertEqual(try answer.json["reason"], .null, "as Kubernetes has it")
        XCTAssertEqual(try server.request("GET", second).status, 500)
        XCTAssertEqual(try server.request("GET", first + "/a").status, 200, "its own version is as it lies")
        XCTAssertEqual(
            try server.request("DELETE", CustomDefinitions.path + "/widgets.example.com").status, 200,
            "nothing has to be converted to be deleted")
        try server.eventually("the definition is gone") {
            try server.request("GET", CustomDefinitions.path + "/widgets.example.com").status == 404
        }
    }

    /// Each failure in Kubernetes' words, whatever is asked for.
    func testWhatAWebhookMayAnswer() throws {
        _ = try server.request("POST", first, CustomDefinitions.widget("a", ["size": 3]))
        let subject = "conversion webhook for example.com/v1, Kind=Widget"
        func review(_ change: @escaping @Sendable (inout JSON) -> Void) -> @Sendable (JSON) -> HTTPResponse {
            { review in
                var answer = review
                answer.removeValue(forKey: "request")
                var object = review["request"]["objects"][0]
                object.apiVersion = review["request"]["desiredAPIVersion"].stringValue ?? ""
                answer["response"] = [
                    "uid": review["request"]["uid"], "result": ["status": "Success"], "convertedObjects": [object],
                ]
                change(&answer)
                return .json(200, answer)
            }
        }
        let rows: [(answer: @Sendable (JSON) -> HTTPResponse, message: String)] = [
            ({ _ in .text(400, "no") }, " failed: the server rejected our request for an unknown reason"),
            (
                { _ in .text(500, "broken") },
                " failed: an error on the server (\"broken\") has prevented the request from succeeding"
            ),
            (review { $0["response"]["convertedObjects"] = [] }, " returned 0 objects, expected 1"),
            (
                review { $0["response"]["result"] = ["status": "Failure"] },
                " failed: response.result.status was 'Failure', not 'Success'"
            ),
            (review { $0.removeValue(forKey: "response") }, " failed: no response provided"),
            (
                review { $0.kind = "Other" },
                " failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got "
                    + "apiextensions.k8s.io/v1, Kind=Other"
            ),
            (
                review { $0["response"]["convertedObjects"][0]["metadata"]["name"] = "b" },
                " returned invalid converted object at index 1: must have the same name: a != b"
            ),
            (
                review { $0["response"]["convertedObjects"][0].kind = "Other" },
                " returned invalid converted object at index 1: invalid kind (expected Widget, received Other)"
            ),
            (
                review { $0["response"]["convertedObjects"][0].apiVersion = "example.com/v1" },
                " returned invalid converted object at index 1: invalid groupVersion (expected example.com/v2, received "
                    + "example.com/v1)"
            ),
        ]
        for row in rows {
            webhook.answer(row.answer)
            let answer = try server.request("GET", second + "/a")
            XCTAssertEqual(answer.status, 500)
            XCTAssertEqual(try answer.json["message"].stringValue, subject + row.message)
        }
        webhook.answer(review { $0["response"]["uid"] = "other" })
        let uid = try server.request("GET", second + "/a").json["message"].stringValue ?? ""
        XCTAssertTrue(uid.hasPrefix(subject + " failed: expected response.uid=\""), uid)
        XCTAssertTrue(uid.hasSuffix("\", got \"other\""), uid)
        webhook.answer(review { $0["response"]["convertedObjects"][0]["metadata"]["uid"] = "other" })
        var wanted = CustomDefinitions.widget("b", ["dimensions": ["size": 4]])
        wanted.apiVersion = "example.com/v2"
        let made = try server.request("POST", second, wanted)
        XCTAssertEqual(made.status, 500)
        XCTAssertTrue(made.text.contains("must have the same UID"), made.text)
    }

    /// The webhook says which reviews it speaks; those of v1beta1 need not say what they answer.
    func testReviewsOfTheOlderVersion() throws {
        _ = try server.request("POST", first, CustomDefinitions.widget("a", ["size": 3]))
        let changed = try server.request(
            "PATCH", CustomDefinitions.path + "/widgets.example.com",
            ["spec": ["conversion": webhook.conversion(versions: ["v7", "v1beta1", "v1"])]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(changed.status, 200, changed.text)
        webhook.answer { review in
            guard review.apiVersion == "apiextensions.k8s.io/v1beta1" else { return .text(400, "not v1beta1") }
            var object = review["request"]["objects"][0]
            object.apiVersion = "example.com/v2"
            return .json(200, ["response": ["result": ["status": "Success"], "convertedObjects": [object]]])
        }
        let answer = try server.request("GET", second + "/a")
        XCTAssertEqual(answer.status, 200, answer.text)
    }

    func testACertificateThatIsNotTrusted() throws {
        _ = try server.request("POST", first, CustomDefinitions.widget("a", ["size": 3]))
        let other = try ConversionServer()
        defer { XCTAssertNoThrow(try other.stop()) }
        var conversion = webhook.conversion()
        conversion["webhook"]["clientConfig"]["caBundle"] = other.conversion()["webhook"]["clientConfig"]["caBundle"]
        _ = try server.request(
            "PATCH", CustomDefinitions.path + "/widgets.example.com", ["spec": ["conversion": conversion]],
            headers: ["Content-Type": "application/merge-patch+json"])
        let message = try server.request("GET", second + "/a").json["message"].stringValue ?? ""
        XCTAssertTrue(message.contains("failed to verify certificate"), message)
    }
}
