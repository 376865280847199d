import Objects
import XCTest

@testable import API

final class PodSecurityTests: XCTestCase {
    private func level(_ level: PodSecurityLevel.Level, _ minor: Int? = nil) -> PodSecurityLevel {
        PodSecurityLevel(level: level, minor: minor)
    }

    private func pod(_ container: JSON = [:], spec: JSON = [:], annotations: JSON = [:]) -> PodSecuritySubject {
        var spec = spec
        var web = container
        web["name"] = "web"
        spec["containers"] = [web]
        return PodSecuritySubject(metadata: ["annotations": annotations], spec: spec)
    }

    private func detail(_ pod: PodSecuritySubject, _ level: PodSecurityLevel) -> String {
        PodSecurityChecks.detail(PodSecurityChecks.violations(pod, level))
    }

    /// Whatever the restricted level asks for.
    private let hardened: JSON = [
        "securityContext": [
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": ["drop": ["ALL"]],
            "seccompProfile": ["type": "RuntimeDefault"],
        ]
    ]

    func testBaseline() {
        let table: [(PodSecuritySubject, String, String)] = [
            (pod(), "", "an ordinary pod"),
            (
                pod(["securityContext": ["privileged": true]]),
                #"privileged (container "web" must not set securityContext.privileged=true)"#, "all of the host"
            ),
            (
                pod(spec: ["hostNetwork": true, "hostPID": true]),
                "host namespaces (hostNetwork=true, hostPID=true)", "in the host's namespaces"
            ),
            (
                pod(spec: ["volumes": [["name": "a", "hostPath": ["path": "/"]], ["name": "b", "hostPath": [:]]]]),
                #"hostPath volumes (volumes "a", "b")"#, "the host's files"
            ),
            (
                pod(["ports": [["hostPort": 80], ["hostPort": 443], ["containerPort": 1]]]),
                #"hostPort (container "web" uses hostPorts 443, 80)"#, "the host's ports"
            ),
            (
                pod(["securityContext": ["capabilities": ["add": ["SYS_ADMIN", "KILL", "BPF"]]]]),
                #"non-default capabilities (container "web" must not include "BPF", "SYS_ADMIN" in securityContext.capabilities.add)"#,
                "beyond the default ones"
            ),
            (
                pod(["securityContext": ["procMount": "Unmasked"]]),
                #"procMount (container "web" must not set securityContext.procMount to "Unmasked")"#, "all of /proc"
            ),
            (
                pod(
                    ["securityContext": ["seccompProfile": ["type": "Unconfined"]]],
                    spec: ["securityContext": ["seccompProfile": ["type": "Unconfined"]]]),
                #"seccompProfile (pod and container "web" must not set securityContext.seccompProfile.type to "Unconfined")"#,
                "without a filter"
            ),
            (
                pod(spec: ["securityContext": ["sysctls": [["name": "kernel.shm_rmid_forced"], ["name": "kernel.x"]]]]),
                "forbidden sysctls (kernel.x)", "settings of the host"
            ),
            (
                pod(["securityContext": ["seLinuxOptions": ["type": "spc_t", "user": "root"]]]),
                #"seLinuxOptions (container "web" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)"#,
                "another context"
            ),
            (
                pod(annotations: ["container.apparmor.security.beta.kubernetes.io/web": "unconfined"]),
                #"forbidden AppArmor profile (container.apparmor.security.beta.kubernetes.io/web="unconfined")"#,
                "without a profile"
            ),
            (
                pod(["securityContext": ["windowsOptions": ["hostProcess": true]]]),
                #"hostProcess (container "web" must not set securityContext.windowsOptions.hostProcess=true)"#,
                "a process of the host"
            ),
            (
                pod(["livenessProbe": ["httpGet": ["host": "10.0.0.1"]]]),
                #"probe or lifecycle host (container "web" uses probe or lifecycle host "10.0.0.1")"#,
                "probes of others"
            ),
        ]
        for (pod, text, reason) in table { XCTAssertEqual(detail(pod, level(.baseline)), text, reason) }
        for (pod, _, reason) in table { XCTAssertEqual(detail(pod, level(.privileged)), "", "privileged: \(reason)") }
    }

