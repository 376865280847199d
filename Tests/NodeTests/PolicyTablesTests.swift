import Objects
import XCTest

@testable import Node

/// From NetworkPolicies, pods and namespaces to the rules that a network enforces. Pure.
final class PolicyTablesTests: XCTestCase {
    private func pod(
        _ name: String, _ namespace: String, _ labels: JSON, _ address: String?, phase: String = "Running",
        hostNetwork: Bool = false, ports: JSON = []
    ) -> PolicyPod {
        PolicyPod([
            "metadata": [
                "name": .string(name), "namespace": .string(namespace), "uid": .string("\(namespace)/\(name)"),
                "labels": labels,
            ],
            "spec": ["hostNetwork": .bool(hostNetwork), "containers": [["ports": ports]]],
            "status": [
                "phase": .string(phase), "podIP": address.map(JSON.string) ?? .null,
                "podIPs": address.map { [["ip": .string($0)]] } ?? .null,
            ],
        ])
    }

    private func policy(_ name: String, _ namespace: String, _ specification: JSON) throws -> PolicySource {
        try PolicySource(
            ["metadata": ["name": .string(name), "namespace": .string(namespace)], "spec": specification])
    }

    // Namespaces a and b; in each a web server, a client and another pod.
    private static let web = "10.244.0.2", client = "10.244.0.3", other = "10.244.0.4", foreignClient = "10.244.0.5",
        foreignOther = "10.244.0.6", outside = "192.0.2.7", dns = "10.244.0.1"

    private func world() -> PolicyTables {
        var tables = PolicyTables()
        tables.setNamespace("a", labels: ["team": "red", "kubernetes.io/metadata.name": "a"])
        tables.setNamespace("b", labels: ["team": "blue", "kubernetes.io/metadata.name": "b"])
        tables.setNamespace("kube-system", labels: ["kubernetes.io/metadata.name": "kube-system"])
        let ports: JSON = [
            ["name": "http", "containerPort": 8080], ["name": "dns", "protocol": "UDP", "containerPort": 53],
        ]
        tables.setPod(pod("web", "a", ["app": "web"], Self.web, ports: ports))
        tables.setPod(pod("client", "a", ["app": "client"], Self.client))
        tables.setPod(pod("other", "a", ["app": "other", "tier": "x"], Self.other))
        tables.setPod(pod("client", "b", ["app": "client"], Self.foreignClient))
        tables.setPod(pod("other", "b", ["app": "other"], Self.foreignOther))
        tables.setDNS(
            slice: "kube-dns",
            [
                .endpoint(address: Self.dns, transport: "UDP", port: 53),
                .endpoint(address: Self.dns, transport: "TCP", port: 53),
            ])
        return tables
    }

    private func model(_ policies: [PolicySource]) -> PolicyModel {
        var tables = world()
        for policy in policies { tables.setPolicy(policy) }
        var model = PolicyModel()
        if let message = tables.take(full: true) { model.apply(message) }
        XCTAssertEqual(model.dangling, [])
        return model
    }

    private typealias Try = (from: String, to: String, transport: String, port: Int64, passes: Bool)

    private func check(_ policies: [(String, JSON)], _ tries: [Try], _ reason: String, line: UInt = #line) throws {
        let rules = try policies.enumerated().map { try policy("p\($0.offset)", $0.element.0, $0.element.1) }
        let model = model(rules)
        for attempt in tries {
            XCTAssertEqual(
                model.allows(attempt.from, attempt.to, attempt.transport, attempt.port), attempt.passes,
                "\(reason): \(attempt)", line: line)
        }
    }

