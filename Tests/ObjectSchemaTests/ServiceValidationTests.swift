import Objects
import XCTest

import ObjectSchema

/// Rules of what leads traffic to pods: services, their endpoints, ingresses and ingress classes.
final class ServiceValidationTests: XCTestCase {
    private struct Row {
        var change: String
        var errors: [String]

        init(_ change: String, _ errors: String...) {
            self.change = change
            self.errors = errors
        }
    }

    private func object(_ base: JSON, _ change: String) throws -> (JSON, SchemaNode) {
        var object = try MergePatch.apply(JSON(parsing: change), to: base)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        XCTAssertEqual(try Schema.shared.prune(&object, as: node), [], change)
        Schema.shared.applyDefaults(&object, as: node)
        return (object, node)
    }

    private func check(_ base: JSON, _ rows: [Row], line: UInt = #line) throws {
        for row in rows {
            let (object, node) = try object(base, row.change)
            XCTAssertEqual(
                Schema.shared.validate(object, as: node).map(\.description), row.errors, row.change, line: line)
        }
    }

    private static let service: JSON = [
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": "s"], "spec": ["ports": [["port": 80]]],
    ]

    func testServices() throws {
        try check(
            Self.service,
            [
                Row(
                    #"{"spec":{"type":"LoadBalancer","loadBalancerClass":"a.example/b","loadBalancerSourceRanges":["10.0.0.0/8"]}}"#
                ),
                Row(
                    #"{"spec":{"loadBalancerClass":"a","allocateLoadBalancerNodePorts":false,"loadBalancerSourceRanges":["10.0.0.0/8"]}}"#,
                    "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
                    "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
                    "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"),
                Row(#"{"spec":{"type":"LoadBalancer","ports":[{"port":10250}]}}"#),
                Row(
                    #"{"spec":{"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":30001}}"#),
                Row(
                    #"{"spec":{"type":"NodePort","externalTrafficPolicy":"Local","healthCheckNodePort":30001}}"#,
                    "spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
                ),
                Row(
                    #"{"spec":{"type":"NodePort","ports":[{"name":"a","port":1,"nodePort":30001},{"name":"b","port":2,"nodePort":30001}]}}"#,
                    "spec.ports[1].nodePort: Duplicate value: 30001"),
                Row(
                    #"{"spec":{"type":"NodePort","ports":[{"name":"a","port":1,"nodePort":30001},{"name":"b","port":1,"protocol":"UDP","nodePort":30001}]}}"#
                ),
                Row(
                    #"{"spec":{"externalIPs":["127.0.0.1","0.0.0.0","169.254.1.1","224.0.0.1","::1","fe80::1","ff02::1","1.2.3.4"]}}"#,
                    #"spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#,
                    #"spec.externalIPs[1]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)"#,
                    #"spec.externalIPs[2]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)"#,
                    #"spec.externalIPs[3]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"#,
                    #"spec.externalIPs[4]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#,
                    #"spec.externalIPs[5]: Invalid value: "fe80::1": may not be in the link-local range (169.254.0.0/16, fe80::/10)"#,
                    #"spec.externalIPs[6]: Invalid value: "ff02::1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"#
                ),
                Row(
                    #"{"spec":{"type":"ExternalName","externalName":"a.example","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack"}}"#,
                    "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
                    "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services"),
            ])
    }

    func testStatuses() throws {
        let notAnAddress = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        try check(
            Self.service,
            [
                Row(
                    #"{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1","ipMode":"Proxy"},{"hostname":"a.example"}]}}}"#
                ),
                Row(
                    #"{"status":{"loadBalancer":{"ingress":[{"ip":"x"},{"ip":"203.0.113.1","ipMode":"x"}]}}}"#,
                    #"status.loadBalancer.ingress[0].ip: Invalid value: "x": \#(notAnAddress)"#,
                    #"status.loadBalancer.ingress[1].ipMode: Unsupported value: "x": supported values: "Proxy", "VIP""#),
                Row(
                    #"{"spec":{"trafficDistribution":"x"}}"#,
                    #"spec.trafficDistribution: Unsupported value: "x": supported values: "PreferClose", "PreferSameNode", "PreferSameZone""#
                ),
            ])
        try check(
            [
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "i"],
                "spec": ["defaultBackend": ["service": ["name": "s", "port": ["number": 80]]]],
            ],
            [
                Row(
                    #"{"status":{"loadBalancer":{"ingress":[{"ip":"x"}]}}}"#,
                    #"status.loadBalancer.ingress[0].ip: Invalid value: "x": \#(notAnAddress)"#),
                Row(
                    #"{"spec":{"defaultBackend":{"service":{"port":{"number":70000}}}}}"#,
                    "spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"
                ),
            ])
    }

    /// An affinity that is switched off takes its time-out along, which a client sends back as it got it.
    func testAffinityIsSwitched() throws {
        let (sticky, _) = try object(Self.service, #"{"spec":{"sessionAffinity":"ClientIP"}}"#)
        XCTAssertEqual(sticky["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10800)
        let (loose, node) = try object(sticky, #"{"spec":{"sessionAffinity":"None"}}"#)
        XCTAssertFalse(loose["spec"]["sessionAffinityConfig"].exists)
        XCTAssertEqual(Schema.shared.validateUpdate(from: sticky, to: loose, as: node), [])
    }

    func testUpdatesOfServices() throws {
        let local =
            #""type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":30001,"loadBalancerClass":"a.example/b""#
        let rows: [(before: String, after: String, errors: [String], reason: String)] = [
            (local, #""healthCheckNodePort":30001"#, [], "nothing changes"),
            (
                local, #""healthCheckNodePort":30002"#,
                [
                    "spec.healthCheckNodePort: Forbidden: field is immutable"
                ], "balancers ask there"
            ),
            (
                local, #""externalTrafficPolicy":"Cluster","healthCheckNodePort":null"#, [],
                "who leads to all nodes has no need of it"
            ),
            (
                local, #""loadBalancerClass":"c.example/d""#,
                ["spec.loadBalancerClass: Invalid value: \"c.example/d\": may not change once set"],
                "another balances it"
            ),
            (#""type":"ClusterIP""#, local, [], "a class comes with the type"),
        ]
        for row in rows {
            let (before, node) = try object(Self.service, "{\"spec\":{\(row.before)}}")
            let (after, _) = try object(before, "{\"spec\":{\(row.after)}}")
            XCTAssertEqual(
                Schema.shared.validateUpdate(from: before, to: after, as: node).map(\.description), row.errors,
                row.reason)
        }
    }

    func testIngresses() throws {
        let ingress: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "i"],
            "spec": ["defaultBackend": ["service": ["name": "s", "port": ["number": 80]]]],
        ]
        func rule(_ path: String, _ type: String = "Prefix", host: String = "") -> String {
            #"{"spec":{"rules":[{"host":"\#(host)","http":{"paths":[{"path":"\#(path)","pathType":"\#(type)","backend":{"service":{"name":"s","port":{"name":"http"}}}}]}}]}}"#
        }
        try check(
            ingress,
            [
                Row("{}"), Row(rule("/a/b")), Row(rule("/", host: "*.example.com")),
                Row(rule("", "ImplementationSpecific", host: "a.example.com")),
                Row(#"{"spec":{"tls":[{"hosts":["a.example.com","*.b.example.com"],"secretName":"t"}]}}"#),
                Row(
                    #"{"spec":{"defaultBackend":null}}"#,
                    "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"),
                Row(
                    #"{"spec":{"defaultBackend":{"service":null}}}"#,
                    #"spec.defaultBackend: Invalid value: "": resource or service backend is required"#),
                Row(
                    #"{"spec":{"defaultBackend":{"resource":{"apiGroup":"a.example","kind":"B","name":"c"}}}}"#,
                    #"spec.defaultBackend: Invalid value: "": cannot set both resource and service backends"#),
                Row(
                    #"{"spec":{"rules":[{"http":{"paths":[]}}]}}"#, "spec.rules[0].http.paths: Required value"),
                Row(
                    rule("/a//b/%2f/.."),
                    #"spec.rules[0].http.paths[0].path: Invalid value: "/a//b/%2f/..": must not contain '//'"#,
                    #"spec.rules[0].http.paths[0].path: Invalid value: "/a//b/%2f/..": must not contain '%2f'"#,
                    #"spec.rules[0].http.paths[0].path: Invalid value: "/a//b/%2f/..": cannot end with '/..'"#),
                Row(
                    rule("a", "ImplementationSpecific"),
                    #"spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path"#),
                Row(
                    rule("/", host: "10.1.2.3"),
                    #"spec.rules[0].host: Invalid value: "10.1.2.3": must be a DNS name, not an IP address"#),
            ])
    }

    func testIngressClasses() throws {
        let ingressClass: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": ["name": "c"],
            "spec": ["controller": "example.com/controller"],
        ]
        try check(
            ingressClass,
            [
                Row("{}"), Row(#"{"spec":{"parameters":{"kind":"K","name":"n"}}}"#),
                Row(#"{"spec":{"controller":""}}"#, "spec.controller: Required value"),
                Row(
                    #"{"spec":{"controller":"example"}}"#,
                    #"spec.controller: Invalid value: "example": must be a domain-prefixed path (such as "acme.io/foo")"#
                ),
                Row(
                    #"{"spec":{"parameters":{"kind":"K","name":"n","scope":"Namespace"}}}"#,
                    "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"),
                Row(
                    #"{"spec":{"parameters":{"kind":"K","name":"n","namespace":"d"}}}"#,
                    "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"),
                Row(
                    #"{"spec":{"parameters":{"kind":"K","name":"n","scope":"Zone"}}}"#,
                    #"spec.parameters.scope: Unsupported value: "Zone": supported values: "Cluster", "Namespace""#),
            ])
    }

    func testEndpoints() throws {
        let endpoints: JSON = [
            "apiVersion": "v1", "kind": "Endpoints", "metadata": ["name": "e"],
            "subsets": [["addresses": [["ip": "10.1.2.3"]], "ports": [["port": 80]]]],
        ]
        try check(
            endpoints,
            [
                Row("{}"), Row(#"{"subsets":[{"notReadyAddresses":[{"ip":"10.1.2.3"}]}]}"#),
                Row(
                    #"{"subsets":[{"ports":[{"port":80}]}]}"#,
                    "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
                Row(
                    #"{"subsets":[{"addresses":[{"ip":"10.1.2.3"}],"ports":[{"name":"a","port":80},{"port":81}]}]}"#,
                    "subsets[0].ports[1].name: Required value"),
            ])
        let slice: JSON = [
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": ["name": "e"],
            "addressType": "IPv4", "endpoints": [["addresses": ["10.1.2.3"]]],
        ]
        try check(
            slice,
            [
                Row("{}"), Row(#"{"addressType":"IPv6","endpoints":[{"addresses":["fd00::1"]}]}"#),
                Row(#"{"addressType":"FQDN","endpoints":[{"addresses":["a.example"]}]}"#),
                Row(
                    #"{"endpoints":[{"addresses":["10.1.2.3"]},{"addresses":["fd00::1"]}]}"#,
                    #"endpoints[1].addresses[0]: Invalid value: "fd00::1": must be a valid IPv4 address"#),
            ])
    }

    /// None may be unavailable: such a rollout would never begin.
    func testStatefulSetsRollOut() throws {
        let set: JSON = [
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": ["name": "s"],
            "spec": [
                "serviceName": "s", "selector": ["matchLabels": ["a": "b"]],
                "template": [
                    "metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "c", "image": "i:1"]]],
                ],
            ],
        ]
        try check(
            set,
            [
                Row(#"{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":2}}}}"#),
                Row(#"{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"10%"}}}}"#),
                Row(
                    #"{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":0}}}}"#,
                    "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"),
                Row(
                    #"{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"0%"}}}}"#,
                    #"spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "0%": cannot be 0"#),
            ])
    }
}
