import Objects
import XCTest

@testable import API

final class NodeAuthorizerTests: XCTestCase {
    private let graph = NodeGraph(host: nil)

    private func pod(_ name: String, node: String, _ spec: JSON, annotations: JSON = nil) {
        var spec = spec
        spec["nodeName"] = .string(node)
        var metadata: JSON = ["name": .string(name), "namespace": "ns"]
        if annotations.exists { metadata["annotations"] = annotations }
        graph.put("pods", PodReferences.kept(["metadata": metadata, "spec": spec]))
    }

    override func setUp() {
        pod(
            "web", node: "n1",
            [
                "serviceAccountName": "sa", "imagePullSecrets": [["name": "pull"]],
                "containers": [
                    [
                        "envFrom": [["secretRef": ["name": "env-from"]], ["configMapRef": ["name": "settings"]]],
                        "env": [["valueFrom": ["secretKeyRef": ["name": "env-key"]]]],
                    ]
                ], "initContainers": [["env": [["valueFrom": ["configMapKeyRef": ["name": "init"]]]]]],
                "volumes": [
                    ["secret": ["secretName": "volume"]], ["persistentVolumeClaim": ["claimName": "data"]],
                    ["name": "scratch", "ephemeral": [:]],
                    ["projected": ["sources": [["secret": ["name": "projected"]], ["configMap": ["name": "ca"]]]]],
                ], "resourceClaims": [["resourceClaimName": "gpu"]],
            ])
        pod("shared", node: "n2", ["containers": [["envFrom": [["secretRef": ["name": "env-from"]]]]]])
        pod(
            "mirror", node: "n2", ["volumes": [["secret": ["secretName": "stolen"]]]],
            annotations: ["kubernetes.io/config.mirror": "x"])
        graph.put(
            "persistentvolumes",
            VolumeReferences.kept([
                "metadata": ["name": "pv"],
                "spec": [
                    "claimRef": ["namespace": "ns", "name": "data"],
                    "csi": ["nodeStageSecretRef": ["namespace": "csi", "name": "stage"]],
                ],
            ]))
        graph.put("volumeattachments.storage.k8s.io", ["metadata": ["name": "va"], "node": "n1"])
    }

    private func decide(_ node: String, _ wanted: Authorizer.Attributes) -> String {
        switch NodeRules(node: node, graph: graph).decide(wanted) {
        case .allowed: "yes"
        case .noOpinion(let reason), .denied(let reason): reason
        case .mustWait: "wait"
        }
    }