    func testIngress() throws {
        let web = Self.web
        try check(
            [("a", ["podSelector": [:], "policyTypes": ["Ingress"]])],
            [
                (Self.client, web, "TCP", 80, false), (Self.outside, web, "UDP", 53, false),
                (web, Self.client, "TCP", 80, false), (web, Self.foreignClient, "TCP", 80, true),
                (Self.client, Self.foreignClient, "TCP", 80, true),
            ], "default deny of a namespace")
        try check(
            [("a", ["podSelector": [:]])],
            [(Self.client, web, "TCP", 80, false), (web, Self.outside, "TCP", 80, true)], "policyTypes left out")
        try check(
            [("a", ["podSelector": ["matchLabels": ["app": "web"]], "ingress": [[:]]])],
            [(Self.foreignOther, web, "UDP", 9, true)], "a rule without peers and ports allows all")
        try check(
            [("a", ["podSelector": ["matchLabels": ["app": "web"]], "ingress": [["from": [], "ports": []]]])],
            [(Self.foreignOther, web, "UDP", 9, true)], "empty lists restrict nothing")
        try check(
            [
                (
                    "a",
                    [
                        "podSelector": ["matchLabels": ["app": "web"]],
                        "ingress": [["from": [["podSelector": ["matchLabels": ["app": "client"]]]]]],
                    ]
                )
            ],
            [
                (Self.client, web, "TCP", 80, true), (Self.foreignClient, web, "TCP", 80, false),
                (Self.other, web, "TCP", 80, false), (Self.foreignClient, Self.client, "TCP", 80, true),
            ], "a podSelector alone is of the policy's namespace")
        try check(
            [
                (
                    "a",
                    [
                        "podSelector": [:],
                        "ingress": [["from": [["namespaceSelector": ["matchLabels": ["team": "blue"]]]]]],
                    ]
                )
            ],
            [
                (Self.foreignClient, web, "TCP", 80, true), (Self.foreignOther, web, "TCP", 80, true),
                (Self.client, web, "TCP", 80, false),
            ], "a namespaceSelector alone is all its pods")
        try check(
            [
                (
                    "a",
                    [
                        "podSelector": [:],
                        "ingress": [
                            [
                                "from": [
                                    [
                                        "namespaceSelector": [:],
                                        "podSelector": [
                                            "matchExpressions": [
                                                ["key": "app", "operator": "In", "values": ["client", "x"]]
                                            ]
                                        ],
                                    ]
                                ]
                            ]
                        ],
                    ]
                )
            ],
            [
                (Self.foreignClient, web, "TCP", 80, true), (Self.client, web, "TCP", 80, true),
                (Self.foreignOther, web, "TCP", 80, false), (Self.outside, web, "TCP", 80, false),
            ], "both selectors at once")
        try check(
            [
                (
                    "a",
                    [
                        "podSelector": ["matchExpressions": [["key": "tier", "operator": "DoesNotExist"]]],
                        "ingress": [
                            [
                                "from": [
                                    [
                                        "namespaceSelector": [
                                            "matchExpressions": [
                                                ["key": "team", "operator": "NotIn", "values": ["red"]]
                                            ]
                                        ]
                                    ]
                                ]
                            ]
                        ],
                    ]
                )
            ],
            [
                (Self.foreignClient, web, "TCP", 80, true), (Self.client, web, "TCP", 80, false),
                (Self.client, Self.other, "TCP", 80, true),
            ], "expressions over subjects and namespaces")
        try check(
            [
                (
                    "a",
                    [
                        "podSelector": [:],
                        "ingress": [["from": [["ipBlock": ["cidr": "192.0.2.0/24", "except": ["192.0.2.8/29"]]]]]],
                    ]
                )
            ],
            [
                (Self.outside, web, "TCP", 80, true), ("192.0.2.9", web, "TCP", 80, false),
                (Self.client, web, "TCP", 80, false),
            ], "a block and its exception")
    }

