import Objects
import XCTest

@testable import API

/// The second round of asking who may change an object, as Kubernetes' reinvocation policy has it.
final class AdmissionRoundsTests: XCTestCase {
    private static let path = "/apis/admissionregistration.k8s.io/v1"
    private static let pods = "/api/v1/namespaces/rounds/pods"
    private static let marker = "/api/v1/namespaces/marker/pods"
    private var server: TestServer!
    private var webhook: ReviewServer!

    override func setUpWithError() throws {
        server = try TestServer()
        webhook = try ReviewServer { path, request in
            let labels = request["object"]["metadata"]["labels"]
            switch path.prefix(while: { $0 != "?" }) {
            case "/addlabel":
                guard labels["a"].isNull else { return ["allowed": true] }
                return Self.patched([["op": "add", "path": "/metadata/labels/a", "value": "true"]])
            case "/conditionaladdlabel":
                guard labels["a"].exists, labels["b"].isNull else { return ["allowed": true] }
                return Self.patched([["op": "add", "path": "/metadata/labels/b", "value": "true"]])
            case "/settrue":
                return Self.patched([["op": "replace", "path": "/metadata/labels/fight", "value": "true"]])
            case "/setfalse":
                return Self.patched([["op": "replace", "path": "/metadata/labels/fight", "value": "false"]])
            case "/setpriority", "/setinvalidpriority":
                let name: JSON = path.hasPrefix("/setp") ? "high" : "invalid"
                guard request["object"]["spec"]["priorityClassName"] != name else { return ["allowed": true] }
                return Self.patched([
                    ["op": "add", "path": "/spec/priorityClassName", "value": name],
                    ["op": "remove", "path": "/spec/priority"],
                ])
            default: return ["allowed": true]
            }
        }
        for namespace in ["rounds", "marker"] {
            let answer = try server.request(
                "POST", "/api/v1/namespaces",
                ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(namespace)]])
            XCTAssertEqual(answer.status, 201, answer.text)
            let account = try server.request(
                "POST", "/api/v1/namespaces/\(namespace)/serviceaccounts",
                ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "default"]])
            XCTAssertTrue([201, 409].contains(account.status), account.text)
        }
        for (name, value) in [("low", 1), ("high", 10)] {
            let answer = try server.request(
                "POST", "/apis/scheduling.k8s.io/v1/priorityclasses",
                [
                    "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": ["name": .string(name)],
                    "value": .integer(Int64(value)),
                ])
            XCTAssertEqual(answer.status, 201, answer.text)
        }
    }

    override func tearDownWithError() throws {
        try webhook.stop()
        try server.stop()
    }

    private static func patched(_ patch: JSON) -> JSON {
        ["allowed": true, "patchType": "JSONPatch", "patch": .string(Base64.encode(patch.serialized()))]
    }

    private static func pod(_ name: String, _ priority: String?) -> JSON {
        var pod: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name), "labels": ["x": "true"]],
            "spec": ["containers": [["name": "c", "image": "i:1"]]],
        ]
        pod["metadata"]["labels"]["fight"] = "none"
        if let priority { pod["spec"]["priorityClassName"] = .string(priority) }
        return pod
    }

    private struct Case {
        var reason: String
        var priority: String? = "low"
        /// The paths that are asked, in order, and whether they look again.
        var webhooks: [(path: String, again: Bool)]
        var selected = ""
        var asked: [String: Int]
        var labels: [String: String] = [:]
        var value: Int64?
        var refusal = ""
    }

    private static let cases: [Case] = [
        Case(reason: "nothing was changed", webhooks: [("/noop", true)], asked: ["/noop": 1]),
        Case(
            reason: "nobody has changed anything since", webhooks: [("/addlabel", true)], asked: ["/addlabel": 1],
            labels: ["a": "true"]),
        Case(
            reason: "the server itself has changed its mind", webhooks: [("/setpriority", true)],
            asked: ["/setpriority": 2], value: 10),
        Case(
            reason: "only the first has something new to look at",
            webhooks: [("/addlabel", true), ("/conditionaladdlabel", true)],
            asked: ["/addlabel": 2, "/conditionaladdlabel": 1], labels: ["a": "true", "b": "true"]),
        Case(
            reason: "two that fight have two rounds", webhooks: [("/settrue", true), ("/setfalse", true)],
            asked: ["/settrue": 2, "/setfalse": 2], labels: ["fight": "false"]),
        Case(
            reason: "who was passed over at first is not asked later",
            webhooks: [("/conditionaladdlabel", true), ("/addlabel", true)], selected: "/conditionaladdlabel",
            asked: ["/addlabel": 1], labels: ["a": "true"]),
        Case(
            reason: "the server refuses what a webhook has made", priority: nil,
            webhooks: [("/setinvalidpriority", true)], asked: ["/setinvalidpriority": 1],
            refusal: "no PriorityClass with name invalid was found"),
        Case(
            reason: "who does not want to look again is not asked", priority: nil,
            webhooks: [("/conditionaladdlabel", false), ("/addlabel", false)],
            asked: ["/conditionaladdlabel": 1, "/addlabel": 1], labels: ["a": "true"]),
    ]

    func testWebhooks() throws {
        for (number, row) in Self.cases.enumerated() {
            try enforce(row, number)
            let start = webhook.requests.count
            let answer = try server.request("POST", Self.pods, Self.pod("pod-\(number)", row.priority))
            let asked = webhook.requests.dropFirst(start).map { String($0.path.prefix { $0 != "?" }) }
            XCTAssertEqual(
                Dictionary(grouping: asked) { $0 }.mapValues(\.count), row.asked, "\(row.reason): \(answer.text)")
            if row.refusal.isEmpty {
                XCTAssertEqual(answer.status, 201, row.reason)
                let pod = try answer.json
                for (key, value) in row.labels {
                    XCTAssertEqual(pod.labels[key].stringValue, value, "\(row.reason): \(key)")
                }
                if let value = row.value { XCTAssertEqual(pod["spec"]["priority"].integerValue, value, row.reason) }
            } else {
                XCTAssertEqual(answer.status, 403, row.reason)
                XCTAssertTrue(answer.text.contains(row.refusal), answer.text)
            }
            let gone = try server.request("DELETE", "\(Self.path)/mutatingwebhookconfigurations/rounds-\(number)")
            XCTAssertEqual(gone.status, 200)
        }
    }

    /// Stores the webhooks of a case in version v1beta1 of reviews, with one of their own for a marker that tells when they are
    /// in force.
    private func enforce(_ row: Case, _ number: Int) throws {
        let rules: JSON = [
            ["apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]]
        ]
        func entry(_ path: String, _ namespace: String, _ position: Int) -> JSON {
            [
                "name": .string("n\(position).\(path.dropFirst()).example.com"), "clientConfig": webhook.client(path),
                "rules": rules, "sideEffects": "None", "admissionReviewVersions": ["v1beta1"],
                "namespaceSelector": ["matchLabels": ["kubernetes.io/metadata.name": .string(namespace)]],
            ]
        }
        var entries: [JSON] = []
        for (position, (path, again)) in row.webhooks.enumerated() {
            var one = entry(path, "rounds", position)
            if again { one["reinvocationPolicy"] = "IfNeeded" }
            if path == row.selected { one["objectSelector"] = ["matchLabels": ["a": "true"]] }
            entries.append(one)
        }
        entries.append(entry("/marker-\(number)", "marker", 9))
        let answer = try server.request(
            "POST", "\(Self.path)/mutatingwebhookconfigurations",
            [
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
                "metadata": ["name": .string("rounds-\(number)")], "webhooks": .array(entries),
            ])
        XCTAssertEqual(answer.status, 201, answer.text)
        try server.eventually("the webhooks are in force") {
            _ = try self.server.request("POST", Self.marker + "?dryRun=All", Self.pod("marker", nil))
            return self.webhook.requests.contains { $0.path.hasPrefix("/marker-\(number)?") }
        }
    }

    /// A container that a webhook adds gets what the namespace's LimitRange gives to all.
    func testPoliciesAndDefaultsOfTheServer() throws {
        let range = try server.request(
            "POST", "/api/v1/namespaces/rounds/limitranges",
            [
                "apiVersion": "v1", "kind": "LimitRange", "metadata": ["name": "r"],
                "spec": ["limits": [["type": "Container", "default": ["cpu": "100m"]]]],
            ])
        XCTAssertEqual(range.status, 201, range.text)
        try server.settled { $0.limits.ranges.hasValues(in: "rounds") }
        let count =
            "Object{metadata: Object.metadata{annotations: {?'n': optional.of(string(int(object.metadata.annotations['n']) + 1)), 'NAME': 'true'}}}"
        let sidecar =
            "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'sidecar', image: 'i:2'}]}}"
        for (name, again, expression) in [
            ("p1", "IfNeeded", count), ("p2", "IfNeeded", count), ("p3", "Never", count), ("p4", "Never", sidecar),
        ] {
            let policy = try server.request(
                "POST", "\(Self.path)/mutatingadmissionpolicies",
                [
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
                    "metadata": ["name": .string(name)],
                    "spec": [
                        "reinvocationPolicy": .string(again),
                        "matchConstraints": [
                            "resourceRules": [
                                [
                                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                                    "resources": ["pods"],
                                ]
                            ]
                        ],
                        "mutations": [
                            [
                                "patchType": "ApplyConfiguration",
                                "applyConfiguration": [
                                    "expression": .string(expression.replacing("NAME", with: name))
                                ],
                            ]
                        ],
                    ],
                ])
            XCTAssertEqual(policy.status, 201, policy.text)
            let binding = try server.request(
                "POST", "\(Self.path)/mutatingadmissionpolicybindings",
                [
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
                    "metadata": ["name": .string(name)], "spec": ["policyName": .string(name)],
                ])
            XCTAssertEqual(binding.status, 201, binding.text)
        }
        var pod = Self.pod("counted", nil)
        pod["metadata"]["annotations"] = ["n": "0"]
        var made: JSON = nil
        try server.eventually("all four policies are in force") {
            made = try self.server.request("POST", Self.pods + "?dryRun=All", pod).json
            return made["spec"]["containers"].count == 2
                && ["p1", "p2", "p3"].allSatisfy { made.annotations[$0].exists }
        }
        XCTAssertEqual(made.annotations["n"], "5", "three at first, then the two that look again")
        XCTAssertEqual(
            made["spec"]["containers"].arrayValue.map { $0["resources"]["limits"]["cpu"] }, ["100m", "100m"])
    }
}
