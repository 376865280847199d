import Objects
import XCTest

import ObjectSchema

final class ValidationTests: XCTestCase {
    private static let pod: JSON = [
        "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "namespace": "d"],
        "spec": ["containers": [["name": "c", "image": "i:1"]]],
    ]
    private static let deployment: JSON = [
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "d"],
        "spec": [
            "selector": ["matchLabels": ["a": "b"]],
            "template": ["metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "c", "image": "i:1"]]]],
        ],
    ]
    private static let service: JSON = [
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": "s"], "spec": ["ports": [["port": 80]]],
    ]

    /// Applies a merge patch, prunes, defaults and validates, as the API does.
    private func errors(_ base: JSON, _ patch: String) throws -> [String] {
        var object = try MergePatch.apply(JSON(parsing: patch), to: base)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        XCTAssertEqual(try Schema.shared.prune(&object, as: node), [])
        Schema.shared.applyDefaults(&object, as: node)
        return Schema.shared.validate(object, as: node).map(\.description)
    }

    private func check(_ base: JSON, _ rows: [(patch: String, errors: [String])], line: UInt = #line) throws {
        for row in rows { XCTAssertEqual(try errors(base, row.patch), row.errors, row.patch, line: line) }
    }

    func testValidObjects() throws {
        try check(Self.pod, [("{}", [])])
        try check(Self.deployment, [("{}", [])])
        try check(Self.service, [("{}", [])])
    }