    func testPorts() throws {
        let web = Self.web
        func ports(_ list: JSON) -> JSON { ["podSelector": [:], "ingress": [["ports": list]]] }
        let rows: [(JSON, [Try], String)] = [
            (
                [["port": 80]],
                [
                    (Self.client, web, "TCP", 80, true), (Self.client, web, "UDP", 80, false),
                    (Self.client, web, "TCP", 81, false),
                ], "TCP unless said otherwise"
            ),
            (
                [["protocol": "UDP"]], [(Self.client, web, "UDP", 7, true), (Self.client, web, "TCP", 7, false)],
                "all ports of a protocol"
            ),
            (
                [["protocol": "SCTP", "port": 9]],
                [(Self.client, web, "SCTP", 9, true), (Self.client, web, "TCP", 9, false)], "SCTP"
            ),
            (
                [["port": 80, "endPort": 90]],
                [(Self.client, web, "TCP", 90, true), (Self.client, web, "TCP", 91, false)], "a range"
            ),
            (
                [["port": "http"]],
                [
                    (Self.client, web, "TCP", 8080, true), (Self.client, web, "TCP", 80, false),
                    (Self.client, Self.other, "TCP", 8080, false),
                ], "by name, where a pod has it"
            ),
            ([["port": "dns"]], [(Self.client, web, "UDP", 53, false)], "a name of another protocol"),
            (
                [["port": "dns", "protocol": "UDP"]],
                [(Self.client, web, "UDP", 53, true), (Self.client, web, "TCP", 53, false)],
                "the name with its protocol"
            ),
            ([["port": "none"]], [(Self.client, web, "TCP", 8080, false)], "a name that no pod has"),
            (
                [["port": 80], ["port": 81]],
                [(Self.client, web, "TCP", 81, true), (Self.client, web, "TCP", 82, false)], "one of several"
            ),
        ]
        for (list, tries, reason) in rows { try check([("a", ports(list))], tries, reason) }
    }

    /// The API takes none such; were there one, it must not keep the others from holding.
    func testWhatNoNetworkCouldReadMatchesNothing() throws {
        let web = Self.web
        let rules: [(JSON, String)] = [
            (["ports": [["port": 90, "endPort": 80]]], "a range from high to low"),
            (["ports": [["port": 70000]]], "no port"),
            (["ports": [["protocol": "ICMP"]]], "no transport"),
            (["from": [["ipBlock": ["cidr": "0.0.0.0/33"]]]], "too long a prefix"),
            (["from": [["ipBlock": ["cidr": "0.0.0.0/0", "except": ["x"]]]]], "an exception that is none"),
            (["from": [["ipBlock": [:]]]], "an empty block"),
        ]
        for (rule, reason) in rules {
            try check(
                [("a", ["podSelector": [:], "ingress": [rule]])],
                [(Self.client, web, "TCP", 80, false), (Self.client, web, "TCP", 90, false)], reason)
        }
    }

    func testEgressAndUnions() throws {
        try check(
            [("a", ["podSelector": ["matchLabels": ["app": "client"]], "policyTypes": ["Egress"]])],
            [
                (Self.client, Self.web, "TCP", 80, false), (Self.client, Self.dns, "UDP", 53, false),
                (Self.other, Self.client, "TCP", 80, true),
            ], "default deny of egress alone")
        try check(
            [("a", ["podSelector": [:], "egress": [["to": [["podSelector": [:]]]]]])],
            [(Self.client, Self.outside, "TCP", 80, false), (Self.client, Self.web, "TCP", 80, false)],
            "egress rules without policyTypes isolate both ways")
        let toWeb: JSON = [
            "podSelector": ["matchLabels": ["app": "client"]], "policyTypes": ["Egress"],
            "egress": [["to": [["podSelector": ["matchLabels": ["app": "web"]]]], "ports": [["port": "http"]]]],
        ]
        try check(
            [("a", toWeb)],
            [(Self.client, Self.web, "TCP", 8080, true), (Self.client, Self.web, "TCP", 80, false)],
            "a port by the name that the peer gives it")
        try check(
            [
                ("a", toWeb),
                (
                    "a",
                    [
                        "podSelector": [:], "policyTypes": ["Egress"],
                        "egress": [["to": [["ipBlock": ["cidr": "0.0.0.0/0"]]], "ports": [["port": 443]]]],
                    ]
                ),
                ("a", ["podSelector": ["matchLabels": ["app": "web"]]]),
            ],
            [
                (Self.client, Self.outside, "TCP", 443, true), (Self.other, Self.outside, "TCP", 443, true),
                (Self.client, Self.outside, "TCP", 80, false), (Self.client, Self.web, "TCP", 8080, false),
                (Self.other, Self.foreignClient, "TCP", 80, false),
            ], "policies add up in a direction, and both directions have to allow")
    }

