import Objects
import XCTest

@testable import API

/// What becomes of what several policies say, and of policies that cannot say anything.
final class PolicyVerdictTests: XCTestCase {
    private static let path = "/apis/admissionregistration.k8s.io/v1"
    private static let configMaps = "/api/v1/namespaces/default/configmaps"
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private static let constraints: JSON = [
        "resourceRules": [
            ["apiGroups": [""], "apiVersions": ["*"], "operations": ["*"], "resources": ["configmaps"]]
        ]
    ]

    private func store(_ kind: String, _ name: String, _ spec: JSON) throws {
        let resource = kind.lowercased().replacing("policy", with: kind.hasSuffix("Policy") ? "policies" : "policy")
        let answer = try server.request(
            "POST", "\(Self.path)/\(kind.hasSuffix("Binding") ? kind.lowercased() + "s" : resource)",
            [
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string(kind),
                "metadata": ["name": .string(name)], "spec": spec,
            ])
        XCTAssertEqual(answer.status, 201, answer.text)
    }

    private func enforce(
        _ name: String, _ spec: JSON, actions: JSON = ["Deny"], kind: String = "ValidatingAdmissionPolicy"
    ) throws {
        var spec = spec
        if spec["matchConstraints"].isNull { spec["matchConstraints"] = Self.constraints }
        try store(kind, name, spec)
        var binding: JSON = ["policyName": .string(name)]
        if kind.hasPrefix("Validating") { binding["validationActions"] = actions }
        try store(kind + "Binding", name + "-binding", binding)
    }

