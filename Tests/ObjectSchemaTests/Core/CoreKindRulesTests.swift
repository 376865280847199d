import Objects
import XCTest

/// The other kinds of the core group.
final class CoreKindRulesTests: XCTestCase {
    func testMetadata() throws {
        let maps = try ObjectTable(#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"d"}}"#)
        try maps.check([
            (#"{"metadata":{"finalizers":["kubernetes","a.b/c"]}}"#, []),
            (
                #"{"metadata":{"finalizers":["mine"]}}"#,
                [
                    #"metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified"#
                ]
            ),
            (
                #"{"metadata":{"finalizers":["orphan","foregroundDeletion"]}}"#,
                [
                    #"metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set"#
                ]
            ),
            (
                #"{"metadata":{"ownerReferences":[{"apiVersion":"","kind":"Event","name":"e","uid":"u"}]}}"#,
                [#"metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty"#]
            ),
            (
                #"{"metadata":{"namespace":"a.b"}}"#,
                [#"metadata.namespace: Invalid value: "a.b": must not contain dots"#]
            ),
        ])
        let owners = try maps.faults(
            #"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"A","name":"a","uid":"1","controller":true},{"apiVersion":"v1","kind":"B","name":"b","uid":"2","controller":true}]}}"#
        )
        XCTAssertEqual(owners.count, 1)
        XCTAssertTrue(
            owners[0].hasSuffix(
                #"Only one reference can have Controller set to true. Found "true" in references for A/a and B/b"#),
            owners[0])
    }

    func testReplicationControllers() throws {
        let controllers = try ObjectTable(
            #"""
            {"apiVersion":"v1","kind":"ReplicationController","metadata":{"name":"r"},"spec":{"selector":{"a":"b"},
            "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}
            """#)
        try controllers.check([
            ("{}", []),
            (
                #"{"spec":{"selector":{"a":"c"},"replicas":-1}}"#,
                [
                    "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                    #"spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`"#,
                ]
            ),
            (
                #"{"spec":{"template":{"spec":{"restartPolicy":"Never","activeDeadlineSeconds":1}}}}"#,
                [
                    #"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#,
                    "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported",
                ]
            ),
        ])
        XCTAssertEqual(
            try controllers.statusFaults(
                from: "{}", to: #"{"status":{"replicas":1,"readyReplicas":2,"availableReplicas":-1}}"#),
            [
                "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
                "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
            ])
    }

    func testNodes() throws {
        let nodes = try ObjectTable(#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"}}"#)
        try nodes.check([
            (#"{"spec":{"podCIDRs":["10.0.0.0/24","fd00::/64"],"taints":[{"key":"a","effect":"NoExecute"}]}}"#, []),
            (
                #"{"spec":{"podCIDRs":["10.0.0.0/24","10.0.1.0/24"]}}"#,
                [
                    #"spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family"#
                ]
            ),
            (
                #"{"spec":{"taints":[{"key":"a","effect":"NoExecute"},{"key":"a","value":"b","effect":"NoExecute"},{"key":"b"}]}}"#,
                [
                    #"metadata.taints[1]: Duplicate value: {"key":"a","value":"b","effect":"NoExecute"}: taints must be unique by key and effect pair"#,
                    "metadata.taints[2].effect: Required value",
                ]
            ),
            (
                #"{"status":{"capacity":{"pods":"500m"},"allocatable":{"cpu":"-1"}}}"#,
                [
                    #"status.capacity.pods: Invalid value: "500m": must be an integer"#,
                    #"status.allocatable.cpu: Invalid value: "-1": must be greater than or equal to 0"#,
                ]
            ),
        ])
        XCTAssertEqual(
            try nodes.object(#"{"status":{"capacity":{"cpu":"2"}}}"#)["status"]["allocatable"], ["cpu": "2"])
        XCTAssertEqual(
            try nodes.faults(
                from: #"{"spec":{"podCIDRs":["10.0.0.0/24"],"providerID":"a"}}"#,
                to: #"{"spec":{"podCIDRs":["10.0.1.0/24"],"providerID":"b"}}"#),
            [
                #"spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid"#,
                #"spec.providerID: Forbidden: node updates may not change providerID except from "" to valid"#,
            ])
    }

    func testLimitsAndQuotas() throws {
        let ranges = try ObjectTable(
            #"{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"l"},"spec":{"limits":[]}}"#)
        func item(_ members: String) -> String { #"{"spec":{"limits":[{\#(members)}]}}"# }
        try ranges.check([
            (item(#""type":"Pod","max":{"cpu":"4"},"min":{"cpu":"2"},"maxLimitRequestRatio":{"cpu":"2"}"#), []),
            (
                item(#""type":"Pod","max":{"cpu":"4"},"min":{"cpu":"2"},"maxLimitRequestRatio":{"cpu":"3"}"#),
                [
                    #"spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000"#
                ]
            ),
            (
                item(#""type":"Container","max":{"gpu":"1"}"#),
                ["max", "default", "defaultRequest"].flatMap { field in
                    [
                        "must be a standard resource type or fully qualified",
                        "must be a standard resource for containers",
                    ].map { #"spec.limits[0].\#(field)[gpu]: Invalid value: "gpu": \#($0)"# }
                }
            ),
            (
                item(#""type":"Container","min":{"cpu":"2"},"default":{"cpu":"1"},"defaultRequest":{"cpu":"2"}"#),
                [
                    #"spec.limits[0].defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1"#,
                    #"spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1"#,
                ]
            ),
            (
                item(#""type":"Pod","default":{"cpu":"1"}"#),
                ["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"]
            ),
        ])
        let quotas = try ObjectTable(#"{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"q"},"spec":{}}"#)
        try quotas.check([
            (#"{"spec":{"hard":{"pods":"1","a.b/c":"2","hugepages-2Mi":"2Mi"}}}"#, []),
            (
                #"{"spec":{"hard":{"cpu":"-1","storage":"1"}}}"#,
                [
                    #"spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0"#,
                    #"spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota"#,
                ]
            ),
        ])
        XCTAssertEqual(
            try quotas.statusFaults(from: "{}", to: #"{"status":{"used":{"pods":"1500m"}}}"#),
            [#"status.used[pods]: Invalid value: "1500m": must be an integer"#])
    }

    func testSecretsAndEndpoints() throws {
        let secrets = try ObjectTable(#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"type":""}"#)
        try secrets.check([
            ("{}", []),
            (
                #"{"type":"kubernetes.io/ssh-auth","data":{"ssh-privatekey":""}}"#,
                ["data[ssh-privatekey]: Required value"]
            ),
            (
                #"{"type":"kubernetes.io/dockercfg","data":{".dockercfg":"W10="}}"#,
                [
                    #"data[.dockercfg]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value of type map[string]interface {}"#
                ]
            ),
        ])
        let endpoints = try ObjectTable(#"{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"e"}}"#)
        func subset(_ members: String) -> String { #"{"subsets":[{\#(members)}]}"# }
        try endpoints.check([
            (subset(#""addresses":[{"ip":"10.0.0.1","nodeName":"n.a"}],"ports":[{"port":1,"protocol":""}]"#), []),
            (
                subset(#""notReadyAddresses":[{"ip":"127.0.0.1"},{"ip":"10.0.0.1","hostname":"a.b"}]"#),
                [
                    #"subsets[0].notReadyAddresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#,
                    #"subsets[0].notReadyAddresses[1].hostname: Invalid value: "a.b": must not contain dots"#,
                ]
            ),
        ])
    }

    func testServices() throws {
        let services = try ObjectTable(
            #"{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"port":1}]}}"#)
        let mode = "service.kubernetes.io/topology-mode"
        try services.check([
            (#"{"spec":{"externalIPs":["10.1.1.1"]}}"#, []),
            (#"{"spec":{"type":"LoadBalancer","loadBalancerSourceRanges":[" 10.0.0.0/8 "]}}"#, []),
            (
                #"{"spec":{"type":"LoadBalancer","loadBalancerSourceRanges":["x"],"loadBalancerClass":"a b"}}"#,
                [
                    #"spec.loadBalancerClass: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#,
                    #"spec.LoadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#,
                ]
            ),
            (
                #"{"spec":{"sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":86401}}}}"#,
                [
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400"
                ]
            ),
            (
                #"{"metadata":{"annotations":{"\#(mode)":"Auto","service.kubernetes.io/topology-aware-hints":"Off"}}}"#,
                [
                    #"metadata.annotations[\#(mode)]: Invalid value: "Auto": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified"#
                ]
            ),
            (
                #"{"spec":{"ipFamilies":["IPv4","IPv4"]}}"#, [#"spec.ipFamilies[1]: Duplicate value: "IPv4""#]
            ),
        ])
        XCTAssertEqual(
            try services.object(#"{"spec":{"externalIPs":["10.1.1.1"]}}"#)["spec"]["externalTrafficPolicy"], "Cluster")
        XCTAssertEqual(
            try services.statusFaults(
                from: "{}",
                to: #"{"status":{"loadBalancer":{"ingress":[{"hostname":"10.0.0.1","ipMode":"VIP"}]}}}"#),
            [
                "status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set",
                #"status.loadBalancer.ingress[0].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address"#,
            ])
    }

    func testNamesOfEvents() throws {
        let events = try ObjectTable(
            #"{"apiVersion":"v1","kind":"Event","metadata":{"name":"e","namespace":"d"},"involvedObject":{"namespace":"d"}}"#
        )
        try events.check([
            (#"{"metadata":{"name":"Pod_A.17"}}"#, []),
            (#"{"metadata":{"name":"a%b"}}"#, [#"metadata.name: Invalid value: "a%b": may not contain '%'"#]),
        ])
    }

    func testNamespaces() throws {
        let namespaces = try ObjectTable(#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"}}"#)
        XCTAssertEqual(
            try namespaces.faults(#"{"spec":{"finalizers":["mine"]}}"#),
            [
                #"spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified"#
            ])
        XCTAssertEqual(
            try namespaces.statusFaults(from: "{}", to: #"{"status":{"phase":"Terminating"}}"#),
            [#"status.Phase: Invalid value: "Terminating": may only be 'Active' if `deletionTimestamp` is empty"#])
    }

    func testPodStatuses() throws {
        let pods = try ObjectTable(
            #"""
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"restartPolicy":"OnFailure",
            "containers":[{"name":"c","image":"i:1"}]},"status":{"qosClass":"BestEffort"}}
            """#)
        func ended(_ code: Int) -> String {
            #"{"status":{"containerStatuses":[{"name":"c","state":{"terminated":{"exitCode":\#(code)}}}]}}"#
        }
        let runs = #"{"status":{"containerStatuses":[{"name":"c","state":{"running":{}}}]}}"#
        let rows: [(from: String, to: String, faults: [String])] = [
            (ended(1), runs, []),
            (
                ended(0), runs,
                ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
            ),
            (
                "{}", #"{"status":{"qosClass":"Burstable"}}"#,
                [#"status.qosClass: Invalid value: "Burstable": field is immutable"#]
            ),
            ("{}", #"{"status":{"podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}}"#, []),
            (
                "{}", #"{"status":{"podIPs":[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]}}"#,
                [
                    #"status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]: may specify no more than one IP for each IP family"#
                ]
            ),
            (
                "{}", #"{"status":{"hostIP":"10.0.0.1","hostIPs":[{"ip":"10.0.0.2"}]}}"#,
                [#"status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`"#]
            ),
            (
                "{}", #"{"status":{"resourceClaimStatuses":[{"name":"x"}]}}"#,
                [
                    #"status.resourceClaimStatuses[0].name: Invalid value: "x": must match the name of an entry in `spec.resourceClaims`"#
                ]
            ),
        ]
        for row in rows { XCTAssertEqual(try pods.statusFaults(from: row.from, to: row.to), row.faults, row.to) }
    }
}