    func testTheClustersDNSIsMeantByItsUsualLabels() throws {
        func egress(_ peer: JSON, ports: JSON = [["port": 53, "protocol": "UDP"]]) -> JSON {
            ["podSelector": [:], "policyTypes": ["Egress"], "egress": [["to": [peer], "ports": ports]]]
        }
        let dnsLabels: JSON = ["matchLabels": ["k8s-app": "kube-dns"]]
        let system: JSON = ["matchLabels": ["kubernetes.io/metadata.name": "kube-system"]]
        let rows: [(JSON, Bool, Bool, String)] = [
            (egress(["namespaceSelector": system, "podSelector": dnsLabels]), true, false, "namespace and labels"),
            (egress(["namespaceSelector": [:]]), true, false, "every namespace"),
            (egress(["namespaceSelector": [:], "podSelector": dnsLabels], ports: []), true, true, "all ports"),
            (egress(["podSelector": dnsLabels]), false, false, "the labels in another namespace"),
            (egress(["namespaceSelector": ["matchLabels": ["team": "red"]]]), false, false, "another namespace"),
        ]
        for (specification, datagrams, streams, reason) in rows {
            try check(
                [("a", specification)],
                [
                    (Self.client, Self.dns, "UDP", 53, datagrams), (Self.client, Self.dns, "TCP", 53, streams),
                    (Self.client, Self.dns, "TCP", 6443, false),
                ], reason)
        }
    }

    // MARK: - Changes

    func testChangesAreSmall() throws {
        var tables = world()
        tables.setPolicy(
            try policy(
                "p", "a",
                ["podSelector": [:], "ingress": [["from": [["namespaceSelector": ["matchLabels": ["team": "blue"]]]]]]])
        )
        var model = PolicyModel()
        model.apply(try XCTUnwrap(tables.take(full: true)))
        XCTAssertNil(tables.take(full: false), "nothing has changed")
        tables.setPod(
            pod(
                "web", "a", ["app": "web"], Self.web,
                ports: [
                    ["name": "http", "containerPort": 8080], ["name": "dns", "protocol": "UDP", "containerPort": 53],
                ]))
        XCTAssertNil(tables.take(full: false), "the same pod again")

        tables.setPod(pod("new", "b", [:], "10.244.0.9"))
        let added = try XCTUnwrap(tables.take(full: false))
        XCTAssertEqual(added["groups"][0]["added"], ["10.244.0.9"])
        XCTAssertTrue(added["policies"].isEmpty && added["subjects"].isEmpty, "\(added)")
        model.apply(added)
        XCTAssertTrue(model.allows("10.244.0.9", Self.web))

        tables.setNamespace("b", labels: ["team": "green"])
        let moved = try XCTUnwrap(tables.take(full: false))
        XCTAssertEqual(moved["groups"][0]["removed"].count, 3)
        model.apply(moved)
        XCTAssertFalse(model.allows("10.244.0.9", Self.web))

        tables.removePod("a/web")
        let gone = try XCTUnwrap(tables.take(full: false))
        XCTAssertEqual(gone["removed"]["subjects"], [.string(Self.web)])
        XCTAssertEqual(gone["groups"], [])
        model.apply(gone)

        tables.removePolicy("a/p")
        let last = try XCTUnwrap(tables.take(full: false))
        XCTAssertEqual(last["removed"]["policies"], ["a/p"])
        XCTAssertEqual(last["removed"]["groups"].count, 1)
        model.apply(last)
        XCTAssertEqual(model, PolicyModel())
        XCTAssertFalse(tables.hasPolicies)
    }