    func testDecisions() {
        func get(_ resource: String, _ name: String, _ group: String = "", namespace: String = "ns")
            -> Authorizer.Attributes
        {
            .init(verb: "get", group: group, resource: resource, namespace: namespace, name: name)
        }
        func unrelated(_ node: String) -> String {
            "no relationship found between node '\(node)' and this object"
        }
        let rows: [(String, Authorizer.Attributes, String, String)] = [
            ("n1", get("secrets", "env-from"), "yes", "a secret of the environment"),
            ("n2", get("secrets", "env-from"), "yes", "used on two nodes"),
            ("n1", get("secrets", "env-key"), "yes", "one key of it"), ("n1", get("secrets", "pull"), "yes", "images"),
            ("n1", get("secrets", "volume"), "yes", "a volume"),
            ("n1", get("secrets", "projected"), "yes", "projected"),
            ("n1", get("secrets", "stage", namespace: "csi"), "yes", "of a volume that a claim of a pod is bound to"),
            ("n2", get("secrets", "stage", namespace: "csi"), unrelated("n2"), "the same for another node"),
            ("n2", get("secrets", "volume"), unrelated("n2"), "of a pod elsewhere"),
            ("n2", get("secrets", "stolen"), unrelated("n2"), "a mirror pod brings nothing"),
            ("n1", get("secrets", "env-from", namespace: "other"), unrelated("n1"), "the same name elsewhere"),
            (
                "n1", .init(verb: "list", resource: "secrets", namespace: "ns"), "No Object name found",
                "all secrets of a namespace"
            ),
            (
                "n1", .init(verb: "watch", resource: "secrets", namespace: "ns", name: "volume"), "yes",
                "a watch of one secret"
            ),
            (
                "n1", .init(verb: "list", resource: "secrets", name: "volume"),
                "can only read namespaced object of this type", "in all namespaces"
            ),
            (
                "n1", .init(verb: "update", resource: "secrets", namespace: "ns", name: "volume"),
                "can only read resources of this type", "a write"
            ),
            ("n1", get("configmaps", "settings"), "yes", "a config map"),
            ("n1", get("configmaps", "init"), "yes", "of an init container"),
            ("n1", get("configmaps", "ca"), "yes", "projected"),
            ("n1", get("persistentvolumeclaims", "data"), "yes", "a claim"),
            ("n1", get("persistentvolumeclaims", "web-scratch"), "yes", "the claim of an ephemeral volume"),
            ("n1", get("persistentvolumes", "pv", namespace: ""), "yes", "the volume of a claim"),
            ("n2", get("persistentvolumes", "pv", namespace: ""), unrelated("n2"), "for another node"),
            ("n1", get("resourceclaims", "gpu", "resource.k8s.io"), "yes", "a resource claim"),
            ("n1", get("volumeattachments", "va", "storage.k8s.io", namespace: ""), "yes", "its attachment"),
            ("n2", get("volumeattachments", "va", "storage.k8s.io", namespace: ""), unrelated("n2"), "another's"),
            (
                "n1",
                .init(
                    verb: "create", resource: "serviceaccounts", subresource: "token", namespace: "ns", name: "sa"),
                "yes", "tokens of its pods' accounts"
            ),
            (
                "n2",
                .init(
                    verb: "create", resource: "serviceaccounts", subresource: "token", namespace: "ns", name: "sa"),
                unrelated("n2"), "of others' not"
            ),
            ("n1", get("nodes", "n1", namespace: ""), "yes", "itself"),
            (
                "n1", get("nodes", "n2", namespace: ""), "node 'n1' cannot read 'n2', only its own Node object",
                "another"
            ),
            ("n1", get("pods", "web"), "yes", "its pod"), ("n2", get("pods", "web"), unrelated("n2"), "another's"),
            (
                "n1", .init(verb: "list", resource: "pods", fields: AccessSelector(fields: "spec.nodeName=n1")), "yes",
                "all its pods"
            ),
            (
                "n1", .init(verb: "list", resource: "pods"),
                "can only list/watch pods with spec.nodeName field selector", "all pods"
            ),
            (
                "n1",
                .init(
                    verb: "update", group: "coordination.k8s.io", resource: "leases", namespace: "kube-node-lease",
                    name: "n1"), "yes", "its lease"
            ),
            (
                "n1",
                .init(
                    verb: "update", group: "coordination.k8s.io", resource: "leases", namespace: "kube-node-lease",
                    name: "n2"), "can only access node lease with the same name as the requesting node",
                "another's lease"
            ),
            (
                "n1",
                .init(
                    verb: "update", group: "coordination.k8s.io", resource: "leases", namespace: "default", name: "n1"),
                "can only access leases in the \"kube-node-lease\" system namespace", "a lease elsewhere"
            ),
            (
                "n1",
                .init(
                    verb: "list", group: "coordination.k8s.io", resource: "leases", namespace: "default", name: "n1"),
                "can only get, create, update, patch, or delete a node lease", "what nobody does with one comes first"
            ),
            (
                "n1",
                .init(verb: "get", group: "storage.k8s.io", resource: "csinodes", subresource: "status", name: "n1"),
                "cannot authorize CSINode subresources", "a part that there is not"
            ),
            ("n1", .init(verb: "watch", resource: "pods", namespace: "ns", name: "web"), "yes", "a watch of its pod"),
            (
                "n2", .init(verb: "watch", resource: "pods", namespace: "ns", name: "web"), unrelated("n2"),
                "of another's"
            ),
            (
                "n1",
                .init(
                    verb: "get", resource: "persistentvolumeclaims", subresource: "status", namespace: "ns",
                    name: "data"), "can only get/update/patch this type", "the status of a claim is written"
            ),
            (
                "n1",
                .init(verb: "list", group: "resource.k8s.io", resource: "resourceslices"),
                "can only list/watch/deletecollection resourceslices with nodeName field selector", "all slices"
            ),
            (
                "n1",
                .init(verb: "get", group: "resource.k8s.io", resource: "resourceslices", subresource: "x", name: "s"),
                "cannot authorize ResourceSlice subresources", "a part of a slice"
            ),
            (
                "n1", .init(verb: "create", resource: "serviceaccounts", subresource: "token", namespace: "ns"),
                "can only create tokens for individual service accounts", "a token of no account"
            ),
            ("n1", .init(verb: "watch", resource: "services"), "yes", "what all nodes may"),
            ("n1", .init(verb: "delete", resource: "services", namespace: "ns", name: "s"), "", "what none may"),
            ("n1", .init(verb: "get", path: "/metrics"), "", "paths are for others to decide"),
        ]
        for (node, wanted, expected, reason) in rows { XCTAssertEqual(decide(node, wanted), expected, reason) }
    }

