import Objects
import XCTest

import ObjectSchema

/// What clients are told of objects that are valid.
final class ObjectWarningsTests: XCTestCase {
    private func warnings(_ resource: String, _ object: JSON, before: JSON? = nil) -> [String] {
        var object = object
        if object["metadata"]["name"].isNull { object["metadata"]["name"] = "a" }
        return ObjectWarnings.texts(for: object, before: before, resource: resource)
    }

    private func pod(_ spec: JSON, annotations: JSON = [:]) -> JSON {
        ["metadata": ["annotations": annotations], "spec": spec]
    }

    func testPods() {
        let rows: [(spec: JSON, warnings: [String])] = [
            (
                ["containers": [["name": "c", "env": [["name": "A", "value": "1"], ["name": "B", "value": "2"]]]]], []
            ),
            (
                ["containers": [["name": "c", "env": [["name": "A", "value": "1"], ["name": "A", "value": "2"]]]]],
                [#"spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#]
            ),
            (["containers": [["env": [["name": "A", "value": "1"], ["name": "A", "value": "$(A)2"]]]]], []),
            (
                ["initContainers": [["env": [["name": "A"], ["name": "A", "value": "$(A)"]]]]],
                [
                    #"spec.initContainers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#
                ]
            ),
            (
                ["nodeSelector": ["beta.kubernetes.io/os": "linux"]],
                [
                    #"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#
                ]
            ),
            (
                [
                    "affinity": [
                        "nodeAffinity": [
                            "requiredDuringSchedulingIgnoredDuringExecution": [
                                "nodeSelectorTerms": [
                                    ["matchExpressions": [["key": "failure-domain.beta.kubernetes.io/zone"]]]
                                ]
                            ]
                        ], "podAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [["topologyKey": "x"]]],
                    ]
                ],
                [
                    #"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#,
                    "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
                ]
            ),
            (
                ["topologySpreadConstraints": [["topologyKey": "kubernetes.io/hostname"]]],
                [
                    "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"
                ]
            ),
            (
                [
                    "volumes": [
                        ["name": "v", "gitRepo": [:]], ["name": "w", "cephfs": [:]], ["name": "x", "emptyDir": [:]],
                    ]
                ],
                [
                    "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
                    "spec.volumes[1].cephfs: deprecated in v1.28, non-functional in v1.31+",
                ]
            ),
            (
                ["imagePullSecrets": [["name": "s"], ["name": "s"], ["name": ""]]],
                [
                    #"spec.imagePullSecrets[1].name: duplicate name "s""#,
                    #"spec.imagePullSecrets[2].name: invalid empty name """#,
                ]
            ),
            (
                ["containers": [["resources": ["limits": ["memory": "100m", "cpu": "100m"]]]]],
                [
                    #"spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer"#
                ]
            ),
            (
                [
                    "containers": [
                        ["ports": [["containerPort": 80], ["containerPort": 80, "protocol": "UDP"]]],
                        ["ports": [["containerPort": 80], ["containerPort": 80, "hostPort": 8080]]],
                    ]
                ],
                [
                    "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
                    "spec.containers[1].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
                    "spec.containers[1].ports[1]: overlapping port definition with spec.containers[1].ports[0]",
                ]
            ),
            (
                [
                    "containers": [
                        ["ports": [["name": "p", "containerPort": 80, "protocol": "TCP", "hostIP": "1.2.3.4"]]]
                    ]
                ],
                [
                    "spec.containers[0].ports[0]: hostIP set without hostPort: {Name:p HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.2.3.4}"
                ]
            ),
            (
                ["terminationGracePeriodSeconds": -1],
                [
                    "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
                ]
            ),
        ]
        for row in rows { XCTAssertEqual(warnings("pods", pod(row.spec)), row.warnings) }
        XCTAssertEqual(warnings("pods", pod(rows[1].spec), before: [:]), [], "pods are seldom written again by people")
        let old = "seccomp.security.alpha.kubernetes.io/pod"
        XCTAssertEqual(
            warnings("pods", pod([:], annotations: .object(JSONObject([(old, JSON.string("x"))])))),
            ["metadata.annotations[\(old)]: non-functional in v1.27+; use the \"seccompProfile\" field instead"])
        XCTAssertEqual(
            warnings(
                "pods",
                pod(
                    ["securityContext": ["seccompProfile": [:]]],
                    annotations: .object(JSONObject([(old, JSON.string("x"))])))), [])
    }

    func testNamesAndTemplates() {
        let template = pod(["containers": [["env": [["name": "A"], ["name": "A"]]]]])
        let hidden = #".env[1]: hides previous definition of "A", which may be dropped when using apply"#
        let deployment: JSON = ["metadata": ["generation": 2], "spec": ["template": template]]
        XCTAssertEqual(
            warnings("deployments.apps", deployment), ["spec.template.spec.containers[0]" + hidden])
        XCTAssertEqual(
            warnings("deployments.apps", deployment, before: ["metadata": ["generation": 1]]),
            ["spec.template.spec.containers[0]" + hidden])
        XCTAssertEqual(
            warnings("deployments.apps", deployment, before: ["metadata": ["generation": 2]]), [],
            "nothing of what is wanted has changed")
        XCTAssertEqual(
            warnings("cronjobs.batch", ["spec": ["jobTemplate": ["spec": ["template": template]]]]),
            ["spec.jobTemplate.spec.template.spec.containers[0]" + hidden])
        let dotted = warnings("statefulsets.apps", ["metadata": ["name": "a.b"]])
        XCTAssertEqual(dotted.count, 1)
        XCTAssertTrue(
            dotted[0].hasPrefix(
                "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
            ), dotted[0])
        XCTAssertEqual(warnings("daemonsets.apps", ["metadata": ["name": "a.b"]]), [])
    }

    func testOtherKinds() {
        let rows: [(resource: String, object: JSON, warnings: [String])] = [
            (
                "services", ["spec": ["type": "ClusterIP", "externalName": "x"]],
                [#"spec.externalName is ignored when spec.type is not "ExternalName""#]
            ),
            (
                "services", ["spec": ["type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "ClientIP"]],
                ["spec.SessionAffinity is ignored for headless services"]
            ),
            ("services", ["spec": ["type": "ExternalName", "externalName": "x"]], []),
            (
                "persistentvolumes", ["spec": ["persistentVolumeReclaimPolicy": "Recycle", "rbd": [:]]],
                [
                    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
                    "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
                ]
            ),
            (
                "persistentvolumeclaims",
                [
                    "metadata": ["annotations": ["volume.beta.kubernetes.io/storage-class": "x"]],
                    "spec": ["resources": ["requests": ["storage": "500m"]]],
                ],
                [
                    #"metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead"#,
                    #"spec.resources.requests[storage]: fractional byte value "500m" is invalid, must be an integer"#,
                ]
            ),
            (
                "ingresses.networking.k8s.io", ["metadata": ["annotations": ["kubernetes.io/ingress.class": "x"]]],
                [
                    #"annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead"#
                ]
            ),
            (
                "nodes", ["spec": ["externalID": "x"]],
                ["spec.externalID: this field is deprecated, and is unused by Kubernetes"]
            ),
            ("configmaps", ["data": ["a": "b"]], []),
        ]
        for row in rows { XCTAssertEqual(warnings(row.resource, row.object), row.warnings, row.resource) }
    }
}
