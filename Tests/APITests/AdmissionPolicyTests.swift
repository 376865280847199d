import Objects
import XCTest

@testable import API

/// Policies in CEL, over the API.
final class AdmissionPolicyTests: XCTestCase {
    private static let path = "/apis/admissionregistration.k8s.io/v1"
    private static let configMaps = "/api/v1/namespaces/default/configmaps"
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private static func policy(_ name: String, _ spec: JSON, kind: String = "ValidatingAdmissionPolicy") -> JSON {
        var spec = spec
        if spec["matchConstraints"].isNull {
            spec["matchConstraints"] = [
                "resourceRules": [
                    [
                        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                        "resources": ["configmaps"],
                    ]
                ]
            ]
        }
        return [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string(kind), "metadata": ["name": .string(name)],
            "spec": spec,
        ]
    }

    private func create(_ resource: String, _ object: JSON) throws {
        let answer = try server.request("POST", "\(Self.path)/\(resource)", object)
        XCTAssertEqual(answer.status, 201, answer.text)
    }

    /// A policy and its binding, in force.
    private func enforce(_ name: String, _ spec: JSON, binding: JSON = ["validationActions": ["Deny"]]) throws {
        try create("validatingadmissionpolicies", Self.policy(name, spec))
        try bind(name, binding)
    }

    private func bind(_ name: String, _ spec: JSON, kind: String = "ValidatingAdmissionPolicyBinding") throws {
        var spec = spec
        spec["policyName"] = .string(name)
        let resource = kind == "ValidatingAdmissionPolicyBinding" ? "validating" : "mutating"
        try create(
            "\(resource)admissionpolicybindings",
            [
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string(kind),
                "metadata": ["name": .string(name + "-binding")], "spec": spec,
            ])
    }

    private static func configMap(_ name: String, _ data: JSON, labels: JSON = nil) -> JSON {
        var object: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": data]
        if labels.exists { object["metadata"]["labels"] = labels }
        return object
    }

    /// Tries a write that leaves nothing behind until the server answers with a status: policies come into force with
    /// the event of their creation.
    private func dryRun(_ object: JSON, until status: Int) throws -> TLSClient.Response {
        var answer: TLSClient.Response!
        try server.eventually("a write is answered with \(status)") {
            answer = try self.server.request("POST", Self.configMaps + "?dryRun=All", object)
            return answer.status == status
        }
        return answer
    }

    /// A resource version that a new object may not have is found last.
    func testDenialsComeBeforeResourceVersions() throws {
        let rule: JSON = ["expression": "object.metadata.name != 'no'", "message": "not this one"]
        try enforce("named", ["validations": [rule]])
        _ = try dryRun(Self.configMap("no", [:]), until: 422)
        for (name, message) in [("no", "not this one"), ("yes", "resourceVersion should not be set")] {
            var object = Self.configMap(name, [:])
            object.resourceVersion = "7"
            let answer = try server.request("POST", Self.configMaps, object)
            XCTAssertTrue(answer.text.contains(message), answer.text)
            XCTAssertEqual(try server.request("GET", Self.configMaps + "/" + name).status, 404)
        }
    }

