import ObjectSchema
import Objects
import XCTest

/// Of webhooks, admission policies and the turns of requests.
final class AdmissionRulesTests: XCTestCase {
    private static let webhooks: JSON = [
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": ["name": "w"],
        "webhooks": [
            [
                "name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": ["url": "https://host/path"],
                "rules": [
                    [
                        "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                    ]
                ],
            ]
        ],
    ]

    private func webhook(_ change: (inout JSON) -> Void) throws -> String {
        var object = Self.webhooks
        object["webhooks"].updateElements { _, webhook in change(&webhook) }
        return #"{"webhooks":\#(object["webhooks"].serializedString())}"#
    }

    func testWebhooks() throws {
        let path = "webhooks[0]"
        try ValidationCases.check(
            Self.webhooks,
            [
                ("{}", []),
                (
                    try webhook { $0["name"] = "a.b" },
                    [
                        #"\#(path).name: Invalid value: "a.b": should be a domain with at least three segments separated by dots"#
                    ]
                ), (try webhook { $0["name"] = "" }, ["\(path).name: Required value"]),
                (
                    try webhook { $0["admissionReviewVersions"] = [] },
                    ["\(path).admissionReviewVersions: Required value: must specify one of v1, v1beta1"]
                ),
                (
                    try webhook { $0["admissionReviewVersions"] = ["v2", "v2"] },
                    [
                        #"\#(path).admissionReviewVersions[1]: Invalid value: "v2": duplicate version"#,
                        #"\#(path).admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least one of v1, v1beta1"#,
                    ]
                ),
                (
                    try webhook { $0["sideEffects"] = "Some" },
                    [
                        #"\#(path).sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun""#
                    ]
                ),
                (
                    try webhook { $0["timeoutSeconds"] = 31 },
                    [
                        "\(path).timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"
                    ]
                ),
                (
                    try webhook {
                        $0["matchConditions"] = [
                            ["name": "a", "expression": " "], ["name": "b c", "expression": "true"],
                        ]
                    },
                    [
                        "\(path).matchConditions[0].expression: Required value",
                        #"\#(path).matchConditions[1].name: Invalid value: "b c": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#,
                    ]
                ),
            ])
        var twice = Self.webhooks
        twice["webhooks"] = .array(twice["webhooks"].arrayValue + twice["webhooks"].arrayValue)
        try ValidationCases.check(twice, [("{}", [#"webhooks[1].name: Duplicate value: "a.b.c""#])])
    }

    func testClients() throws {
        let path = "webhooks[0].clientConfig"
        let form = "; desired format: https://host[/path]"
        func client(_ json: JSON) throws -> String { try webhook { $0["clientConfig"] = json } }
        func service(_ path: String) throws -> String {
            try client(["service": ["name": "s", "namespace": "n", "path": .string(path)]])
        }
        try ValidationCases.check(
            Self.webhooks,
            [
                (try client([:]), ["\(path): Required value: exactly one of url or service is required"]),
                (
                    try client(["url": "http:///x"]),
                    [
                        #"\#(path).url: Invalid value: "http": 'https' is the only allowed URL scheme\#(form)"#,
                        #"\#(path).url: Invalid value: "": host must be specified\#(form)"#,
                    ]
                ),
                (
                    try client(["url": "https://me@host/x?a=b#c"]),
                    [
                        #"\#(path).url: Invalid value: "me": user information is not permitted in the URL"#,
                        #"\#(path).url: Invalid value: "c": fragments are not permitted in the URL"#,
                        #"\#(path).url: Invalid value: "a=b": query parameters are not permitted in the URL"#,
                    ]
                ),
                (
                    try client(["service": ["port": 0]]),
                    [
                        "\(path).service.name: Required value: service name is required",
                        "\(path).service.namespace: Required value: service namespace is required",
                        "\(path).service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
                    ]
                ), (try service("/a/b/"), []),
                (
                    try service("a//b"),
                    [
                        #"\#(path).service.path: Invalid value: "a//b": must start with a '/'"#,
                        #"\#(path).service.path: Invalid value: "a//b": segment[0] may not be empty"#,
                        #"\#(path).service.path: Invalid value: "a//b": segment[1] may not be empty"#,
                    ]
                ),
                (try service("//"), [#"\#(path).service.path: Invalid value: "//": segment[0] may not be empty"#]),
            ])
    }

    func testRules() throws {
        let path = "webhooks[0].rules[0]"
        func rule(_ field: String, _ value: JSON) throws -> String {
            try webhook { $0["rules"].updateElements { _, rule in rule[field] = value } }
        }
        func resources(_ value: JSON, _ detail: String, _ index: String = "") throws -> ValidationCases.Row {
            let shown = index.isEmpty ? value : value.arrayValue[1]
            return (
                try rule("resources", value),
                ["\(path).resources\(index): Invalid value: \(shown.serializedString()): \(detail)"]
            )
        }
        try ValidationCases.check(
            Self.webhooks,
            [
                (
                    try webhook { $0["rules"] = [[:]] },
                    ["operations", "apiGroups", "apiVersions", "resources"].map { "\(path).\($0): Required value" }
                ),
                (
                    try rule("operations", ["*", "READ"]),
                    [
                        #"\#(path).operations: Invalid value: ["*","READ"]: if '*' is present, must not specify other operations"#,
                        #"\#(path).operations[1]: Unsupported value: "READ": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE""#,
                    ]
                ),
                (
                    try rule("apiGroups", ["*", "a"]),
                    [
                        #"\#(path).apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other API groups"#
                    ]
                ), (try rule("apiVersions", [""]), ["\(path).apiVersions[0]: Required value"]),
                (
                    try rule("scope", "All"),
                    [
                        #"\#(path).scope: Unsupported value: "All": supported values: "*", "Cluster", "Namespaced""#
                    ]
                ), (try rule("resources", ["*", "pods/log"]), []),
                try resources(
                    ["*", "pods"], "if '*' is present, must not specify other resources without subresources"),
                try resources(["*/*", "pods"], "if '*/*' is present, must not specify other resources"),
                try resources(["pods/*", "pods/log"], "if 'pods/*' is present, must not specify pods/log", "[1]"),
                try resources(["*/scale", "a/scale"], "if '*/scale' is present, must not specify a/scale", "[1]"),
            ])
    }

    func testPolicies() throws {
        let policy: JSON = [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": ["name": "p"],
            "spec": [
                "matchConstraints": [
                    "resourceRules": [
                        ["operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]]
                    ]
                ], "validations": [["expression": "true"]],
            ],
        ]
        func spec(_ text: String) -> String { #"{"spec":{\#(text)}}"# }
        let either = "Required value: validations or auditAnnotations must contain at least one item"
        try ValidationCases.check(
            policy,
            [
                ("{}", []),
                (
                    #"{"spec":null}"#,
                    [
                        "spec.matchConstraints: Required value", "spec.validations: \(either)",
                        "spec.auditAnnotations: \(either)",
                    ]
                ),
                (
                    spec(#""failurePolicy":"Maybe","paramKind":{"apiVersion":"a/B","kind":""}"#),
                    [
                        #"spec.failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore""#,
                        #"spec.paramKind.apiVersion: Invalid value: "a/B": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#,
                        "spec.paramKind.kind: Required value",
                    ]
                ),
                (
                    spec(#""matchConstraints":{"resourceRules":[]}"#),
                    ["spec.matchConstraints.resourceRules: Required value"]
                ),
                (
                    spec(
                        #""matchConstraints":{"resourceRules":[{"operations":["*"],"apiGroups":["*"],"apiVersions":["*"],"resources":["*"],"resourceNames":["a","a","b/c"]}]}"#
                    ),
                    [
                        #"spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a""#,
                        #"spec.matchConstraints.resourceRules[0].resourceNames[2]: Invalid value: "b/c": may not contain '/'"#,
                    ]
                ),
                (
                    spec(#""variables":[{"name":"in","expression":""}]"#),
                    [
                        #"spec.variables[0].name: Invalid value: "in": name is not a valid CEL identifier"#,
                        "spec.variables[0].expression: Required value: expression is not specified",
                    ]
                ),
                (
                    spec(
                        #""validations":[{"expression":" ","message":" ","reason":"Because"},{"expression":"true","message":"a\nb","messageExpression":" "}]"#
                    ),
                    [
                        "spec.validations[0].expression: Required value: expression is not specified",
                        "spec.validations[0].message: Required value: message must be non-empty if specified",
                        #"spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized""#,
                        "spec.validations[1].messageExpression: Required value: must be non-empty if specified",
                        #"spec.validations[1].message: Invalid value: "a\nb": message must not contain line breaks"#,
                    ]
                ),
                (
                    spec(
                        #""auditAnnotations":[{"key":"k","valueExpression":""},{"key":"k","valueExpression":"'a'"}]"#),
                    [
                        "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified",
                        #"spec.auditAnnotations[1].key: Duplicate value: "k""#,
                    ]
                ),
            ])
    }

    func testMutatingPoliciesAndBindings() throws {
        let rule: JSON = [
            "operations": ["DELETE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"],
        ]
        let policy: JSON = [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
            "metadata": ["name": "p"],
            "spec": [
                "matchConstraints": ["resourceRules": [rule]],
                "mutations": [
                    ["patchType": "JSONPatch", "applyConfiguration": ["expression": "Object{}"]],
                    ["patchType": "Other"],
                ],
            ],
        ]
        try ValidationCases.check(
            policy,
            [
                (
                    "{}",
                    [
                        #"spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE""#,
                        "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
                        #"spec.mutations[0].applyConfiguration: Invalid value: {"expression":"Object{}"}: must not be specified when patchType is JSONPatch"#,
                        #"spec.mutations[1].patchType: Unsupported value: "Other": supported values: "ApplyConfiguration", "JSONPatch""#,
                        "spec.reinvocationPolicy: Required value",
                    ]
                )
            ])
        let binding: JSON = [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": ["name": "b"], "spec": ["policyName": "p", "validationActions": ["Deny"]],
        ]
        let twice =
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
        try ValidationCases.check(
            binding,
            [
                ("{}", []),
                (
                    #"{"spec":null}"#,
                    [
                        "spec.policyName: Required value",
                        "spec.validationActions: Required value: at least one validation action is required",
                    ]
                ),
                (
                    #"{"spec":{"validationActions":["Deny","Deny","Stop","Warn"]}}"#,
                    [
                        #"spec.validationActions[1]: Duplicate value: "Deny""#,
                        #"spec.validationActions[2]: Unsupported value: "Stop": supported values: "Audit", "Deny", "Warn""#,
                        #"spec.validationActions: Invalid value: ["Deny","Deny","Stop","Warn"]: \#(twice)"#,
                    ]
                ),
                (
                    #"{"spec":{"paramRef":{"name":"a","selector":{},"parameterNotFoundAction":"Shrug"}}}"#,
                    [
                        "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                        "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                        #"spec.paramRef.parameterNotFoundAction: Unsupported value: "Shrug": supported values: "Deny", "Allow""#,
                    ]
                ),
                (
                    #"{"spec":{"paramRef":{}}}"#,
                    [
                        "spec.paramRef: Required value: one of name or selector must be specified",
                        "spec.paramRef.parameterNotFoundAction: Required value",
                    ]
                ),
            ])
    }

    // MARK: - Turns of requests

    func testFlowSchemas() throws {
        let schema: JSON = [
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": ["name": "f"],
            "spec": [
                "matchingPrecedence": 50, "priorityLevelConfiguration": ["name": "l"],
                "rules": [
                    [
                        "subjects": [["kind": "User", "user": ["name": "u"]]],
                        "nonResourceRules": [["verbs": ["get"], "nonResourceURLs": ["/x"]]],
                    ]
                ],
            ],
        ]
        func rule(_ text: String) -> String {
            #"{"spec":{"rules":[{"subjects":[{"kind":"User","user":{"name":"u"}}],\#(text)}]}}"#
        }
        let path = "spec.rules[0]"
        let known =
            #"supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch""#
        try ValidationCases.check(
            schema,
            [
                ("{}", []),
                (
                    #"{"spec":{"matchingPrecedence":1}}"#,
                    [
                        "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"
                    ]
                ),
                (
                    #"{"spec":{"matchingPrecedence":10001}}"#,
                    ["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"]
                ),
                (
                    rule(#""resourceRules":[]"#),
                    [
                        "\(path): Required value: at least one of resourceRules and nonResourceRules has to be non-empty"
                    ]
                ),
                (
                    rule(#""resourceRules":[{"verbs":["*","get"],"apiGroups":["*","a"],"resources":["pods"]}]"#),
                    [
                        #"\#(path).resourceRules[0].verbs: Invalid value: ["*","get"]: if '*' is present, must not specify other verbs"#,
                        #"\#(path).resourceRules[0].apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other api groups"#,
                        "\(path).resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
                    ]
                ),
                (
                    rule(#""nonResourceRules":[{"verbs":["look"],"nonResourceURLs":["x","/a*","/a/*"]}]"#),
                    [
                        #"\#(path).nonResourceRules[0].verbs: Unsupported value: ["look"]: \#(known)"#,
                        #"\#(path).nonResourceRules[0].nonResourceURLs[0]: Invalid value: "x": must start with slash"#,
                        #"\#(path).nonResourceRules[0].nonResourceURLs[1]: Invalid value: "/a*": wildcard can only do suffix matching"#,
                    ]
                ),
            ])
    }

    func testPriorityLevels() throws {
        let level: JSON = [
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
            "metadata": ["name": "l"],
            "spec": ["type": "Limited", "limited": ["limitResponse": ["type": "Queue", "queuing": [:]]]],
        ]
        func queuing(_ text: String) -> String { #"{"spec":{"limited":{"limitResponse":{"queuing":{\#(text)}}}}}"# }
        let path = "spec.limited.limitResponse.queuing"
        try ValidationCases.check(
            level,
            [
                ("{}", []),
                (
                    queuing(#""queues":4"#),
                    ["\(path).handSize: Invalid value: 8: should not be greater than queues (4)"]
                ),
                (
                    queuing(#""queues":10000000,"handSize":3"#),
                    [
                        "\(path).handSize: Invalid value: 3: required entropy bits of deckSize 10000000 and handSize 3 should not be greater than 60"
                    ]
                ),
                (queuing(#""queues":0"#), ["\(path).queues: Invalid value: 0: must be positive"]),
                (
                    #"{"spec":{"type":"Exempt","limited":null,"exempt":{}}}"#,
                    [
                        #"spec.type: Invalid value: "Exempt": must be 'Exempt' if and only if `name` is 'exempt'"#
                    ]
                ),
            ])
    }
}