    func testRestricted() {
        XCTAssertEqual(
            detail(pod(), level(.restricted)),
            #"allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false), "#
                + #"unrestricted capabilities (container "web" must set securityContext.capabilities.drop=["ALL"]), "#
                + #"runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true), "#
                + #"seccompProfile (pod or container "web" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#,
            "an ordinary pod")
        var root = hardened
        root["securityContext"]["runAsUser"] = 0
        var adds = hardened
        adds["securityContext"]["capabilities"]["add"] = ["NET_BIND_SERVICE", "CHOWN"]
        var rooted = hardened
        rooted["securityContext"]["runAsNonRoot"] = false
        let table: [(PodSecuritySubject, String, String)] = [
            (pod(hardened), "", "a hardened pod"),
            (pod(root), #"runAsUser=0 (container "web" must not set runAsUser=0)"#, "root by number"),
            (
                pod(rooted),
                #"runAsNonRoot != true (container "web" must not set securityContext.runAsNonRoot=false)"#,
                "root wanted"
            ),
            (
                pod(adds),
                #"unrestricted capabilities (container "web" must not include "CHOWN" in securityContext.capabilities.add)"#,
                "one capability may be added"
            ),
            (
                pod(hardened, spec: ["volumes": [["name": "v", "nfs": [:]], ["name": "e", "emptyDir": [:]]]]),
                #"restricted volume types (volume "v" uses restricted volume type "nfs")"#, "volumes of no core type"
            ),
            (
                pod(hardened, spec: ["volumes": [["name": "v", "hostPath": ["path": "/"]]]]),
                #"restricted volume types (volume "v" uses restricted volume type "hostPath")"#, "said once"
            ),
        ]
        for (pod, text, reason) in table { XCTAssertEqual(detail(pod, level(.restricted)), text, reason) }
    }

    func testVersions() {
        let windows = pod(["securityContext": ["runAsNonRoot": true]], spec: ["os": ["name": "windows"]])
        let table: [(PodSecuritySubject, PodSecurityLevel, Bool, String)] = [
            (pod(["livenessProbe": ["tcpSocket": ["host": "a"]]]), level(.baseline, 33), true, "hosts of probes: 1.34"),
            (pod(["livenessProbe": ["tcpSocket": ["host": "a"]]]), level(.baseline, 34), false, "from 1.34"),
            (
                pod(spec: ["securityContext": ["sysctls": [["name": "net.ipv4.tcp_rmem"]]]]), level(.baseline, 31),
                false,
                "allowed from 1.32"
            ),
            (
                pod(spec: ["securityContext": ["sysctls": [["name": "net.ipv4.tcp_rmem"]]]]), level(.baseline, 32),
                true,
                "allowed from 1.32"
            ),
            (windows, level(.restricted, 24), false, "no exception for Windows"),
            (windows, level(.restricted, 25), true, "its pods have no such thing"),
            (
                pod(["securityContext": ["procMount": "Unmasked"]], spec: ["hostUsers": false]), level(.baseline, 34),
                false, "user namespaces are not looked at"
            ),
            (
                pod(["securityContext": ["procMount": "Unmasked"]], spec: ["hostUsers": false]), level(.baseline, 35),
                true, "in a user namespace"
            ),
            (
                pod(annotations: ["seccomp.security.alpha.kubernetes.io/pod": "unconfined"]), level(.baseline, 18),
                false, "annotations before 1.19"
            ),
            (
                pod(annotations: ["seccomp.security.alpha.kubernetes.io/pod": "unconfined"]), level(.baseline, 19),
                true,
                "fields from 1.19"
            ),
        ]
        for (pod, level, isAllowed, reason) in table {
            XCTAssertEqual(detail(pod, level).isEmpty, isAllowed, "\(level): \(reason)")
        }
    }

    func testLabels() {
        let prefix = PodSecurityPolicy.prefix
        let policy = PodSecurityPolicy(labels: [
            .init(prefix + "enforce"): "baseline", .init(prefix + "warn"): "restricted",
            .init(prefix + "warn-version"): "v1.27",
        ])
        XCTAssertEqual("\(policy.enforce)", "baseline:latest")
        XCTAssertEqual("\(policy.warn)", "restricted:v1.27")
        XCTAssertEqual("\(policy.audit)", "privileged:latest", "what is not said is not asked for")
        XCTAssertTrue(PodSecurityPolicy(labels: .null).isPrivileged)
        let wrong = PodSecurityPolicy(labels: [
            .init(prefix + "enforce"): "strict", .init(prefix + "warn-version"): "1.27",
        ])
        XCTAssertEqual(wrong.enforce.level, .restricted, "what cannot be read is enforced strictly")
        XCTAssertEqual(
            wrong.mistakes.map(\.cause.message),
            [
                #"Invalid value: "strict": must be one of privileged, baseline, restricted"#,
                #"Invalid value: "1.27": must be "latest" or "v1.x""#,
            ])
    }

    func testThroughTheServer() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let pods = "/api/v1/namespaces/default/pods"
        var ordinary: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "a"],
            "spec": ["containers": [["name": "web", "image": "i"]], "hostNetwork": true],
        ]
        XCTAssertEqual(try server.request("POST", pods, ordinary).status, 201, "nothing is asked for yet")
        func label(_ labels: JSON) throws -> TLSClient.Response {
            try server.request(
                "PATCH", "/api/v1/namespaces/default", ["metadata": ["labels": labels]],
                headers: ["Content-Type": "application/merge-patch+json"])
        }
        let prefix = PodSecurityPolicy.prefix
        let invalid = try label([.init(prefix + "enforce"): "strict"])
        XCTAssertEqual(invalid.status, 422, invalid.text)
        let changed = try label([.init(prefix + "enforce"): "baseline", .init(prefix + "warn"): "restricted"])
        XCTAssertEqual(changed.status, 200, changed.text)
        XCTAssertEqual(
            changed.headers["warning"],
            #"299 - "a: host namespaces""#, "the last of the warnings: what runs there already")
        try server.settled { $0.podSecurity.policies.value(named: "default")?.enforce.level == .baseline }
        ordinary["metadata"]["name"] = "b"
        let refused = try server.request("POST", pods, ordinary)
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            #"pods "b" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)"#)
        ordinary["spec"].removeValue(forKey: "hostNetwork")
        let warned = try server.request("POST", pods, ordinary)
        XCTAssertEqual(warned.status, 201, warned.text)
        XCTAssertTrue(
            warned.headers["warning"]?.hasPrefix(
                #"299 - "would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation"#)
                == true, warned.headers["warning"] ?? "no warning")
        let workload: JSON = [
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "d"],
            "spec": [
                "selector": ["matchLabels": ["a": "b"]],
                "template": [
                    "metadata": ["labels": ["a": "b"]],
                    "spec": ["hostNetwork": true, "containers": [["name": "web", "image": "i"]]],
                ],
            ],
        ]
        let deployment = try server.request("POST", "/apis/apps/v1/namespaces/default/deployments", workload)
        XCTAssertEqual(deployment.status, 201, "a workload is only warned of")
        XCTAssertNotNil(deployment.headers["warning"])
    }

    func testExistingPodsAreNamedOnceAReason() {
        func pod(_ name: JSON, _ spec: JSON) -> JSON { ["metadata": ["name": name], "spec": spec] }
        let pods = [
            pod("c", ["hostPID": true]), pod("b", ["hostPID": true]), pod("a", [:]), pod("d", ["hostPID": true]),
        ]
        XCTAssertEqual(
            PodSecurityAdmission.warnings(pods, "n", level(.baseline)),
            [
                #"existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest""#,
                "b (and 2 other pods): host namespaces",
            ])
        XCTAssertEqual(PodSecurityAdmission.warnings([pods[2]], "n", level(.baseline)), [], "none breaks it")
    }
}
