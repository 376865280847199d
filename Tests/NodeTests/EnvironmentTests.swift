import Objects
import XCTest

@testable import Node

final class EnvironmentTests: XCTestCase {
    func testExpansion() {
        let values = ["A": "1", "EMPTY": "", "B": "$(A)"]
        let rows: [(input: String, expected: String, reason: String)] = [
            ("plain", "plain", "nothing to do"),
            ("$(A)", "1", "a reference"),
            ("x$(A)y$(A)", "x1y1", "several"),
            ("$$(A)", "$(A)", "escaped"),
            ("$$$(A)", "$1", "escaped dollar, then a reference"),
            ("$(MISSING)", "$(MISSING)", "unknown stays"),
            ("$(B)", "$(A)", "no second pass"),
            ("$(EMPTY)", "", "empty value"),
            ("$(A", "$(A", "never closed"),
            ("$A", "$A", "shell syntax is not ours"),
            ("a$", "a$", "at the end"),
            ("$", "$", "alone"),
            ("$(A)$", "1$", "reference, then alone"),
            ("$()", "$()", "empty name"),
            ("größe $(A)", "größe 1", "not ASCII"),
        ]
        for row in rows {
            XCTAssertEqual(VariableExpansion.expand(row.input) { values[$0] }, row.expected, row.reason)
        }
    }

    private func build(
        env: JSON = [], envFrom: JSON = [], services: [JSON] = [], objects: [String: JSON] = [:],
        files: [String: String] = [:], pod specification: JSONObject = [:]
    ) throws -> [String] {
        let pod = TestPods.pod(
            metadata: ["labels": ["app": "web"]], specification: specification,
            template: ["env": env, "envFrom": envFrom, "resources": ["limits": ["memory": "64Mi"]]])
        let facts = PodRuntimeFacts(podIPs: ["10.0.0.2", "fd00::2"], hostIPs: ["10.0.0.1"], nodeName: "alpha")
        return try EnvironmentBuilder(
            pod: pod, container: pod.containers[0], facts: facts,
            allocatable: .init(cpuMilli: 2000, memoryBytes: 1 << 30), services: services,
            object: { objects["\($0)/\($1)"] }, file: { files["\($0)/\($1)"].map { Array($0.utf8) } }
        ).build().map { "\($0.name)=\($0.value)" }
    }

    func testOrderAndExpansion() throws {
        let result = try build(env: [
            ["name": "A", "value": "1"], ["name": "B", "value": "$(A)2"], ["name": "C", "value": "$(LATER)"],
            ["name": "LATER", "value": "x"], ["name": "EMPTY"],
        ])
        XCTAssertEqual(result, ["HOSTNAME=web", "A=1", "B=12", "C=$(LATER)", "LATER=x", "EMPTY="])
    }

