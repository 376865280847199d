import Objects
import XCTest

@testable import Node

final class ConfigurationTests: XCTestCase {
    func testResources() {
        let pod = TestPods.pod(template: [
            "resources": [
                "requests": ["cpu": "250m", "memory": "64Mi"], "limits": ["cpu": "500m", "memory": "128Mi"],
            ]
        ])
        let built = ResourceTranslation.container(pod.containers[0], quality: .burstable, nodeMemoryBytes: 1 << 30)
        XCTAssertEqual(
            built,
            [
                "cpuShares": 256, "cpuQuota": 50000, "cpuPeriod": 100_000, "memoryLimitBytes": 134_217_728,
                "oomScoreAdjust": 938,
            ])
        XCTAssertEqual(ResourceTranslation.cpuShares(milli: 0), 2)
        XCTAssertEqual(ResourceTranslation.cpuQuota(milli: 1), 1000)
    }

    func testPodResources() {
        let two = TestPods.pod(
            containers: ["a", "b"],
            initContainers: [["name": "i", "image": "x", "resources": ["limits": ["memory": "1Gi"]]]],
            template: ["resources": ["limits": ["memory": "64Mi", "cpu": "1"]]])
        XCTAssertEqual(ResourceTranslation.pod(two)["memoryLimitBytes"], .integer(1 << 30), "the largest phase counts")
        XCTAssertEqual(ResourceTranslation.pod(two)["cpuQuota"], .null, "one container leaves it open")
        XCTAssertEqual(ResourceTranslation.pod(TestPods.pod())["memoryLimitBytes"], .null)
    }

    func testExtendedResources() {
        let pod = TestPods.pod(template: ["resources": ["limits": ["nvidia.com/gpu": 2, "cpu": "1"]]])
        let found = ResourceTranslation.extendedResources(pod.containers[0])
        XCTAssertEqual(found.map(\.name), ["nvidia.com/gpu"])
        XCTAssertEqual(found.map(\.count), [2])
    }

    func testSecurity() throws {
        let pod = TestPods.pod(
            specification: [
                "securityContext": [
                    "runAsUser": 1000, "fsGroup": 2000, "supplementalGroups": [3000],
                    "seccompProfile": ["type": "RuntimeDefault"],
                ]
            ],
            template: [
                "securityContext": [
                    "runAsUser": 5, "allowPrivilegeEscalation": false,
                    "capabilities": ["add": ["CAP_NET_ADMIN"], "drop": ["ALL"]],
                    "readOnlyRootFilesystem": true,
                ]
            ])
        let security = try SecurityTranslation.build(pod.containers[0], pod: pod, seccompDirectory: "/s")
        XCTAssertEqual(security["runAsUser"], 5, "the container's own wins")
        XCTAssertEqual(security["supplementalGroups"], [3000, 2000])
        XCTAssertEqual(security["noNewPrivileges"], true)
        XCTAssertEqual(security["capabilities"], ["add": ["NET_ADMIN"], "drop": ["ALL"]])
        XCTAssertEqual(security["readOnlyRootFilesystem"], true)
        XCTAssertFalse(security["maskedPaths"].isEmpty)
        let privileged = TestPods.pod(template: ["securityContext": ["privileged": true]])
        let open = try SecurityTranslation.build(privileged.containers[0], pod: privileged, seccompDirectory: "/s")
        XCTAssertEqual(open["seccomp"], ["type": "Unconfined"])
        XCTAssertTrue(open["maskedPaths"].isEmpty)
    }

    func testRootIsRefusedWhereItMayNotBe() throws {
        let pod = TestPods.pod(template: ["securityContext": ["runAsNonRoot": true]])
        let rows: [(image: JSON, works: Bool)] = [
            (["id": "x"], false), (["username": "root"], false), (["username": "app"], false), (["uid": 0], false),
            (["uid": 1000], true),
        ]
        for row in rows {
            do {
                try SecurityTranslation.checkNotRoot(pod.containers[0], pod: pod, image: row.image)
                XCTAssertTrue(row.works, row.image.serializedString())
            } catch {
                XCTAssertFalse(row.works, row.image.serializedString())
            }
        }
        let explicit = TestPods.pod(template: ["securityContext": ["runAsNonRoot": true, "runAsUser": 0]])
        XCTAssertThrowsError(
            try SecurityTranslation.build(explicit.containers[0], pod: explicit, seccompDirectory: "/s"))
    }

