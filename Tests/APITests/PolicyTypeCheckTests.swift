import Objects
import XCTest

@testable import API

/// `status.typeChecking` of validating policies.
final class PolicyTypeCheckTests: XCTestCase {
    private static let path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func rule(_ group: JSON, _ version: JSON, _ resource: JSON) -> JSON {
        [
            "apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"],
            "resources": [resource],
        ]
    }

    /// The status once the server has looked at the policy.
    private func status(_ name: String, _ spec: JSON, rules: [JSON]) throws -> JSON {
        var spec = spec
        spec["matchConstraints"] = ["resourceRules": .array(rules)]
        let created = try server.request(
            "POST", Self.path,
            [
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                "metadata": ["name": .string(name)], "spec": spec,
            ])
        XCTAssertEqual(created.status, 201, created.text)
        var status: JSON = nil
        try server.eventually("the types of \(name) are checked") {
            status = try self.server.request("GET", "\(Self.path)/\(name)").json["status"]
            return status["typeChecking"].exists
        }
        XCTAssertEqual(status["observedGeneration"], 1)
        return status["typeChecking"]
    }

    func testWhatIsWarnedOf() throws {
        _ = try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets())
        let deployments = rule("apps", "v1", "deployments")
        let rows:
            [(name: String, spec: JSON, rules: [JSON], warnings: [(field: String, text: String)], reason: String)] = [
                (
                    "right", ["validations": [["expression": "object.spec.replicas > 1"]]], [deployments], [],
                    "as it should be"
                ),
                (
                    "confused",
                    [
                        "validations": [
                            [
                                "expression": "object.spec.replicas > '1'",
                                "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas",
                            ]
                        ]
                    ], [deployments],
                    [
                        (
                            "spec.validations[0].expression",
                            "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'"
                        ),
                        (
                            "spec.validations[0].messageExpression",
                            "found no matching overload for '_+_' applied to '(string, int)'"
                        ),
                    ], "an integer is no string"
                ),
                (
                    "typo",
                    ["validations": [["expression": "true"], ["expression": "has(object.spec.replica)"]]],
                    [deployments],
                    [("spec.validations[1].expression", "undefined field 'replica'")], "a field that there is not"
                ),
                (
                    "two",
                    ["validations": [["expression": "object.spec.template.spec.hostNetwork != object.data.k"]]],
                    [deployments, rule("", "v1", "configmaps")],
                    [("spec.validations[0].expression", "v1, Kind=ConfigMap: ERROR")], "each kind has its own line"
                ),
                (
                    "variables",
                    [
                        "variables": [
                            ["name": "images", "expression": "object.spec.template.spec.containers.map(c, c.image)"]
                        ],
                        "validations": [["expression": "variables.images.all(i, i > 1)"]],
                    ], [deployments],
                    [("spec.validations[0].expression", "'_>_' applied to '(string, int)'")], "variables have types too"
                ),
                (
                    "quantities",
                    [
                        "validations": [
                            [
                                "expression":
                                    "object.spec.template.spec.containers.all(c, !has(c.resources.limits) || c.resources.limits.cpu != '1')"
                            ]
                        ]
                    ], [deployments], [], "a quantity may be a number"
                ),
                (
                    "custom", ["validations": [["expression": "object.spec.size > '1'"]]],
                    [rule("example.com", "v1", "widgets")],
                    [("spec.validations[0].expression", "example.com/v1, Kind=Widget: ERROR")], "a custom resource"
                ),
                (
                    "params",
                    [
                        "paramKind": ["apiVersion": "v1", "kind": "ConfigMap"],
                        "validations": [["expression": "object.spec.replicas < params.data.most"]],
                    ], [deployments],
                    [("spec.validations[0].expression", "'_<_' applied to '(int, string)'")], "parameters have a type"
                ),
                (
                    "anything", ["validations": [["expression": "object.spec.replicas > '1'"]]],
                    [rule("*", "v1", "deployments"), rule("apps", "*", "deployments"), rule("apps", "v1", "*")], [],
                    "no kind is named"
                ),
                (
                    "absent", ["validations": [["expression": "object.spec.replicas > '1'"]]],
                    [rule("example.com", "v1", "nothings"), rule("apps", "v1", "deployments/scale")], [],
                    "what there is not, and parts of objects"
                ),
            ]
        for row in rows {
            let warnings = try status(row.name, row.spec, rules: row.rules)["expressionWarnings"].arrayValue
            XCTAssertEqual(warnings.map { $0["fieldRef"].stringValue }, row.warnings.map(\.field), row.reason)
            for (warning, wanted) in zip(warnings, row.warnings) {
                let text = warning["warning"].stringValue ?? ""
                XCTAssertTrue(text.contains(wanted.text), "\(row.reason): \(text)")
            }
        }
    }

    func testEachGenerationIsLookedAt() throws {
        let spec: JSON = ["validations": [["expression": "object.spec.replicas > '1'"]]]
        XCTAssertEqual(
            try status("a", spec, rules: [rule("apps", "v1", "deployments")])["expressionWarnings"].count, 1)
        let patch: JSON = ["spec": ["validations": [["expression": "object.spec.replicas > 1"]]]]
        let headers = ["Content-Type": "application/merge-patch+json"]
        XCTAssertEqual(try server.request("PATCH", Self.path + "/a", patch, headers: headers).status, 200)
        try server.eventually("the corrected policy is looked at") {
            let status = try self.server.request("GET", Self.path + "/a").json["status"]
            return status["observedGeneration"] == 2 && status["typeChecking"] == [:]
        }
    }
}
