import Objects
import XCTest

/// What containers may be and have.
final class ContainerRulesTests: XCTestCase {
    private let pods = try? ObjectTable(
        #"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"serviceAccountName":"s",
        "volumes":[{"name":"v"},{"name":"b","persistentVolumeClaim":{"claimName":"c"}}],
        "containers":[{"name":"c","image":"i:1"}]}}
        """#)
    private let own = "spec.containers[0]"

    private func container(_ members: String) -> String {
        #"{"spec":{"containers":[{"name":"c","image":"i:1",\#(members)}]}}"#
    }

    private func check(_ rows: [(String, [String])], line: UInt = #line) throws {
        try XCTUnwrap(pods).check(rows.map { (container($0.0), $0.1.map { own + $0 }) }, line: line)
    }

    func testPorts() throws {
        try check([
            (#""ports":[{"containerPort":80},{"containerPort":80}]"#, []),
            (#""ports":[{"containerPort":80,"protocol":"","hostIP":"anything"}]"#, []),
            (#""ports":[{"containerPort":0}]"#, [".ports[0].containerPort: Required value"]),
            (
                #""ports":[{"containerPort":1,"hostPort":65536}]"#,
                [".ports[0].hostPort: Invalid value: 65536: must be between 1 and 65535, inclusive"]
            ),
            (
                #""ports":[{"containerPort":1,"protocol":"ICMP"}]"#,
                [#".ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP""#]
            ),
            (
                #""ports":[{"containerPort":1,"name":"a"},{"containerPort":2,"name":"a"}]"#,
                [#".ports[1].name: Duplicate value: "a""#]
            ),
            (
                #""ports":[{"containerPort":1,"name":"A"}]"#,
                [
                    #".ports[0].name: Invalid value: "A": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"#,
                    #".ports[0].name: Invalid value: "A": must contain at least one letter (a-z)"#,
                ]
            ),
            (
                #""ports":[{"containerPort":1,"hostPort":9},{"containerPort":2,"hostPort":9}]"#,
                [#".ports[1].hostPort: Duplicate value: "TCP//9""#]
            ),
            (#""ports":[{"containerPort":1,"hostPort":9},{"containerPort":2,"hostPort":9,"hostIP":"10.0.0.1"}]"#, []),
        ])
        try XCTUnwrap(pods).check([
            (
                #"{"spec":{"hostNetwork":true,"containers":[{"name":"c","image":"i","ports":[{"containerPort":1,"hostPort":2}]}]}}"#,
                [
                    "spec.containers[0].ports[0].hostPort: Invalid value: 2: must match `containerPort` when `hostNetwork` is true"
                ]
            ),
            (
                #"{"spec":{"initContainers":[{"name":"a","image":"i","ports":[{"containerPort":1,"hostPort":9}]},{"name":"b","image":"i","ports":[{"containerPort":1,"hostPort":9}]}]}}"#,
                []
            ),
        ])
    }

    func testEnvironment() throws {
        try check([
            (#""env":[{"name":"1 a.b-c","value":"x"}],"envFrom":[{"prefix":"1 x","configMapRef":{"name":"m"}}]"#, []),
            (
                #""env":[{"name":"a=b"}]"#,
                [
                    #".env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='"#
                ]
            ),
            (
                #""env":[{"name":"a","valueFrom":{}}]"#,
                [
                    #".env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"#
                ]
            ),
            (
                #""env":[{"name":"a","value":"x","valueFrom":{"secretKeyRef":{"name":"n","key":"k"},"fieldRef":{"fieldPath":"metadata.name"}}}]"#,
                [#".env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty"#]
            ),
            (
                #""env":[{"name":"a","valueFrom":{"secretKeyRef":{"name":"n","key":"k"},"fieldRef":{"fieldPath":"metadata.name"}}}]"#,
                [#".env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time"#]
            ),
            (
                #""env":[{"name":"a","valueFrom":{"configMapKeyRef":{"name":"n","key":""}}}]"#,
                [".env[0].valueFrom.configMapKeyRef.key: Required value"]
            ),
            (
                #""env":[{"name":"a","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a/b']"}}}]"#, []
            ),
            (
                #""env":[{"name":"a","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels"}}}]"#,
                [
                    #".env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs""#
                ]
            ),
            (
                #""env":[{"name":"a","valueFrom":{"fieldRef":{"fieldPath":"spec.volumes"}}}]"#,
                [
                    #".env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.volumes": error converting fieldPath: field label not supported: spec.volumes"#
                ]
            ),
            (
                #""env":[{"name":"a","valueFrom":{"fieldRef":{"apiVersion":"v2","fieldPath":"metadata.name"}}}]"#,
                [
                    #".env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2"#
                ]
            ),
            (
                #""env":[{"name":"a","valueFrom":{"resourceFieldRef":{"resource":"limits.hugepages-2Mi","divisor":"1Mi"}}}]"#,
                []
            ),
            (
                #""env":[{"name":"a","valueFrom":{"resourceFieldRef":{"resource":"limits.gpu"}}}]"#,
                [
                    #".env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpu": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory""#
                ]
            ),
            (
                #""env":[{"name":"a","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1k"}}}]"#,
                [
                    #".env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource"#
                ]
            ),
            (
                #""envFrom":[{}]"#,
                [#".envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`"#]
            ),
            (
                #""envFrom":[{"configMapRef":{"name":"a"},"secretRef":{"name":"b"}}]"#,
                [#".envFrom: Invalid value: "": may not have more than one field specified at a time"#]
            ),
        ])
    }

    func testMounts() throws {
        func mount(_ members: String) -> String { #""volumeMounts":[{\#(members)}]"# }
        try check([
            (mount(#""name":"v","mountPath":"C:\\data","subPath":"a/b""#), []),
            (mount(#""name":"v""#), [".volumeMounts[0].mountPath: Required value"]),
            (
                mount(#""mountPath":"/a""#),
                [".volumeMounts[0].name: Required value", #".volumeMounts[0].name: Not found: """#]
            ),
            (
                mount(#""name":"v","mountPath":"/a"},{"name":"v","mountPath":"/a""#),
                [#".volumeMounts[1].mountPath: Invalid value: "/a": must be unique"#]
            ),
            (
                mount(#""name":"v","mountPath":"/a","subPath":"/x""#),
                [#".volumeMounts.subPath: Invalid value: "/x": must be a relative path"#]
            ),
            (
                mount(#""name":"v","mountPath":"/a","subPathExpr":"../x""#),
                [#".volumeMounts.subPathExpr: Invalid value: "../x": must not contain '..'"#]
            ),
            (
                mount(#""name":"v","mountPath":"/a","mountPropagation":"Both""#),
                [
                    #".volumeMounts.mountPropagation: Unsupported value: "Both": supported values: "Bidirectional", "HostToContainer", "None""#
                ]
            ),
            (
                #""volumeDevices":[{"name":"b","devicePath":"/dev/a"}]"#, []
            ),
            (
                #""volumeDevices":[{"name":"v","devicePath":"/dev/../a"},{"name":"x","devicePath":""}]"#,
                [
                    #".volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"#,
                    #".volumeDevices[0].devicePath: Invalid value: "/dev/../a": can not contain backsteps ('..')"#,
                    #".volumeDevices[1].name: Not found: "x""#, ".volumeDevices[1].devicePath: Required value",
                ]
            ),
            (
                #""volumeMounts":[{"name":"b","mountPath":"/b"}],"volumeDevices":[{"name":"b","devicePath":"/b"}]"#,
                [
                    #".volumeMounts[0].name: Invalid value: "b": must not already exist in volumeDevices"#,
                    #".volumeMounts[0].mountPath: Invalid value: "/b": must not already exist as a path in volumeDevices"#,
                    #".volumeDevices[0].name: Invalid value: "b": must not already exist in volumeMounts"#,
                    #".volumeDevices[0].devicePath: Invalid value: "/b": must not already exist as a path in volumeMounts"#,
                ]
            ),
        ])
    }

    func testProbesAndHooks() throws {
        let get = #""httpGet":{"port":80}"#
        try check([
            (#""livenessProbe":{\#(get),"timeoutSeconds":0,"periodSeconds":0,"successThreshold":0}"#, []),
            (
                #""livenessProbe":{"httpGet":{"path":""}}"#,
                [".livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"]
            ),
            (
                #""readinessProbe":{"tcpSocket":{"port":"UP"}}"#,
                [
                    #".readinessProbe.tcpSocket.port: Invalid value: "UP": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"#,
                    #".readinessProbe.tcpSocket.port: Invalid value: "UP": must contain at least one letter (a-z)"#,
                ]
            ),
            (
                #""readinessProbe":{\#(get),"terminationGracePeriodSeconds":5}"#,
                [".readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"]
            ),
            (
                #""startupProbe":{\#(get),"successThreshold":2}"#,
                [".startupProbe.successThreshold: Invalid value: 2: must be 1"]
            ),
            (
                #""livenessProbe":{"httpGet":{"port":80,"httpHeaders":[{"name":"a b"}]}}"#,
                [
                    #".livenessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"#
                ]
            ),
            (#""lifecycle":{"preStop":{"sleep":{"seconds":0}}}"#, []),
            (
                #""lifecycle":{"preStop":{"sleep":{"seconds":31}}}"#,
                [
                    ".lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"
                ]
            ),
            (
                #""lifecycle":{"postStart":{"exec":{"command":["a"]},"sleep":{"seconds":1}}}"#,
                [".lifecycle.postStart.sleep: Forbidden: may not specify more than 1 handler type"]
            ),
        ])
    }

    func testResources() throws {
        func limits(_ members: String) -> String { #""resources":{"limits":{\#(members)}}"# }
        try check([
            (limits(#""cpu":"1","hugepages-2Mi":"4Mi","kubernetes.io/x":"1","a.b/c":"1""#), []),
            (
                limits(#""gpu":"1""#),
                [
                    #".resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified"#,
                    #".resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers"#,
                    #".resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified"#,
                    #".resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers"#,
                ]
            ),
            (
                #""resources":{"requests":{"pods":"1500m"}}"#,
                [
                    #".resources.requests[pods]: Invalid value: "pods": must be a standard resource for containers"#,
                    #".resources.requests[pods]: Invalid value: "1500m": must be an integer"#,
                ]
            ),
            (
                #""resources":{"requests":{"requests.a.b/c":"1"},"limits":{"requests.a.b/c":"1"}}"#,
                ["limits", "requests"].map {
                    #".resources.\#($0)[requests.a.b/c]: Invalid value: "requests.a.b/c": doesn't follow extended resource name standard"#
                }
            ),
            (
                limits(#""memory":"1Gi","hugepages-2Mi":"3Mi""#),
                ["limits", "requests"].map {
                    #".resources.\#($0)[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi"#
                }
            ),
            (limits(#""hugepages-2Mi":"2Mi""#), [".resources: Forbidden: HugePages require cpu or memory"]),
            (
                #""resources":{"requests":{"a.b/c":"1"}}"#,
                [".resources.limits: Required value: Limit must be set for non overcommitable resources"]
            ),
            (
                #""resources":{"claims":[{"name":"x"}]}"#,
                [
                    #".resources.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty"#
                ]
            ),
            (
                #""resizePolicy":[{"resourceName":"cpu","restartPolicy":"Never"},{"resourceName":"cpu","restartPolicy":"NotRequired"}]"#,
                [
                    #".resizePolicy: Unsupported value: "Never": supported values: "NotRequired", "RestartContainer""#,
                    #".resizePolicy[1]: Duplicate value: "cpu""#,
                ]
            ),
        ])
        try XCTUnwrap(pods).check([
            (
                #"{"spec":{"overhead":{"gpu":"1"}}}"#,
                [
                    #"spec.overhead.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified"#,
                    #"spec.overhead.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers"#,
                ]
            ),
            (
                #"{"spec":{"resourceClaims":[{"name":"a","resourceClaimName":"x"},{"name":"a","resourceClaimTemplateName":"y"},{"name":"b"}]}}"#,
                [
                    #"spec.resourceClaims[1].name: Duplicate value: "a""#,
                    #"spec.resourceClaims[2]: Invalid value: {"name":"b"}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"#,
                ]
            ),
        ])
    }

    func testKindsOfContainers() throws {
        func spec(_ members: String) -> String { #"{"spec":{\#(members)}}"# }
        try XCTUnwrap(pods).check([
            (
                spec(#""initContainers":[{"name":"c","image":"i"}]"#),
                [#"spec.initContainers[0].name: Duplicate value: "c""#]
            ),
            (
                spec(#""initContainers":[{"name":"i","image":"i","readinessProbe":{"exec":{"command":["a"]}}}]"#),
                [
                    "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
                ]
            ),
            (
                spec(#""ephemeralContainers":[{"name":"e","image":"i"}]"#),
                ["spec.ephemeralContainers: Forbidden: cannot be set on create"]
            ),
            (
                spec(
                    #""ephemeralContainers":[{"name":"c","image":" i","targetContainerName":"x","ports":[{"containerPort":1}],"restartPolicy":"Never"}]"#
                ),
                [
                    #"spec.ephemeralContainers[0].image: Invalid value: " i": must not have leading or trailing whitespace"#,
                    #"spec.ephemeralContainers[0].name: Duplicate value: "c""#,
                    "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
                    "spec.ephemeralContainers[0].restartPolicy: Forbidden: cannot be set for an Ephemeral Container",
                    #"spec.ephemeralContainers[0].targetContainerName: Not found: "x""#,
                    "spec.ephemeralContainers: Forbidden: cannot be set on create",
                ]
            ),
            (
                #"{"spec":{"containers":[{"name":"a.b","image":"i","terminationMessagePolicy":"None"}]}}"#,
                [
                    #"spec.containers[0].name: Invalid value: "a.b": must not contain dots"#,
                    #"spec.containers[0].terminationMessagePolicy: Unsupported value: "None": supported values: "File", "FallbackToLogsOnError""#,
                ]
            ),
        ])
    }
}
