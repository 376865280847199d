import Objects
import XCTest

@testable import API

/// Who may have devices for administration, and who may write which part of a claim's status.
final class DeviceAccessTests: XCTestCase {
    private static let root = "/apis/resource.k8s.io/v1/namespaces/default"
    private static let account = "system:serviceaccount:default:driver"
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func devices(_ admin: Bool) -> JSON {
        let exactly: JSON =
            admin ? ["deviceClassName": "gpu", "adminAccess": true] : ["deviceClassName": "gpu"]
        return ["devices": ["requests": [["name": "one", "exactly": exactly]]]]
    }

    private func text(_ path: String, _ verb: String) -> String {
        "\(path).adminAccess: \(verb): admin access to devices requires the `resource.kubernetes.io/admin-access: true` "
            + "label on the containing namespace"
    }

    func testAdministration() throws {
        func create(_ name: String) throws -> [Int] {
            let claim = try server.request(
                "POST", Self.root + "/resourceclaims",
                ["kind": "ResourceClaim", "metadata": ["name": .string(name)], "spec": devices(true)])
            let template = try server.request(
                "POST", Self.root + "/resourceclaimtemplates",
                ["kind": "ResourceClaimTemplate", "metadata": ["name": .string(name)], "spec": ["spec": devices(true)]])
            if claim.status == 422 {
                for answer in [claim, template] {
                    let message = try answer.json["message"].stringValue ?? ""
                    XCTAssertTrue(
                        message.hasSuffix("is invalid: " + text("spec.devices.requests[0]", "Forbidden")), message)
                }
            }
            return [claim.status, template.status]
        }
        XCTAssertEqual(try create("a"), [422, 422])
        let label: JSON = ["metadata": ["labels": ["resource.kubernetes.io/admin-access": "true"]]]
        let merge = ["Content-Type": "application/merge-patch+json"]
        XCTAssertEqual(
            try server.request("PATCH", "/api/v1/namespaces/default", label, headers: merge).status, 200)
        XCTAssertEqual(try create("a"), [201, 201])
    }

    private func allow(_ name: String, _ verbs: String, _ resources: String, names: String = "") throws {
        let roles = "/apis/rbac.authorization.k8s.io/v1"
        let rule = BootstrapPolicy.allow(verbs, "resource.k8s.io", resources, names: names)
        let role: JSON = ["kind": "ClusterRole", "metadata": ["name": .string(name)], "rules": .array([rule])]
        XCTAssertEqual(try server.request("POST", roles + "/clusterroles", role).status, 201)
        let subject: JSON = ["kind": "ServiceAccount", "name": "driver", "namespace": "default"]
        let binding: JSON = [
            "kind": "ClusterRoleBinding", "metadata": ["name": .string(name)], "subjects": .array([subject]),
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(name)],
        ]
        XCTAssertEqual(try server.request("POST", roles + "/clusterrolebindings", binding).status, 201)
        try server.eventually("the role counts") {
            let review: JSON = [
                "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
                "spec": [
                    "user": .string(Self.account),
                    "resourceAttributes": [
                        "verb": .string(String(verbs.split(separator: " ")[0])), "group": "resource.k8s.io",
                        "resource": "resourceclaims", "name": .string(names),
                        "subresource": .string(String(resources.split(separator: "/").last ?? "")),
                    ],
                ],
            ]
            let answer = try server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
            return try answer.json["status"]["allowed"] == true
        }
    }

    func testPartsOfTheStatus() throws {
        let claims = Self.root + "/resourceclaims"
        let claim: JSON = ["kind": "ResourceClaim", "metadata": ["name": "c"], "spec": devices(false)]
        XCTAssertEqual(try server.request("POST", claims, claim).status, 201)
        func term(_ node: String) -> JSON {
            [
                "nodeSelectorTerms": [
                    ["matchFields": [["key": "metadata.name", "operator": "In", "values": .array([.string(node)])]]]
                ]
            ]
        }
        let device: JSON = ["driver": "a.example", "pool": "p", "device": "d"]
        var result = device
        result["request"] = "one"
        let allocation: JSON = ["devices": ["results": .array([result])], "nodeSelector": term("worker")]
        func put(_ status: JSON, as user: String? = DeviceAccessTests.account, node: String = "") throws -> (
            Int, String
        ) {
            var object = try server.request("GET", claims + "/c").json
            object["status"] = status
            var headers: [String: String] = [:]
            if let user { headers["Impersonate-User"] = user }
            if !node.isEmpty { headers["Impersonate-Extra-Authentication.kubernetes.io%2fnode-name"] = node }
            let answer = try server.request("PUT", claims + "/c/status", object, headers: headers)
            return (answer.status, answer.text)
        }
        try allow("claim-status", "update patch", "resourceclaims/status")
        let (refused, why) = try put(["allocation": allocation])
        XCTAssertEqual(refused, 422)
        XCTAssertTrue(
            why.contains(
                #"Forbidden: changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"update\" permission: resourceclaims.resource.k8s.io is forbidden: User \"system:serviceaccount:default:driver\" cannot update resource \"resourceclaims/binding\""#
            ), why)
        XCTAssertEqual(try put(["allocation": allocation], as: nil).0, 200)
        let told: JSON = ["allocation": allocation, "devices": .array([device])]
        let (driverRefused, driverWhy) = try put(told)
        XCTAssertEqual(driverRefused, 422)
        XCTAssertTrue(
            driverWhy.contains(
                #"changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[arbitrary-node:update]\""#
            ),
            driverWhy)
        try allow("claim-driver", "associated-node:update", "resourceclaims/driver", names: "a.example")
        XCTAssertEqual(try put(told, node: "other").0, 422, "a pod of another node")
        XCTAssertEqual(try put(told, node: "worker").0, 200)
        XCTAssertEqual(
            try put(["devices": .array([device])], node: "worker").0, 422, "it may not take the devices away")
        let (freed, text) = try put(["devices": .array([device])], as: nil)
        XCTAssertEqual(freed, 200)
        XCTAssertFalse(text.contains("a.example"), "what was said of devices goes with them: \(text)")
    }

    func testALowercaseNameIsAdvised() throws {
        let slice: JSON = [
            "kind": "ResourceSlice", "metadata": ["name": "s"],
            "spec": [
                "driver": "GPU.example", "nodeName": "n",
                "pool": ["name": "n", "generation": 0, "resourceSliceCount": 1], "devices": [],
            ],
        ]
        let answer = try server.request("POST", "/apis/resource.k8s.io/v1/resourceslices", slice)
        XCTAssertEqual(answer.status, 201, answer.text)
        XCTAssertEqual(
            answer.headers["warning"],
            #"299 - "spec.driver: driver names should be lowercase; \"GPU.example\" contains uppercase characters""#)
    }
}