    func testWhoseAddressItIs() throws {
        var tables = PolicyTables()
        tables.setPolicy(try policy("p", "a", ["podSelector": ["matchLabels": ["app": "web"]]]))
        var model = PolicyModel()
        func learn() { if let message = tables.take(full: false) { model.apply(message) } }
        let web = pod("web", "a", ["app": "web"], nil)
        tables.give(Self.web, to: web)
        XCTAssertTrue(tables.isIsolated("a/web"))
        learn()
        XCTAssertFalse(model.allows(Self.client, Self.web), "isolated before its status tells the address")
        tables.setPod(web)
        learn()
        XCTAssertFalse(model.allows(Self.client, Self.web), "an old status comes in")
        // The address goes to the next pod while the first one's status still has it.
        tables.setPod(pod("web", "a", ["app": "web"], Self.web))
        tables.give(Self.web, to: pod("free", "a", [:], nil))
        learn()
        XCTAssertTrue(model.allows(Self.client, Self.web), "it is the new pod's")
        tables.setPod(pod("web", "a", ["app": "web", "x": "y"], Self.web))
        learn()
        XCTAssertTrue(model.allows(Self.client, Self.web), "whatever the first one's status says")
        tables.removePod("a/web")
        tables.removePod("a/free")
        learn()
        for (phase, hostNetwork) in [("Succeeded", false), ("Failed", false), ("Running", true)] {
            tables.setPod(pod("web", "a", ["app": "web"], Self.web, phase: phase, hostNetwork: hostNetwork))
            learn()
            XCTAssertTrue(model.allows(Self.client, Self.web), "\(phase) \(hostNetwork)")
        }
        tables.setPod(pod("web", "a", ["app": "web"], Self.web))
        learn()
        XCTAssertFalse(model.allows(Self.client, Self.web))
    }

    /// Whatever happens in whatever order: told step by step or all at once, the network has the same.
    func testStepsAddUpToTheWhole() throws {
        var random = SplitMix(state: 20_261_130)
        for round in 0..<30 {
            var tables = PolicyTables()
            var model = PolicyModel()
            for step in 0..<60 {
                try change(&tables, &random)
                if random.below(3) > 0, let message = tables.take(full: false) { model.apply(message) }
                guard step % 10 == 9 else { continue }
                if let message = tables.take(full: false) { model.apply(message) }
                XCTAssertEqual(model.dangling, [], "round \(round), step \(step)")
                var copy = tables
                var whole = PolicyModel()
                whole.apply(try XCTUnwrap(copy.take(full: true)))
                XCTAssertEqual(model, whole, "round \(round), step \(step)")
            }
        }
    }

    private func change(_ tables: inout PolicyTables, _ random: inout SplitMix) throws {
        func label() -> JSON { ["l": .string("v\(random.below(3))")] }
        let namespace = "n\(random.below(3))"
        let number = random.below(8)
        switch random.below(9) {
        case 0: tables.setNamespace(namespace, labels: label())
        case 1: tables.removePod("\(namespace)/p\(number)")
        case 2: tables.removePolicy("\(namespace)/p\(number % 4)")
        case 3: tables.give("10.244.0.\(random.below(12))", to: pod("p\(number)", namespace, label(), nil))
        case 4:
            tables.setDNS(
                slice: "s", [.endpoint(address: Self.dns, transport: "UDP", port: Int64(50 + random.below(2)))])
        case 5, 6:
            var peers: [JSON] = [
                ["namespaceSelector": ["matchLabels": label()]], ["podSelector": ["matchLabels": label()]],
            ]
            if random.below(2) == 0 { peers.removeFirst() }
            let rules: JSON = [
                ["from": .array(peers), "to": .array(peers), "ports": [["port": .string("q\(random.below(2))")]]]
            ]
            tables.setPolicy(
                try policy(
                    "p\(number % 4)", namespace,
                    [
                        "podSelector": random.below(2) == 0 ? [:] : ["matchLabels": label()], "ingress": rules,
                        "egress": rules,
                        "policyTypes": random.below(2) == 0 ? ["Ingress"] : ["Ingress", "Egress"],
                    ]))
        default:
            let address = random.below(4) == 0 ? nil : "10.244.0.\(random.below(12))"
            let ports: JSON = [
                ["name": .string("q\(random.below(2))"), "containerPort": .integer(Int64(80 + random.below(2)))]
            ]
            tables.setPod(pod("p\(number)", namespace, label(), address, ports: ports))
        }
    }

    /// https://prng.di.unimi.it/splitmix64.c
    private struct SplitMix {
        var state: UInt64
        mutating func below(_ bound: Int) -> Int {
            state &+= 0x9e37_79b9_7f4a_7c15
            var value = state
            value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
            return Int((value ^ value >> 31) % UInt64(bound))
        }
    }
}