    private func create(_ name: String, _ change: (inout JSON) -> Void = { _ in }) throws -> TLSClient.Response {
        var object: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]]
        change(&object)
        return try server.request("POST", Self.configMaps + "?dryRun=All", object)
    }

    /// Tries a write until it is answered as is said: policies come into force with the event of their creation.
    private func create(
        _ name: String, until holds: (TLSClient.Response) throws -> Bool
    ) throws -> TLSClient.Response {
        var answer: TLSClient.Response!
        try server.eventually("the policies are in force") {
            answer = try self.create(name)
            return try holds(answer)
        }
        return answer
    }

    func testAllAreHeard() throws {
        try enforce("a", ["validations": [["expression": "false", "message": "no"]]])
        try enforce("b", ["validations": [["expression": "false", "message": "hm"]]], actions: ["Warn"])
        let answer = try create("x") { $0.status == 422 && $0.headers["warning"]?.contains("hm") == true }
        XCTAssertEqual(
            try answer.json["message"].stringValue,
            "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'a-binding' denied request: no")
    }

    func testWhatExpressionsEndWith() throws {
        let kind: JSON = ["apiVersion": "v1", "kind": "ConfigMap"]
        try enforce(
            "p",
            [
                "paramKind": kind,
                "validations": [
                    ["expression": "object.metadata.name != 'null' || has(params.metadata)"],
                    ["expression": "object.metadata.name != 'select' || params.metadata.name == ''"],
                    ["expression": "object.metadata.name != 'compare' || params != null"],
                ],
                "auditAnnotations": [
                    [
                        "key": "k",
                        "valueExpression": "object.metadata.name == 'note' ? string(params.metadata.name) : ''",
                    ]
                ],
            ], actions: ["Audit"])
        try enforce("in-force", ["validations": [["expression": "object.metadata.name != 'start'"]]])
        try enforce(
            "d",
            [
                "paramKind": kind,
                "validations": [
                    ["expression": "object.metadata.name != 'null' || has(params.metadata)"],
                    ["expression": "object.metadata.name != 'select' || params.metadata.name == ''"],
                    ["expression": "object.metadata.name != 'compare' || params != null"],
                ],
            ])
        _ = try create("start") { $0.status == 422 }
        _ = try create("null") { $0.status == 422 }
        let denied = "is forbidden: ValidatingAdmissionPolicy 'd' with binding 'd-binding' denied request: "
        let rows: [(name: String, message: String)] = [
            (
                "null",
                "configmaps \"null\" \(denied)failed expression: object.metadata.name != 'null' || has(params.metadata)"
            ),
            (
                "select",
                "configmaps \"select\" \(denied)expression 'object.metadata.name != 'select' || params.metadata.name == ''' resulted in error: no such key: metadata"
            ),
            (
                "compare",
                "configmaps \"compare\" \(denied)failed expression: object.metadata.name != 'compare' || params != null"
            ),
            (
                "note",
                "configmaps \"note\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: expression 'object.metadata.name == 'note' ? string(params.metadata.name) : ''' resulted in error: no such key: metadata"
            ),
        ]
        for row in rows {
            let answer = try create(row.name)
            XCTAssertEqual(answer.status, 422, row.name)
            XCTAssertEqual(try answer.json["message"].stringValue, row.message)
            XCTAssertEqual(try answer.json["reason"], "Invalid", row.name)
        }
        XCTAssertEqual(try create("fine").status, 201)
    }

    /// A kind of parameters that nobody knows is the policy's fault, whatever its bindings want done.
    func testPoliciesThatCannotBeRun() throws {
        try enforce(
            "p",
            [
                "paramKind": ["apiVersion": "example.com/v1", "kind": "Nothing"],
                "validations": [["expression": "true"]],
            ], actions: ["Warn"])
        let answer = try create("x") { $0.status == 422 }
        XCTAssertEqual(
            try answer.json["message"].stringValue,
            "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Nothing'"
        )
    }

    func testMatchConditions() throws {
        let failing = "object.nonExistentProperty == 'someval'"
        try enforce(
            "p",
            [
                "matchConditions": [
                    ["name": "a", "expression": .string(failing)], ["name": "b", "expression": "true"],
                    ["name": "c", "expression": "object.other == ''"],
                ], "validations": [["expression": "true"]],
            ])
        let answer = try create("x") { $0.status == 422 }
        XCTAssertTrue(
            answer.text.contains(
                "denied request: [expression '\(failing)' resulted in error: no such key: nonExistentProperty, expression 'object.other == ''' resulted in error: no such key: other]"
            ), answer.text)
        let check = "authorizer.group('').resource('pods').check('create').allowed()"
        let gone = try server.request("DELETE", "\(Self.path)/validatingadmissionpolicies/p")
        XCTAssertEqual(gone.status, 200)
        try enforce(
            "q",
            [
                "matchConditions": .array(
                    (0..<8).map { ["name": .string("n\($0)"), "expression": .string("\(check) && \(check)")] }),
                "validations": [["expression": "true"]],
            ])
        let costly = try create("x") { $0.status == 422 }
        XCTAssertTrue(
            costly.text.contains(
                "'q-binding' denied request: validation failed due to running out of cost budget, no further validation rules will be run"
            ), costly.text)
    }

    func testRefusedExpressions() throws {
        let rows: [(spec: JSON, message: String)] = [
            (
                [
                    "validations": [
                        ["expression": "true", "messageExpression": "authorizer.path('/x').check('get').reason()"]
                    ]
                ],
                "undeclared reference to 'authorizer'"
            ),
            (
                ["validations": [["expression": "true", "messageExpression": "object.metadata.name"]]],
                "must evaluate to string but got dyn"
            ),
            (["validations": [["expression": "object.metadata.name"]]], "must evaluate to bool but got dyn"),
            (["validations": [["expression": "request.uid == ''"]]], "undefined field 'uid'"),
            (
                ["auditAnnotations": [["key": "k", "valueExpression": "1"]]],
                "must evaluate to one of [string null_type] but got int"
            ),
        ]
        for row in rows {
            var spec = row.spec
            spec["matchConstraints"] = Self.constraints
            let answer = try server.request(
                "POST", "\(Self.path)/validatingadmissionpolicies",
                [
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                    "metadata": ["name": "r"], "spec": spec,
                ])
            XCTAssertEqual(answer.status, 422, row.message)
            XCTAssertTrue(try answer.json["message"].stringValue?.contains(row.message) == true, answer.text)
        }
    }

    // MARK: - Mutations

    /// Mutations that cannot be made, and what is said of them.
    func testMutationsThatCannotBeMade() throws {
        let rows: [(name: String, type: String, expression: String, message: String)] = [
            (
                "unknown", "ApplyConfiguration", "Object{datax: Object.datax{k: 'v'}}",
                "error applying patch: failed to convert patch object to typed object: .datax: field not declared in schema"
            ),
            (
                "misplaced", "ApplyConfiguration", "Object{data: Object.dataz{k: 'v'}}",
                "type mismatch: unexpected type name \"Object.dataz\", expected \"Object.data\", which matches field name path from root Object type"
            ),
            (
                "failing", "ApplyConfiguration", "Object{data: Object.data{k: object.data.x}}",
                "expression 'NAMED Object{data: Object.data{k: object.data.x}}: Object{}' resulted in error: no such key: data"
            ),
        ]
        for row in rows {
            let named = "object.metadata.name == '\(row.name)' ? "
            let mutation: JSON = [
                "patchType": .string(row.type),
                "applyConfiguration": ["expression": .string("\(named)\(row.expression): Object{}")],
            ]
            try enforce(
                row.name, ["reinvocationPolicy": "Never", "mutations": [mutation]], kind: "MutatingAdmissionPolicy")
            let answer = try create(row.name) { $0.status == 403 }
            let message = "policy '\(row.name)' with binding '\(row.name)-binding' denied request: \(row.message)"
                .replacing("NAMED ", with: named)
            XCTAssertEqual(try answer.json["message"].stringValue, message)
            XCTAssertEqual(try answer.json["reason"], "Invalid")
            XCTAssertEqual(try answer.json["details"]["causes"], [["message": .string(message)]])
        }
        XCTAssertEqual(try create("other").status, 201)
    }

    func testAtomicPartsAndFailedTests() throws {
        let selector =
            "Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}"
        let deployments: JSON = [
            "resourceRules": [
                ["apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]]
            ]
        ]
        let patch: JSON = [
            "patchType": "JSONPatch",
            "jsonPatch": [
                "expression":
                    "[JSONPatch{op: 'test', path: '/spec/replicas', value: 100}, JSONPatch{op: 'replace', path: '/spec/replicas', value: 3}]"
            ],
        ]
        try enforce(
            "tested", ["matchConstraints": deployments, "reinvocationPolicy": "Never", "mutations": [patch]],
            kind: "MutatingAdmissionPolicy")
        func deploy(_ replicas: Int64) throws -> TLSClient.Response {
            try server.request(
                "POST", "/apis/apps/v1/namespaces/default/deployments?dryRun=All",
                [
                    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "d"],
                    "spec": [
                        "replicas": .integer(replicas), "selector": ["matchLabels": ["a": "b"]],
                        "template": [
                            "metadata": ["labels": ["a": "b"]],
                            "spec": ["containers": [["name": "c", "image": "i:1"]]],
                        ],
                    ],
                ])
        }
        try server.eventually("the patch is applied") { try deploy(100).json["spec"]["replicas"] == 3 }
        let untouched = try deploy(7)
        XCTAssertEqual(untouched.status, 201, "a test that does not hold leaves the object as it is: \(untouched.text)")
        XCTAssertEqual(try untouched.json["spec"]["replicas"], 7)
        try enforce(
            "atomic",
            [
                "matchConstraints": deployments, "reinvocationPolicy": "Never",
                "mutations": [
                    ["patchType": "ApplyConfiguration", "applyConfiguration": ["expression": .string(selector)]]
                ],
            ], kind: "MutatingAdmissionPolicy")
        var refused: TLSClient.Response!
        try server.eventually("the other one is in force") {
            refused = try deploy(7)
            return refused.status == 403
        }
        XCTAssertTrue(
            refused.text.contains(
                "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector"
            ), refused.text)
    }
}