    func testFieldsAndResources() throws {
        func field(_ name: String, _ path: String) -> JSON {
            ["name": .string(name), "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]]
        }
        let result = try build(env: [
            field("NAME", "metadata.name"), field("NODE", "spec.nodeName"), field("IP", "status.podIP"),
            field("IPS", "status.podIPs"), field("HOST", "status.hostIP"), field("APP", "metadata.labels['app']"),
            ["name": "MEM", "valueFrom": ["resourceFieldRef": ["resource": "limits.memory", "divisor": "1Mi"]]],
            ["name": "CPU", "valueFrom": ["resourceFieldRef": ["resource": "limits.cpu"]]],
        ])
        XCTAssertEqual(
            Array(result.dropFirst()),
            [
                "NAME=web", "NODE=alpha", "IP=10.0.0.2", "IPS=10.0.0.2,fd00::2", "HOST=10.0.0.1", "APP=web", "MEM=64",
                "CPU=2",
            ])
        XCTAssertThrowsError(try build(env: [field("X", "spec.secret")]))
    }

    func testConfigMapsAndSecrets() throws {
        let objects: [String: JSON] = [
            "configmaps/c": ["data": ["k": "v", "bad name": "x"]],
            "secrets/s": ["data": ["token": "b3BlbiBzZXNhbWU="]],
        ]
        let result = try build(
            env: [
                ["name": "K", "valueFrom": ["configMapKeyRef": ["name": "c", "key": "k"]]],
                ["name": "T", "valueFrom": ["secretKeyRef": ["name": "s", "key": "token"]]],
                ["name": "O", "valueFrom": ["secretKeyRef": ["name": "none", "key": "x", "optional": true]]],
            ],
            envFrom: [
                ["prefix": "P_", "configMapRef": ["name": "c"]],
                ["configMapRef": ["name": "none", "optional": true]],
            ], objects: objects)
        XCTAssertEqual(Array(result.dropFirst()), ["P_k=v", "K=v", "T=open sesame"])
    }

    func testWhatIsMissingIsNamed() {
        let rows: [(env: JSON, envFrom: JSON, message: String)] = [
            (
                [["name": "K", "valueFrom": ["configMapKeyRef": ["name": "c", "key": "k"]]]], [],
                "configmap \"c\" not found"
            ),
            (
                [["name": "K", "valueFrom": ["secretKeyRef": ["name": "empty", "key": "k"]]]], [],
                "couldn't find key k in Secret default/empty"
            ),
            ([], [["secretRef": ["name": "s"]]], "secret \"s\" not found"),
        ]
        for row in rows {
            XCTAssertThrowsError(try build(env: row.env, envFrom: row.envFrom, objects: ["secrets/empty": [:]])) {
                XCTAssertEqual(($0 as? ContainerConfigurationError)?.message, row.message)
                XCTAssertEqual(($0 as? ContainerConfigurationError)?.reason, "CreateContainerConfigError")
            }
        }
    }

    func testVariablesOutOfFiles() throws {
        func variable(_ key: String, optional: Bool? = nil, path: String = "a.env") -> JSON {
            var reference: JSON = ["volumeName": "v", "path": .string(path), "key": .string(key)]
            if let optional { reference["optional"] = .bool(optional) }
            return ["name": .string(key), "valueFrom": ["fileKeyRef": reference]]
        }
        let files = ["v/a.env": "A=1\n", "v/bad.env": "A\n"]
        XCTAssertEqual(
            try build(
                env: [
                    variable("A"), variable("B", optional: true), variable("C", optional: true, path: "none"),
                    ["name": "D", "value": "$(A)2"],
                ], files: files), ["HOSTNAME=web", "A=1", "D=12"], "what is optional and missing is left out")
        for (env, message) in [
            (variable("B"), "environment variable key \"B\" not found in file \"a.env\""),
            (variable("A", path: "none"), "environment file \"none\" not found in volume \"v\""),
            (variable("A", path: "bad.env"), "line 1 of the environment file \"bad.env\" is not NAME=VALUE"),
        ] {
            XCTAssertThrowsError(try build(env: [env], files: files)) {
                XCTAssertEqual(($0 as? ContainerConfigurationError)?.message, message)
                XCTAssertEqual(($0 as? ContainerConfigurationError)?.reason, "CreateContainerConfigError")
            }
        }
    }

    func testServices() throws {
        let service: JSON = [
            "metadata": ["name": "my-db", "namespace": "default"],
            "spec": [
                "clusterIP": "10.96.0.9",
                "ports": [
                    ["name": "sql", "port": 5432, "protocol": "TCP"], ["name": "dns", "port": 53, "protocol": "UDP"],
                ],
            ],
        ]
        let headless: JSON = ["metadata": ["name": "h"], "spec": ["clusterIP": "None", "ports": [["port": 1]]]]
        let result = try build(env: [["name": "MY_DB_PORT", "value": "mine"]], services: [service, headless])
        XCTAssertEqual(
            Array(result.dropFirst()),
            [
                "MY_DB_PORT=mine", "MY_DB_SERVICE_HOST=10.96.0.9", "MY_DB_SERVICE_PORT=5432",
                "MY_DB_SERVICE_PORT_SQL=5432", "MY_DB_SERVICE_PORT_DNS=53", "MY_DB_PORT_5432_TCP=tcp://10.96.0.9:5432",
                "MY_DB_PORT_5432_TCP_PROTO=tcp", "MY_DB_PORT_5432_TCP_PORT=5432", "MY_DB_PORT_5432_TCP_ADDR=10.96.0.9",
                "MY_DB_PORT_53_UDP=udp://10.96.0.9:53", "MY_DB_PORT_53_UDP_PROTO=udp", "MY_DB_PORT_53_UDP_PORT=53",
                "MY_DB_PORT_53_UDP_ADDR=10.96.0.9",
            ])
    }

    func testDownwardMaps() {
        XCTAssertEqual(
            FieldReference.formatMap(["b": "2\"\n", "a": "1"]), "a=\"1\"\nb=\"2\\\"\\n\"", "sorted and quoted")
    }
}