    func testRelationsEndWithThePod() {
        let secret = Authorizer.Attributes(verb: "get", resource: "secrets", namespace: "ns", name: "env-from")
        graph.remove("pods", ["metadata": ["name": "shared", "namespace": "ns"]])
        XCTAssertNotEqual(decide("n2", secret), "yes", "its pod is gone")
        XCTAssertEqual(decide("n1", secret), "yes", "the other's is not")
        pod("web", node: "n1", ["containers": []])
        XCTAssertNotEqual(decide("n1", secret), "yes", "the pod does not refer to it any more")
        graph.remove("persistentvolumes", ["metadata": ["name": "pv"]])
        XCTAssertNotEqual(
            decide("n1", .init(verb: "get", resource: "secrets", namespace: "csi", name: "stage")), "yes",
            "the volume is gone")
    }

    func testOverTheAPI() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let root = "/api/v1/namespaces/default"
        func send(_ method: String, _ path: String, _ body: JSON? = nil, node: String? = nil) throws
            -> TLSClient.Response
        {
            try server.request(
                method, path, body,
                headers: node.map { ["Impersonate-User": "system:node:\($0)", "Impersonate-Group": "system:nodes"] }
                    ?? [:])
        }
        for name in ["used", "unused"] {
            let secret: JSON = ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": .string(name)]]
            XCTAssertEqual(try send("POST", root + "/secrets", secret).status, 201)
        }
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
            "spec": [
                "nodeName": "n1", "containers": [["name": "c", "image": "i"]],
                "volumes": [["name": "v", "secret": ["secretName": "used"]]],
            ],
        ]
        let made = try send("POST", root + "/pods", pod)
        XCTAssertEqual(made.status, 201, made.text)
        try server.eventually("the node reads what its pod uses") {
            try send("GET", root + "/secrets/used", node: "n1").status == 200
        }
        let refused = try send("GET", root + "/secrets/unused", node: "n1")
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "secrets \"unused\" is forbidden: User \"system:node:n1\" cannot get resource \"secrets\" in API group \"\" in "
                + "the namespace \"default\": no relationship found between node 'n1' and this object")
        XCTAssertEqual(try send("GET", root + "/secrets/used", node: "n2").status, 403)
        XCTAssertEqual(try send("GET", root + "/secrets?fieldSelector=metadata.name%3Dused", node: "n1").status, 200)
        XCTAssertEqual(try send("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", node: "n1").status, 200)
        XCTAssertEqual(try send("GET", "/api/v1/pods", node: "n1").status, 403)
        XCTAssertEqual(
            try send("GET", "/api/v1/pods?fieldSelector=spec.nodeName%21%3Dn1", node: "n1").status, 403,
            "what is not equal is not selected by equality")
        let review = try send(
            "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            [
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": [
                    "user": "system:node:n2", "groups": ["system:nodes"],
                    "resourceAttributes": [
                        "verb": "get", "resource": "secrets", "namespace": "default", "name": "used",
                    ],
                ],
            ])
        XCTAssertEqual(
            try review.json["status"],
            ["allowed": false, "reason": "no relationship found between node 'n2' and this object"])
    }
}
