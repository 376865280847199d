import Objects
import XCTest

/// What pods may be and have, beyond their containers and volumes.
final class PodRulesTests: XCTestCase {
    private let pods = try? ObjectTable(
        #"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i:1"}]}}
        """#)

    private func check(_ rows: [(String, [String])], line: UInt = #line) throws {
        try XCTUnwrap(pods).check(rows.map { (#"{"spec":{\#($0.0)}}"#, $0.1.map { "spec." + $0 }) }, line: line)
    }

    func testPlainFields() throws {
        try check([
            (
                #""restartPolicy":"","dnsPolicy":"","schedulerName":"My_Scheduler","terminationGracePeriodSeconds":-5"#,
                []
            ),
            (
                #""dnsPolicy":"x""#,
                [
                    #"dnsPolicy: Unsupported value: "x": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None""#
                ]
            ),
            (
                #""preemptionPolicy":"x""#,
                [
                    #"preemptionPolicy: Unsupported value: "x": supported values: "PreemptLowerPriority", "Never""#
                ]
            ),
            (#""hostname":"a.b""#, [#"hostname: Invalid value: "a.b": must not contain dots"#]),
            (
                #""activeDeadlineSeconds":0"#,
                ["activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"]
            ),
            (#""hostAliases":[{"ip":"10.0.0.1","hostnames":["a.b"]}]"#, []),
            (
                #""hostAliases":[{"ip":"10.0.0"},{"ip":"::1","hostnames":["a","-"]}]"#,
                [
                    #"hostAliases[0].ip: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
                    #"hostAliases[1].hostnames[1]: Invalid value: "-": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#,
                ]
            ),
            (#""os":{"name":"plan9"}"#, [#"os: Unsupported value: "plan9": supported values: "linux", "windows""#]),
            (#""os":{"name":""}"#, ["os.name: Required value: cannot be empty"]),
            (#""hostnameOverride":"a.b""#, []),
            (
                #""hostnameOverride":"a.b","hostNetwork":true"#,
                ["hostnameOverride: Forbidden: may not be specified when 'hostNetwork' is true"]
            ),
        ])
    }

    func testNames() throws {
        try check([
            (#""dnsConfig":{"searches":[".","_a.b.","c_d.e"],"options":[{"name":"x"}],"nameservers":["1.2.3.4"]}"#, []),
            (#""dnsConfig":{"nameservers":["1.1.1.1","1.1.1.2","1.1.1.3"]}"#, []),
            (
                #""dnsConfig":{"nameservers":["1.1.1.1","1.1.1.2","1.1.1.3","::1"],"options":[{}]}"#,
                [
                    #"dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.2","1.1.1.3","::1"]: must not have more than 3 nameservers"#,
                    "dnsConfig.options[0]: Required value: must not be empty",
                ]
            ),
            (
                #""dnsPolicy":"None","dnsConfig":{}"#,
                [
                    "dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None"
                ]
            ),
        ])
        let many = #""dnsConfig":{"searches":[\#((1...33).map { "\"a\($0)\"" }.joined(separator: ","))]}"#
        XCTAssertTrue(
            try XCTUnwrap(pods).faults(#"{"spec":{\#(many)}}"#)[0].hasSuffix("must not have more than 32 search paths"))
    }

    func testSecurity() throws {
        func context(_ members: String) -> String { #""securityContext":{\#(members)}"# }
        try check([
            (context(#""fsGroup":2147483647,"sysctls":[{"name":"net/ipv4/ip_forward","value":"1"}]"#), []),
            (
                context(#""runAsUser":-1,"supplementalGroups":[0,2147483648]"#),
                [
                    "securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                    "securityContext.supplementalGroups[1]: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
                ]
            ),
            (
                context(#""fsGroupChangePolicy":"x","supplementalGroupsPolicy":"x""#),
                [
                    #"securityContext.fsGroupChangePolicy: Unsupported value: "x": supported values: "Always", "OnRootMismatch""#,
                    #"securityContext.supplementalGroupsPolicy: Unsupported value: "x": supported values: "Merge", "Strict""#,
                ]
            ),
            (
                context(#""sysctls":[{"name":"a"},{"name":"a"},{"name":""},{"name":"A"}]"#),
                [
                    #"securityContext.sysctls[1].name: Duplicate value: "a""#,
                    "securityContext.sysctls[2].name: Required value",
                    #"securityContext.sysctls[3].name: Invalid value: "A": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"#,
                ]
            ),
            (
                context(#""sysctls":[{"name":"net.a"},{"name":"kernel.sem"}]"#)
                    + #","hostNetwork":true,"hostIPC":true"#,
                [
                    #"securityContext.sysctls[0].name: Invalid value: "net.a": may not be specified when 'hostNetwork' is true"#,
                    #"securityContext.sysctls[1].name: Invalid value: "kernel.sem": may not be specified when 'hostIPC' is true"#,
                ]
            ),
            (
                #""hostPID":true,"shareProcessNamespace":true"#,
                [
                    "securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"
                ]
            ),
            (
                context(#""seccompProfile":{}"#),
                ["securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set"]
            ),
            (
                context(#""seccompProfile":{"type":"Localhost"}"#),
                [
                    "securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"
                ]
            ),
            (
                context(#""seccompProfile":{"type":"Localhost","localhostProfile":"../x"}"#),
                [
                    #"securityContext.seccompProfile.localhostProfile: Invalid value: "../x": must not contain '..'"#
                ]
            ),
            (
                context(#""appArmorProfile":{"type":"Localhost","localhostProfile":" x"}"#),
                [
                    #"securityContext.appArmorProfile.localhostProfile: Invalid value: " x": must not be padded with whitespace"#
                ]
            ),
            (
                context(#""appArmorProfile":{"type":"Unconfined","localhostProfile":"x"}"#),
                [
                    #"securityContext.appArmorProfile.localhostProfile: Invalid value: "x": can only be set when AppArmor type is Localhost"#
                ]
            ),
        ])
        func container(_ members: String) -> String {
            #""containers":[{"name":"c","image":"i","securityContext":{\#(members)}}]"#
        }
        try check([
            (container(#""procMount":"Unmasked""#) + #","hostUsers":false"#, []),
            (
                container(#""procMount":"Unmasked""#),
                [
                    #"containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`"#
                ]
            ),
            (
                container(#""allowPrivilegeEscalation":false,"capabilities":{"add":["CAP_SYS_ADMIN"]}"#),
                [
                    #"containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"capabilities":{"add":["CAP_SYS_ADMIN"]}}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"#
                ]
            ),
        ])
    }

    func testWindows() throws {
        func pod(_ members: String, os: String = "") -> String { #""securityContext":{\#(members)}\#(os)"# }
        let windows = #","os":{"name":"windows"}"#
        try check([
            (
                pod(#""runAsUser":1,"windowsOptions":{"runAsUserName":"D\\u"}"#, os: windows),
                ["securityContext.runAsUser: Forbidden: cannot be set for a windows pod"]
            ),
            (
                pod(#""windowsOptions":{}"#, os: #","os":{"name":"linux"}"#),
                ["securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"]
            ),
            (
                pod(#""windowsOptions":{"hostProcess":true}"#),
                [
                    "hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers"
                ]
            ),
            (
                pod(#""windowsOptions":{"runAsUserName":"a\\b\\c"}"#),
                [
                    #"securityContext.windowsOptions.runAsUserName: Invalid value: "a\\b\\c": runAsUserName cannot contain more than one backslash"#
                ]
            ),
            (
                pod(#""windowsOptions":{"runAsUserName":".\\.."}"#),
                [
                    #"securityContext.windowsOptions.runAsUserName: Invalid value: ".\\..": runAsUserName's Domain doesn't match the NetBios nor the DNS format"#,
                    #"securityContext.windowsOptions.runAsUserName: Invalid value: ".\\..": runAsUserName's User cannot contain only periods or spaces"#,
                ]
            ),
        ])
    }

    func testAnnotations() throws {
        func annotated(_ members: String, _ spec: String = "") -> String {
            #"{"metadata":{"annotations":{\#(members)}},"spec":{\#(spec)}}"#
        }
        let cost = "controller.kubernetes.io/pod-deletion-cost"
        let seccomp = "seccomp.security.alpha.kubernetes.io/pod"
        try XCTUnwrap(pods).check([
            (annotated(#""\#(cost)":"-10""#), []),
            (
                annotated(#""\#(cost)":"+10""#),
                [#"metadata.annotations[\#(cost)]: Invalid value: "+10": must be a 32bit integer"#]
            ),
            (
                annotated(#""kubernetes.io/config.mirror":"x""#),
                [
                    #"metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set"#
                ]
            ),
            (
                annotated(#""\#(seccomp)":"x""#),
                [#"metadata.annotations.\#(seccomp): Invalid value: "x": must be a valid seccomp profile"#]
            ),
            (
                annotated(
                    #""\#(seccomp)":"unconfined""#,
                    #""securityContext":{"seccompProfile":{"type":"RuntimeDefault"}}"#),
                [
                    "spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match"
                ]
            ),
            (
                annotated(#""container.apparmor.security.beta.kubernetes.io/x":"runtime/default""#),
                [
                    #"metadata.annotations[container.apparmor.security.beta.kubernetes.io/x]: Invalid value: "x": container not found"#
                ]
            ),
        ])
        XCTAssertEqual(
            try XCTUnwrap(pods).faults(
                from: annotated(#""container.apparmor.security.beta.kubernetes.io/c":"unconfined""#), to: "{}"),
            [
                "metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Forbidden: may not remove or update AppArmor annotations"
            ])
    }

    func testTemplates() throws {
        let templates = try ObjectTable(
            #"""
            {"apiVersion":"v1","kind":"PodTemplate","metadata":{"name":"t"},
            "template":{"spec":{"containers":[{"name":"c","image":"i:1"}]}}}
            """#)
        try templates.check([
            (#"{"template":{"spec":{"containers":[{"name":"c","image":" i "}]}}}"#, []),
            (
                #"{"template":{"metadata":{"labels":{"a":"-"},"annotations":{"a b":""}}}}"#,
                [
                    #"template.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#,
                    #"template.annotations: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#,
                ]
            ),
            (
                #"{"template":{"spec":{"ephemeralContainers":[{"name":"e","image":"i"}]}}}"#,
                [
                    "template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"
                ]
            ),
        ])
        let template = try templates.object(#"{"template":{"spec":{"hostNetwork":true}}}"#)
        XCTAssertTrue(template["template"]["spec"]["enableServiceLinks"].isNull, "pods get it, templates do not")
    }

    func testUpdates() throws {
        let table = try XCTUnwrap(pods)
        func spec(_ members: String) -> String { #"{"spec":{\#(members)}}"# }
        let toleration = #""tolerations":[{"key":"a","operator":"Exists","effect":"NoExecute","tolerationSeconds":3}]"#
        let longer = #""tolerations":[{"key":"a","operator":"Exists","effect":"NoExecute","tolerationSeconds":9}]"#
        XCTAssertEqual(try table.faults(from: spec(toleration), to: spec(longer)), [], "for how long may change")
        XCTAssertEqual(
            try table.faults(from: spec(toleration), to: "{}"),
            ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"])
        XCTAssertEqual(
            try table.faults(from: spec(#""activeDeadlineSeconds":5"#), to: spec(#""activeDeadlineSeconds":6"#)),
            ["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"])
        XCTAssertEqual(
            try table.faults(
                from: spec(#""schedulingGates":[{"name":"a"}]"#),
                to: spec(#""schedulingGates":[{"name":"a"},{"name":"b"}]"#)),
            [
                "spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"
            ])
        XCTAssertEqual(
            try table.faults(
                from: spec(#""terminationGracePeriodSeconds":-1"#), to: spec(#""terminationGracePeriodSeconds":1"#)),
            [], "what was below 0 may become what it meant")
    }
}
