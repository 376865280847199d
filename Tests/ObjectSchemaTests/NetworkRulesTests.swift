import ObjectSchema
import Objects
import XCTest

final class NetworkRulesTests: XCTestCase {
    private static let label =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    private static let subdomain =
        #"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#

    private func spec(_ text: String) -> String { #"{"spec":{\#(text)}}"# }

    // MARK: - Ingresses

    private static let ingress: JSON = [
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "i"],
        "spec": ["defaultBackend": ["service": ["name": "s", "port": ["number": 80]]]],
    ]

    func testBackends() throws {
        func backend(_ text: String) -> String { spec(#""defaultBackend":{\#(text)}"#) }
        let path = "spec.defaultBackend"
        try ValidationCases.check(
            Self.ingress,
            [
                ("{}", []), (backend(#""service":{"name":"1s"}"#), []),
                (
                    backend(#""service":{"name":"","port":{"name":"web"}}"#),
                    [
                        "\(path).service.name: Required value",
                        #"\#(path): Invalid value: "": cannot set both port name & port number"#,
                    ]
                ),
                (
                    backend(#""service":{"port":{"number":null}}"#),
                    ["\(path): Required value: port name or number is required"]
                ),
                (
                    backend(#""service":{"port":{"number":70000}}"#),
                    [
                        "\(path).service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"
                    ]
                ),
                (
                    backend(#""service":{"name":"s.t"}"#),
                    [#"\#(path).service.name: Invalid value: "s.t": must not contain dots"#]
                ),
                (
                    backend(#""resource":{"kind":"K","name":"n"}"#),
                    [#"\#(path): Invalid value: "": cannot set both resource and service backends"#]
                ),
                (
                    backend(#""service":null"#),
                    [#"\#(path): Invalid value: "": resource or service backend is required"#]
                ),
                (
                    backend(#""service":null,"resource":{"apiGroup":"A","kind":"a/b","name":""}"#),
                    [
                        #"\#(path).resource.apiGroup: Invalid value: "A": \#(Self.subdomain)"#,
                        #"\#(path).resource.kind: Invalid value: "a/b": may not contain '/'"#,
                        "\(path).resource.name: Required value",
                    ]
                ),
                (
                    spec(#""defaultBackend":null"#),
                    ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]
                ),
                (
                    spec(#""tls":[{"hosts":["*.a.b","a*"],"secretName":"A"}]"#),
                    [
                        #"spec.tls[0].hosts[1]: Invalid value: "a*": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#,
                        #"spec.tls[0].secretName: Invalid value: "A": \#(Self.subdomain)"#,
                    ]
                ),
            ])
    }

    func testPaths() throws {
        func rule(_ path: String) -> String {
            spec(#""rules":[{"host":"a.b","http":{"paths":[{\#(path)}]}}]"#)
        }
        let backend = #""backend":{"service":{"name":"s","port":{"number":1}}}"#
        let place = "spec.rules[0].http.paths[0]"
        try ValidationCases.check(
            Self.ingress,
            [
                (rule(#""path":"/a","pathType":"Prefix",\#(backend)"#), []),
                (rule(#""pathType":"ImplementationSpecific",\#(backend)"#), []),
                (rule(#""path":"/a""#), ["\(place).pathType: Required value: pathType must be specified"]),
                (
                    rule(#""path":"/a","pathType":"Regex""#),
                    [
                        #"\#(place).pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix""#,
                        #"\#(place).backend: Invalid value: "": resource or service backend is required"#,
                    ]
                ),
                (
                    rule(#""pathType":"Exact",\#(backend)"#),
                    [#"\#(place).path: Invalid value: "": must be an absolute path"#]
                ),
                (
                    rule(#""path":"a//b/..","pathType":"Prefix",\#(backend)"#),
                    [
                        #"\#(place).path: Invalid value: "a//b/..": must be an absolute path"#,
                        #"\#(place).path: Invalid value: "a//b/..": must not contain '//'"#,
                        #"\#(place).path: Invalid value: "a//b/..": cannot end with '/..'"#,
                    ]
                ),
                (
                    spec(#""rules":[{"host":"1.2.3.4"}]"#),
                    [#"spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address"#]
                ),
            ])
    }

    func testClassOfAnIngress() throws {
        var named = Self.ingress
        named["metadata"]["annotations"] = ["kubernetes.io/ingress.class": "a"]
        let other = spec(#""ingressClassName":"b""#)
        try ValidationCases.check(
            named,
            [
                (spec(#""ingressClassName":"a""#), []),
                (
                    other,
                    [
                        #"annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified"#
                    ]
                ),
            ])
        try ValidationCases.checkUpdates(named, [(other, [])])
        var old = Self.ingress
        old["spec"]["tls"] = [["secretName": "A"]]
        try ValidationCases.checkUpdates(old, [(spec(#""tls":[{"secretName":"B"}]"#), [])])
        try ValidationCases.checkStatuses(
            Self.ingress,
            [
                (
                    #"{"status":{"loadBalancer":{"ingress":[{"ip":"1.2.3","hostname":"1.2.3.4"}]}}}"#,
                    [
                        #"status.loadBalancer.ingress[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
                        #"status.loadBalancer.ingress[0].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address"#,
                    ]
                )
            ])
    }

    func testIngressClasses() throws {
        let ingressClass: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": ["name": "c"],
            "spec": ["controller": "acme.io/foo", "parameters": ["kind": "K", "name": "n"]],
        ]
        let path = "spec.parameters"
        let long = "acme.io/" + String(repeating: "x", count: 243)
        try ValidationCases.check(
            ingressClass,
            [
                ("{}", []), (spec(#""controller":"""#), ["spec.controller: Required value"]),
                (
                    spec(#""controller":"acme""#),
                    [
                        #"spec.controller: Invalid value: "acme": must be a domain-prefixed path (such as "acme.io/foo")"#
                    ]
                ),
                (
                    spec(#""controller":"Acme.io/f oo""#),
                    [
                        #"spec.controller: Invalid value: "Acme.io": \#(Self.subdomain)"#,
                        #"spec.controller: Invalid value: "f oo": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"#,
                    ]
                ), (spec(#""controller":"\#(long)""#), ["spec.controller: Too long: may not be more than 250 bytes"]),
                (
                    spec(#""parameters":{"scope":"Namespace","kind":""}"#),
                    [
                        "\(path).kind: Required value",
                        "\(path).namespace: Required value: `parameters.scope` is set to 'Namespace'",
                    ]
                ),
                (
                    spec(#""parameters":{"namespace":"x"}"#),
                    ["\(path).namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]
                ),
            ])
    }

    // MARK: - Policies and addresses

    func testNetworkPolicies() throws {
        let policy: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": ["name": "p"],
            "spec": ["podSelector": [:], "egress": [["to": [["ipBlock": ["cidr": "10.0.0.1/8"]]]]]],
        ]
        func block(_ text: String) -> String { spec(#""egress":[{"to":[{"ipBlock":{\#(text)}}]}]"#) }
        let path = "spec.egress[0].to[0].ipBlock"
        let beyond = "must not have bits set beyond the prefix length"
        let noRange = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        try ValidationCases.check(
            policy,
            [
                ("{}", [#"\#(path).cidr: Invalid value: "10.0.0.1/8": \#(beyond)"#]),
                (block(#""cidr":"""#), ["\(path).cidr: Required value"]),
                (block(#""cidr":"10.0.0.0/33""#), [#"\#(path).cidr: Invalid value: "10.0.0.0/33": \#(noRange)"#]),
                (
                    block(#""cidr":"10.00.0.0/08""#),
                    [
                        #"\#(path).cidr: Invalid value: "10.00.0.0/08": must not have leading 0s in IP or prefix length"#
                    ]
                ),
                (
                    block(#""cidr":"::ffff:1.2.3.0/120""#),
                    [
                        #"\#(path).cidr: Invalid value: "::ffff:1.2.3.0/120": must not have an IPv4-mapped IPv6 address"#
                    ]
                ),
                (
                    block(#""cidr":"fd00::/8","except":["fd01::1/16","x"]"#),
                    [
                        #"\#(path).except[0]: Invalid value: "fd01::1/16": \#(beyond)"#,
                        #"\#(path).except[1]: Invalid value: "x": \#(noRange)"#,
                    ]
                ),
                (
                    spec(#""egress":null,"policyTypes":["Egress","Ingress","Egress"]"#),
                    [
                        #"spec.policyTypes: Invalid value: ["Egress","Ingress","Egress"]: may not specify more than two policyTypes"#
                    ]
                ),
                (
                    spec(#""egress":null,"policyTypes":["Other"]"#),
                    [
                        #"spec.policyTypes[0]: Unsupported value: "Other": supported values: "Ingress", "Egress""#
                    ]
                ),
                (
                    spec(#""egress":[{"ports":[{"protocol":"ICMP"}]}]"#),
                    [
                        #"spec.egress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP""#
                    ]
                ),
            ])
        try ValidationCases.checkUpdates(
            policy,
            [
                (spec(#""policyTypes":["Egress"]"#), []),
                (block(#""cidr":"10.0.0.2/8""#), [#"\#(path).cidr: Invalid value: "10.0.0.2/8": \#(beyond)"#]),
            ])
    }

    func testServiceRanges() throws {
        let range: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": ["name": "r"],
            "spec": ["cidrs": ["10.98.0.0/16"]],
        ]
        let families = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        try ValidationCases.check(
            range,
            [
                (spec(#""cidrs":["10.98.0.0/16","fd00::/64"]"#), []),
                (#"{"spec":null}"#, ["spec.cidrs: Required value: at least one CIDR required"]),
                (
                    spec(#""cidrs":["10.98.0.0/16","10.99.0.0/16"]"#),
                    [#"spec.cidrs: Invalid value: ["10.98.0.0/16","10.99.0.0/16"]: \#(families)"#]
                ),
                (
                    spec(#""cidrs":["10.98.0.0/16","10.99.0.0/16","fd00::/64"]"#),
                    [
                        #"spec.cidrs: Invalid value: {"cidrs":["10.98.0.0/16","10.99.0.0/16","fd00::/64"]}: may only hold up to 2 values"#
                    ]
                ),
            ])
        try ValidationCases.checkUpdates(
            range,
            [
                (spec(#""cidrs":["10.98.0.0/16","fd00::/64"]"#), []),
                (
                    spec(#""cidrs":["10.99.0.0/16"]"#),
                    [#"spec.cidrs[0]: Invalid value: "10.99.0.0/16": field is immutable"#]
                ),
            ])
    }

    func testEndpointSlices() throws {
        let slice: JSON = [
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": ["name": "s"],
            "addressType": "IPv4", "endpoints": [["addresses": ["10.0.0.1"]]],
        ]
        func address(_ text: String, _ type: String = "IPv4") -> String {
            #"{"addressType":"\#(type)","endpoints":[{"addresses":["\#(text)"]}]}"#
        }
        let path = "endpoints[0].addresses[0]"
        try ValidationCases.check(
            slice,
            [
                ("{}", []),
                (
                    address("127.0.0.1"),
                    [
                        #"\#(path): Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#
                    ]
                ),
                (address("fd00::1"), [#"\#(path): Invalid value: "fd00::1": must be a valid IPv4 address"#]),
                (
                    address("x", "IPv6"),
                    [
                        #"\#(path): Invalid value: "x": must be a valid IPv6 address"#,
                        #"\#(path): Invalid value: "x": must be a valid IP address"#,
                    ]
                ),
                (
                    address("x", "FQDN"),
                    [
                        #"\#(path): Invalid value: "x": should be a domain with at least two segments separated by dots"#
                    ]
                ), (address("x.y.", "FQDN"), []),
                (
                    #"{"ports":[{"port":1},{"port":2}]}"#,
                    [#"ports[1].name: Duplicate value: """#]
                ),
                (
                    #"{"endpoints":[{"addresses":["10.0.0.1"],"hints":{"forZones":[{"name":"z"},{"name":"z"}]},"nodeName":"A"}]}"#,
                    [
                        #"endpoints[0].nodeName: Invalid value: "A": \#(Self.subdomain)"#,
                        #"endpoints[0].hints.forZones[1].name: Duplicate value: "z""#,
                    ]
                ),
                (
                    #"{"addressType":"Other"}"#,
                    [
                        #"addressType: Unsupported value: "Other": supported values: "FQDN", "IPv4", "IPv6""#
                    ]
                ),
            ])
    }
}