    /// Writes that change nothing are asked about too.
    func testDenialsOfWritesWithoutChanges() throws {
        let apply = { [server] in
            try server?.request(
                "PATCH", Self.configMaps + "/a?fieldManager=me", Self.configMap("a", ["k": "v"]),
                headers: ["Content-Type": "application/apply-patch+yaml"])
        }
        for _ in 0..<3 { XCTAssertLessThan(try XCTUnwrap(try apply()).status, 300) }
        try enforce("locked", ["validations": [["expression": "false", "message": "locked"]]])
        _ = try dryRun(Self.configMap("b", [:]), until: 422)
        XCTAssertEqual(try apply()?.status, 422)
        let present = try server.request("GET", Self.configMaps + "/a").json
        let put = try server.request("PUT", Self.configMaps + "/a", present)
        XCTAssertEqual(put.status, 422, put.text)
        let patch = try server.request(
            "PATCH", Self.configMaps + "/a", [:], headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(patch.status, 422, patch.text)
    }

    func testDeniesWithKubernetesWords() throws {
        try enforce(
            "limits",
            [
                "variables": [["name": "size", "expression": "int(object.data.size)"]],
                "validations": [
                    ["expression": "variables.size <= 5", "messageExpression": "'size is ' + string(variables.size)"],
                    [
                        "expression": "!('forbidden' in object.data)", "message": "no forbidden data",
                        "reason": "Forbidden",
                    ],
                ],
            ])
        let answer = try dryRun(Self.configMap("a", ["size": "9"]), until: 422)
        let status = try answer.json
        let message = "ValidatingAdmissionPolicy 'limits' with binding 'limits-binding' denied request: size is 9"
        XCTAssertEqual(status["message"].stringValue, "configmaps \"a\" is forbidden: \(message)")
        XCTAssertEqual(status["reason"].stringValue, "Invalid")
        XCTAssertEqual(status["details"]["causes"][0]["message"].stringValue, message)

        let forbidden = try server.request(
            "POST", Self.configMaps, Self.configMap("a", ["size": "1", "forbidden": ""]))
        XCTAssertEqual(forbidden.status, 403)
        let missing = try server.request("POST", Self.configMaps, Self.configMap("a", [:]))
        XCTAssertEqual(missing.status, 422)
        XCTAssertEqual(
            try missing.json["message"].stringValue,
            "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'limits-binding' denied request: "
                + "expression 'variables.size <= 5' resulted in error: composited variable \"size\" fails to evaluate: no such key: size"
        )
        let fine = try server.request("POST", Self.configMaps, Self.configMap("a", ["size": "5"]))
        XCTAssertEqual(fine.status, 201)
        let update = try server.request(
            "PATCH", Self.configMaps + "/a", ["data": ["size": "6"]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(update.status, 422)
        XCTAssertEqual(try server.request("DELETE", Self.configMaps + "/a").status, 200, "deletions are not matched")
    }

    func testWarnsAndIgnores() throws {
        try enforce(
            "warns", ["validations": [["expression": "object.data.ok == 'yes'"]]],
            binding: ["validationActions": ["Warn"]])
        try server.eventually("the policy warns") {
            let answer = try self.server.request(
                "POST", Self.configMaps + "?dryRun=All", Self.configMap("w", ["ok": "no"]))
            return answer.headers["warning"]?.contains(
                "Validation failed for ValidatingAdmissionPolicy 'warns' with binding 'warns-binding': failed expression: "
                    + "object.data.ok == 'yes'") == true
        }
        // An error is passed over where the policy says so.
        try enforce("lenient", ["failurePolicy": "Ignore", "validations": [["expression": "object.data.number > 1"]]])
        XCTAssertEqual(try server.request("POST", Self.configMaps, Self.configMap("w", ["ok": "yes"])).status, 201)
    }

    func testMatching() throws {
        try enforce(
            "matched",
            [
                "matchConstraints": [
                    "resourceRules": [
                        [
                            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                            "resources": ["configmaps"],
                        ]
                    ],
                    "objectSelector": ["matchLabels": ["checked": "true"]],
                    "namespaceSelector": ["matchLabels": ["kubernetes.io/metadata.name": "default"]],
                    "excludeResourceRules": [
                        [
                            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"],
                            "resourceNames": ["excluded"],
                        ]
                    ],
                ],
                "matchConditions": [["name": "not-me", "expression": "object.metadata.name != 'spared'"]],
                "validations": [["expression": "false"]],
            ])
        let checked: JSON = ["checked": "true"]
        _ = try dryRun(Self.configMap("x", [:], labels: checked), until: 422)
        let rows: [(object: JSON, status: Int)] = [
            (Self.configMap("x", [:]), 201), (Self.configMap("excluded", [:], labels: checked), 201),
            (Self.configMap("spared", [:], labels: checked), 201), (Self.configMap("y", [:], labels: checked), 422),
        ]
        for row in rows {
            let answer = try server.request("POST", Self.configMaps + "?dryRun=All", row.object)
            XCTAssertEqual(answer.status, row.status, row.object.name)
        }
        let elsewhere = try server.request(
            "POST", "/api/v1/namespaces/kube-system/configmaps?dryRun=All", Self.configMap("x", [:], labels: checked))
        XCTAssertEqual(elsewhere.status, 201, "the namespace is not selected")
    }

    func testParameters() throws {
        let parameters = try server.request("POST", Self.configMaps, Self.configMap("parameters", ["most": "3"]))
        XCTAssertEqual(parameters.status, 201)
        try create(
            "validatingadmissionpolicies",
            Self.policy(
                "parametrized",
                [
                    "paramKind": ["apiVersion": "v1", "kind": "ConfigMap"],
                    "matchConditions": [["name": "sized", "expression": "has(object.data) && 'size' in object.data"]],
                    "validations": [["expression": "int(object.data.size) <= int(params.data.most)"]],
                ]))
        try bind(
            "parametrized",
            [
                "validationActions": ["Deny"],
                "paramRef": ["name": "parameters", "namespace": "default", "parameterNotFoundAction": "Deny"],
            ])
        _ = try dryRun(Self.configMap("p", ["size": "4"]), until: 422)
        XCTAssertEqual(try server.request("POST", Self.configMaps, Self.configMap("p", ["size": "3"])).status, 201)
        XCTAssertEqual(try server.request("DELETE", Self.configMaps + "/parameters").status, 200)
        let missing = try server.request("POST", Self.configMaps, Self.configMap("q", ["size": "3"]))
        XCTAssertEqual(missing.status, 422)
        XCTAssertEqual(
            try missing.json["message"].stringValue?.contains(
                "denied request: failed to configure binding: no params found for policy binding with `Deny` "
                    + "parameterNotFoundAction"), true)
    }

    func testRequestNamespaceAndAuthorizer() throws {
        try enforce(
            "who",
            [
                "validations": [
                    [
                        "expression":
                            "request.userInfo.username == 'kubernetes-admin' && request.operation == 'CREATE' && request.resource.resource == 'configmaps' && request.namespace == 'default' && request.dryRun && oldObject == null && namespaceObject.metadata.name == 'default' && authorizer.group('').resource('secrets').check('get').allowed() && authorizer.requestResource.check('create').allowed() && request.kind.kind == 'ConfigMap' && request.options.kind == 'CreateOptions'",
                        "message": "something is otherwise",
                    ],
                    ["expression": "object.data.proof != 'no'", "message": "in force"],
                ]
            ])
        let answer = try dryRun(Self.configMap("n", ["proof": "no"]), until: 422)
        XCTAssertTrue(try answer.json["message"].stringValue?.hasSuffix("denied request: in force") == true)
        let fine = try server.request("POST", Self.configMaps + "?dryRun=All", Self.configMap("n", ["proof": "yes"]))
        XCTAssertEqual(fine.status, 201, fine.text)
    }

    func testRefusedPolicies() throws {
        let rows: [(resource: String, object: JSON, message: String)] = [
            (
                "validatingadmissionpolicies", Self.policy("p", ["validations": [["expression": "object.x >"]]]),
                "spec.validations[0].expression: Invalid value: \"object.x >\": compilation failed: ERROR: <input>:1:11: Syntax error: "
            ),
            (
                "validatingadmissionpolicies", Self.policy("p", ["validations": [["expression": "nope"]]]),
                "compilation failed: ERROR: <input>:1:1: undeclared reference to 'nope' (in container '')\n | nope\n | ^"
            ),
            (
                "validatingadmissionpolicies", Self.policy("p", ["validations": [["expression": "'text'"]]]),
                "spec.validations[0].expression: Invalid value: \"'text'\": must evaluate to bool"
            ),
            (
                "validatingadmissionpolicies",
                Self.policy(
                    "p",
                    [
                        "variables": [["name": "a", "expression": "variables.b"]],
                        "validations": [["expression": "true"]],
                    ]),
                "spec.variables[0].expression: Invalid value: \"variables.b\": compilation failed: ERROR: <input>:1:10: undefined field 'b'"
            ),
            ("validatingadmissionpolicies", Self.policy("p", [:]), "spec.validations: Required value"),
            (
                "validatingadmissionpolicies",
                Self.policy("p", ["validations": [["expression": "true", "messageExpression": "1"]]]),
                "spec.validations[0].messageExpression: Invalid value: \"1\": must evaluate to string"
            ),
            (
                "mutatingadmissionpolicies",
                Self.policy(
                    "p",
                    [
                        "reinvocationPolicy": "Never",
                        "mutations": [["patchType": "ApplyConfiguration", "applyConfiguration": ["expression": "1"]]],
                    ],
                    kind: "MutatingAdmissionPolicy"),
                "spec.mutations[0].applyConfiguration.expression: Invalid value: \"1\": must evaluate to Object"
            ),
        ]
        for row in rows {
            let answer = try server.request("POST", "\(Self.path)/\(row.resource)", row.object)
            XCTAssertEqual(answer.status, 422, row.message)
            let message = try answer.json["message"].stringValue ?? ""
            XCTAssertTrue(message.contains(row.message), message)
        }
    }

    func testMutations() throws {
        let mutation: JSON = [
            "patchType": "ApplyConfiguration",
            "applyConfiguration": [
                "expression":
                    "Object{metadata: Object.metadata{labels: {'added': 'by-policy'}}, data: Object.data{size: '1'}}"
            ],
        ]
        let patch: JSON = [
            "patchType": "JSONPatch",
            "jsonPatch": [
                "expression":
                    "[JSONPatch{op: 'test', path: '/data/size', value: '1'}, JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('example.com/env'), value: 'test'}]"
            ],
        ]
        let spec: JSON = [
            "failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [mutation, patch],
            "matchConditions": [
                ["name": "wanted", "expression": "!has(object.metadata.labels) || !('skip' in object.metadata.labels)"]
            ],
        ]
        try create("mutatingadmissionpolicies", Self.policy("m", spec, kind: "MutatingAdmissionPolicy"))
        try bind("m", [:], kind: "MutatingAdmissionPolicyBinding")
        var made: JSON = nil
        try server.eventually("the policy changes objects") {
            made = try self.server.request(
                "POST", Self.configMaps + "?dryRun=All", Self.configMap("m", ["k": "v"], labels: ["own": "1"])
            ).json
            return made.labels["added"].exists
        }
        XCTAssertEqual(made.labels, ["own": "1", "added": "by-policy", "example.com/env": "test"])
        XCTAssertEqual(made["data"], ["k": "v", "size": "1"])
        let skipped = try server.request(
            "POST", Self.configMaps + "?dryRun=All", Self.configMap("s", [:], labels: ["skip": "1"]))
        XCTAssertEqual(try skipped.json.labels, ["skip": "1"])
    }
}