    func testContainerConfiguration() throws {
        let pod = TestPods.pod(template: ["command": ["sh", "-c"], "args": ["echo $(GREETING)"], "workingDir": "/w"])
        let config = try ContainerConfiguration(
            pod: pod, container: pod.containers[0], attempt: 3, image: "busybox:1",
            environment: [("GREETING", "hi")], mounts: [ContainerMount(containerPath: "/x", hostPath: "/y")], edits: [],
            nodeMemoryBytes: 1 << 30, seccompDirectory: "/s"
        ).build()
        XCTAssertEqual(config["args"], ["echo hi"])
        XCTAssertEqual(config["logPath"], "main/3.log")
        XCTAssertEqual(config["workingDirectory"], "/w")
        XCTAssertEqual(config["resources"]["oomScoreAdjust"], 1000)
        XCTAssertEqual(config["annotations"][ObservedContainer.imageAnnotation], "busybox:1")
    }

    private func files(_ pod: Pod) -> NameResolutionFiles {
        NameResolutionFiles(
            pod: pod, podIPs: ["10.244.0.5"], clusterDomain: "cluster.local", clusterDNS: "10.96.0.10",
            hostResolver: "# x\nnameserver 9.9.9.9\nsearch example.com\noptions timeout:1\n",
            hostHosts: "127.0.0.1 localhost")
    }

    func testResolver() {
        let rows: [(specification: JSONObject, expected: String)] = [
            (
                [:],
                "search default.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.96.0.10\n"
                    + "options ndots:5\n"
            ),
            (["dnsPolicy": "Default"], "search example.com\nnameserver 9.9.9.9\noptions timeout:1\n"),
            (["hostNetwork": true], "search example.com\nnameserver 9.9.9.9\noptions timeout:1\n"),
            (
                ["hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"],
                "search default.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.96.0.10\n"
                    + "options ndots:5\n"
            ),
            (
                [
                    "dnsPolicy": "None",
                    "dnsConfig": [
                        "nameservers": ["1.1.1.1"], "searches": ["a.b"], "options": [["name": "ndots", "value": "2"]],
                    ],
                ], "search a.b\nnameserver 1.1.1.1\noptions ndots:2\n"
            ),
            (
                ["dnsConfig": ["options": [["name": "ndots", "value": "1"], ["name": "edns0"]]]],
                "search default.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.96.0.10\n"
                    + "options ndots:1 edns0\n"
            ),
        ]
        for row in rows {
            XCTAssertEqual(files(TestPods.pod(specification: row.specification)).resolver, row.expected)
        }
    }

    func testHosts() {
        let plain = files(
            TestPods.pod(specification: [
                "subdomain": "db", "hostAliases": [["ip": "1.2.3.4", "hostnames": ["a", "b"]]],
            ])
        ).hosts
        XCTAssertTrue(plain.contains("10.244.0.5\tweb.db.default.svc.cluster.local\tweb\n"))
        XCTAssertTrue(plain.hasSuffix("# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"))
        XCTAssertTrue(files(TestPods.pod(specification: ["hostNetwork": true])).hosts.contains("127.0.0.1 localhost\n"))
        XCTAssertEqual(files(TestPods.pod(specification: ["hostname": "other"])).hostname, "other\n")
        XCTAssertEqual(
            files(TestPods.pod(specification: ["subdomain": "db", "setHostnameAsFQDN": true])).hostname,
            "web.db.default.svc.cluster.local\n")
    }

    func testImageNames() {
        XCTAssertEqual(WantedImage.defaultPolicy("nginx"), "Always")
        XCTAssertEqual(WantedImage.defaultPolicy("host:5000/nginx"), "Always")
        XCTAssertEqual(WantedImage.defaultPolicy("nginx:1"), "IfNotPresent")
        XCTAssertEqual(WantedImage.defaultPolicy("nginx@sha256:abc"), "IfNotPresent")
        XCTAssertEqual(ImageCredentials.registry(of: "nginx"), "docker.io")
        XCTAssertEqual(ImageCredentials.registry(of: "r.example:5000/a/b:1"), "r.example:5000")
    }
}