    func testMetadata() throws {
        let subdomain =
            #"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#
        try check(
            Self.pod,
            [
                (#"{"metadata":{"name":""}}"#, ["metadata.name: Required value: name or generateName is required"]),
                (#"{"metadata":{"name":"A"}}"#, [#"metadata.name: Invalid value: "A": \#(subdomain)"#]),
                (#"{"metadata":{"generateName":"web-"}}"#, []),
                (
                    #"{"metadata":{"labels":{"a":"-"}}}"#,
                    [
                        "metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                    ]
                ),
                (
                    #"{"metadata":{"annotations":{"a":"\#(String(repeating: "x", count: 262_144))"}}}"#,
                    ["metadata.annotations: Too long: may not be more than 262144 bytes"]
                ),
                (
                    #"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x"}]}}"#,
                    ["metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"]
                ),
            ])
        XCTAssertEqual(
            try errors(
                [
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                    "metadata": ["name": "system:Node"],
                ], "{}"), [])
        XCTAssertEqual(
            try errors(["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "a.b"]], "{}").count, 1)
    }

    func testPods() throws {
        func containers(_ text: String) -> String { #"{"spec":{"containers":[\#(text)]}}"# }
        try check(
            Self.pod,
            [
                (#"{"spec":{"containers":[]}}"#, ["spec.containers: Required value"]),
                (containers(#"{"image":"i"}"#), ["spec.containers[0].name: Required value"]),
                (containers(#"{"name":"c"}"#), ["spec.containers[0].image: Required value"]),
                (
                    containers(#"{"name":"c","image":"i"},{"name":"c","image":"i"}"#),
                    [#"spec.containers[1].name: Duplicate value: "c""#]
                ),
                (
                    containers(#"{"name":"c","image":"i","imagePullPolicy":"No"}"#),
                    [
                        #"spec.containers[0].imagePullPolicy: Unsupported value: "No": supported values: "Always", "IfNotPresent", "Never""#
                    ]
                ),
                (
                    containers(#"{"name":"c","image":"i","ports":[{"containerPort":70000}]}"#),
                    [
                        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
                    ]
                ),
                (
                    containers(#"{"name":"c","image":"i","volumeMounts":[{"name":"v","mountPath":"/x"}]}"#),
                    [#"spec.containers[0].volumeMounts[0].name: Not found: "v""#]
                ),
                (
                    containers(#"{"name":"c","image":"i","livenessProbe":{}}"#),
                    ["spec.containers[0].livenessProbe: Required value: must specify a handler type"]
                ),
                (
                    containers(
                        #"{"name":"c","image":"i","livenessProbe":{"exec":{"command":["a"]},"successThreshold":2}}"#),
                    ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"]
                ),
                (
                    containers(#"{"name":"c","image":"i","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"2"}}}"#),
                    [
                        #"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#
                    ]
                ),
                (
                    containers(#"{"name":"c","image":"i","resources":{"limits":{"nvidia.com/gpu":"1500m"}}}"#),
                    [
                        #"spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "1500m": must be an integer"#,
                        #"spec.containers[0].resources.requests[nvidia.com/gpu]: Invalid value: "1500m": must be an integer"#,
                    ]
                ),
                (
                    containers(
                        #"{"name":"c","image":"i","env":[{"name":"A","value":"x","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}"#
                    ),
                    [
                        #"spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty"#
                    ]
                ),
                (
                    #"{"spec":{"restartPolicy":"Sometimes"}}"#,
                    [
                        #"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#
                    ]
                ),
                (
                    #"{"spec":{"volumes":[{"name":"v","emptyDir":{},"hostPath":{"path":"/x"}}]}}"#,
                    ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"]
                ),
                (
                    #"{"spec":{"volumes":[{"name":"v"},{"name":"v"}]}}"#,
                    [#"spec.volumes[1].name: Duplicate value: "v""#]
                ),
                (
                    #"{"spec":{"tolerations":[{"operator":"Exists","value":"x"}]}}"#,
                    [
                        #"spec.tolerations[0].operator: Invalid value: "x": value must be empty when `operator` is 'Exists'"#
                    ]
                ),
                (
                    #"{"spec":{"initContainers":[{"name":"i","image":"x","readinessProbe":{"tcpSocket":{"port":1}}}]}}"#,
                    [
                        "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
                    ]
                ),
                (
                    #"{"spec":{"dnsPolicy":"None"}}"#,
                    [
                        "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"
                    ]
                ),
                (
                    #"{"spec":{"terminationGracePeriodSeconds":-1}}"#,
                    []
                ),
            ])
    }

    func testServices() throws {
        try check(
            Self.service,
            [
                (#"{"spec":{"ports":null}}"#, ["spec.ports: Required value"]),
                (#"{"spec":{"ports":null,"clusterIP":"None"}}"#, []),
                (#"{"spec":{"ports":[{"port":1,"name":"a"},{"port":2}]}}"#, ["spec.ports[1].name: Required value"]),
                (
                    #"{"spec":{"ports":[{"port":1,"name":"a"},{"port":1,"name":"b"}]}}"#,
                    [
                        #"spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,"TargetPort":0,"NodePort":0}"#
                    ]
                ),
                (
                    #"{"spec":{"type":"Other"}}"#,
                    [
                        #"spec.type: Unsupported value: "Other": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#
                    ]
                ),
                (#"{"spec":{"type":"ExternalName"}}"#, ["spec.externalName: Required value"]),
                (
                    #"{"spec":{"ports":[{"port":80,"nodePort":30000}]}}"#,
                    ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
                ),
                (
                    #"{"spec":{"clusterIP":"x"}}"#,
                    [
                        #"spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#
                    ]
                ),
                (
                    #"{"spec":{"ports":[{"port":0}]}}"#,
                    [
                        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                        "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                    ]
                ),
                (
                    #"{"metadata":{"name":"1a"}}"#,
                    [
                        #"metadata.name: Invalid value: "1a": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#
                    ]
                ),
            ])
    }

    func testOtherKinds() throws {
        let rows: [(object: JSON, errors: [String])] = [
            (["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "c"], "data": ["a": "b"]], []),
            (
                ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "c"], "data": ["..": "b"]],
                [#"data[..]: Invalid value: "..": must not be '..'"#]
            ),
            (
                [
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "c"],
                    "data": ["a": .string(String(repeating: "x", count: 1_048_577))],
                ],
                ["[]: Too long: may not be more than 1048576 bytes"]
            ),
            (
                ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": "c"], "type": "kubernetes.io/tls"],
                ["data[tls.crt]: Required value", "data[tls.key]: Required value"]
            ),
            (
                [
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": "c"],
                    "spec": ["resources": ["requests": ["storage": "0"]]],
                ],
                [
                    "spec.accessModes: Required value: at least 1 access mode is required",
                    #"spec.resources[storage]: Invalid value: "0": must be greater than zero"#,
                ]
            ),
            (
                [
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": "c"],
                    "spec": ["accessModes": ["ReadWriteOnce"]],
                ], ["spec.resources[storage]: Required value"]
            ),
            (
                ["apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": ["name": "c"]],
                ["provisioner: Required value"]
            ),
            (
                [
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": ["name": "c"],
                    "roleRef": ["kind": "X", "name": "y"],
                    "subjects": [["kind": "ServiceAccount", "name": "s"]],
                ],
                [
                    #"roleRef.kind: Unsupported value: "X": supported values: "Role", "ClusterRole""#
                ]
            ),
            (
                [
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": "c"],
                    "spec": ["leaseDurationSeconds": 0],
                ],
                ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]
            ),
            (
                [
                    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "c"],
                    "spec": [
                        "rules": [
                            [
                                "http": [
                                    "paths": [
                                        [
                                            "path": "x", "pathType": "Prefix",
                                            "backend": ["service": ["name": "s", "port": ["number": 1]]],
                                        ]
                                    ]
                                ]
                            ]
                        ]
                    ],
                ],
                [#"spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path"#]
            ),
        ]
        for row in rows { XCTAssertEqual(try errors(row.object, "{}"), row.errors, "\(row.object.kind)") }
    }

    func testAddressesAndNetworkPolicies() throws {
        let address: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": ["name": "fe80::42:1dff:fe84:f9e2"],
            "spec": ["parentRef": ["resource": "services", "name": "s", "namespace": "d"]],
        ]
        let notAnAddress = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        try check(
            address,
            [
                ("{}", []), (#"{"metadata":{"name":"255.255.255.255"}}"#, []),
                (#"{"metadata":{"name":"x"}}"#, [#"metadata.name: Invalid value: "x": \#(notAnAddress)"#]),
                (#"{"spec":{"parentRef":null}}"#, ["spec.parentRef: Required value"]),
                (#"{"spec":{"parentRef":{"resource":""}}}"#, ["spec.parentRef.resource: Required value"]),
            ])
        let range: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": ["name": "r"],
            "spec": ["cidrs": ["10.98.0.0/16"]],
        ]
        let notARange = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        try check(
            range,
            [
                ("{}", []), (#"{"spec":{"cidrs":[]}}"#, ["spec.cidrs: Required value: at least one CIDR required"]),
                (#"{"spec":{"cidrs":["x"]}}"#, [#"spec.cidrs[0]: Invalid value: "x": \#(notARange)"#]),
            ])
        let policy: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": ["name": "p"],
            "spec": ["podSelector": [:]],
        ]
        func rule(_ text: String) -> String { #"{"spec":{"ingress":[\#(text)]}}"# }
        let (from, port) = ("spec.ingress[0].from[0]", "spec.ingress[0].ports[0].endPort")
        try check(
            policy,
            [
                ("{}", []), (rule(#"{"from":[{"podSelector":{}}],"ports":[{"port":80,"endPort":80}]}"#), []),
                (rule(#"{"from":[{}]}"#), ["\(from): Required value: must specify a peer"]),
                (
                    rule(#"{"from":[{"podSelector":{},"ipBlock":{"cidr":"10.0.0.0/8"}}]}"#),
                    ["\(from): Forbidden: may not specify both ipBlock and another peer"]
                ),
                (rule(#"{"from":[{"ipBlock":{"cidr":"fd00::/8","except":["fd01::/16"]}}]}"#), []),
                (
                    rule(#"{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16","11.0.0.0/16"]}}]}"#),
                    [#"\#(from).ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`"#]
                ),
                (
                    rule(#"{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.0.0.0/8"]}}]}"#),
                    [#"\#(from).ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`"#]
                ),
                (
                    rule(#"{"ports":[{"endPort":80}]}"#),
                    ["\(port): Invalid value: 80: may not be specified when `port` is not specified"]
                ),
                (
                    rule(#"{"ports":[{"port":"http","endPort":80}]}"#),
                    ["\(port): Invalid value: 80: may not be specified when `port` is non-numeric"]
                ),
                (
                    rule(#"{"ports":[{"port":90,"endPort":80}]}"#),
                    ["\(port): Invalid value: 80: must be greater than or equal to `port`"]
                ),
            ])
    }

    func testEvents() throws {
        let older: JSON = [
            "apiVersion": "v1", "kind": "Event", "metadata": ["name": "e", "namespace": "d"],
            "involvedObject": ["kind": "Pod", "name": "p", "namespace": "d"],
        ]
        let elsewhere = "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"
        let nowhere = "involvedObject.namespace: Invalid value: \"\": does not match event.namespace"
        try check(
            older,
            [
                ("{}", []), (#"{"involvedObject":{"namespace":"other"}}"#, [elsewhere]),
                (#"{"involvedObject":{"namespace":null}}"#, [nowhere]),
                (#"{"metadata":{"namespace":"default"},"involvedObject":{"namespace":null}}"#, []),
                (#"{"metadata":{"namespace":"kube-system"},"involvedObject":{"namespace":null}}"#, [nowhere]),
            ])
        var newer = older
        newer["eventTime"] = "2026-01-02T03:04:05.000006Z"
        newer["reportingComponent"] = "a.b/c"
        for (field, text) in [("reportingInstance", "i"), ("action", "Do"), ("reason", "Because")] {
            newer[field] = .string(text)
        }
        let long = String(repeating: "x", count: 1025)
        try check(
            newer,
            [
                ("{}", []), (#"{"involvedObject":{"namespace":"other"}}"#, []),
                (#"{"metadata":{"namespace":"kube-system"},"involvedObject":{"namespace":null}}"#, []),
                (#"{"action":""}"#, ["action: Required value"]), (#"{"reason":null}"#, ["reason: Required value"]),
                (#"{"reportingComponent":""}"#, ["reportingController: Required value"]),
                (#"{"reportingInstance":""}"#, ["reportingInstance: Required value"]),
                (
                    "{\"message\":\"\(long)\"}",
                    ["message: Invalid value: \"\": can have at most 1024 characters"]
                ),
            ])
    }

    func testUpdates() throws {
        let rows: [(base: JSON, patch: String, errors: [String])] = [
            (Self.pod, #"{"spec":{"containers":[{"name":"c","image":"i:2"}]}}"#, []),
            (Self.pod, #"{"spec":{"tolerations":[{"operator":"Exists"}]}}"#, []),
            (
                Self.pod, #"{"spec":{"hostNetwork":true}}"#,
                [
                    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
                ]
            ),
            (Self.pod, #"{"metadata":{"name":"q"}}"#, [#"metadata.name: Invalid value: "q": field is immutable"#]),
            (Self.deployment, #"{"spec":{"replicas":3}}"#, []),
            (
                Self.deployment,
                #"{"spec":{"selector":{"matchLabels":{"a":"b","c":"d"}},"template":{"metadata":{"labels":{"c":"d"}}}}}"#,
                [#"spec.selector: Invalid value: {"matchLabels":{"a":"b","c":"d"}}: field is immutable"#]
            ),
            (
                ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"]], #"{"type":"x"}"#,
                [#"type: Invalid value: "x": field is immutable"#]
            ),
            (
                ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "s"], "immutable": true],
                #"{"data":{"a":"b"}}"#,
                ["data: Forbidden: field is immutable when `immutable` is set"]
            ),
            (
                [
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": ["name": "c"],
                    "roleRef": ["kind": "Role", "name": "y"],
                ],
                #"{"roleRef":{"name":"z"}}"#,
                [
                    #"roleRef: Invalid value: {"kind":"Role","name":"z","apiGroup":"rbac.authorization.k8s.io"}: cannot change roleRef"#
                ]
            ),
        ]
        for row in rows {
            let node = try XCTUnwrap(Schema.shared.kind(of: row.base))
            var old = row.base
            var new = try MergePatch.apply(JSON(parsing: row.patch), to: row.base)
            Schema.shared.applyDefaults(&old, as: node)
            Schema.shared.applyDefaults(&new, as: node)
            XCTAssertEqual(
                Schema.shared.validateUpdate(from: old, to: new, as: node).map(\.description), row.errors, row.patch)
        }
    }

    func testAggregates() {
        let one = FieldError.required("spec.a", "b")
        XCTAssertEqual([one].aggregateMessage, "spec.a: Required value: b")
        XCTAssertEqual(
            [one, one, .tooMany("x", 3, limit: 2)].aggregateMessage,
            "[spec.a: Required value: b, x: Too many: 3: must have at most 2 items]")
    }
}
