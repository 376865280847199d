import Objects
import XCTest

@testable import ObjectSchema

/// Newer parts of pods: restart rules, resources of the pod as a whole, images and certificates as volumes, variables out of
/// files, users of its own.
final class PodFeatureTests: XCTestCase {
    private func pod(_ patch: String) throws -> JSON {
        let base: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "namespace": "d"],
            "spec": ["containers": [["name": "c", "image": "i:1"]]],
        ]
        var object = try MergePatch.apply(JSON(parsing: #"{"spec":\#(patch)}"#), to: base)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        XCTAssertEqual(try Schema.shared.prune(&object, as: node), [], patch)
        Schema.shared.applyDefaults(&object, as: node)
        return object
    }

    private func check(_ rows: [(spec: String, errors: [String], reason: String)]) throws {
        for row in rows {
            let object = try pod(row.spec)
            let node = try XCTUnwrap(Schema.shared.kind(of: object))
            XCTAssertEqual(Schema.shared.validate(object, as: node).map(\.description), row.errors, row.reason)
        }
    }

    private func container(_ more: String) -> String { #"{"containers":[{"name":"c","image":"i:1",\#(more)}]}"# }

    func testRestartRules() throws {
        let place = "spec.containers[0]"
        let codes = #""exitCodes":{"operator":"In","values":[42]}"#
        func rules(_ policy: String, _ rules: String) -> String {
            container(#"\#(policy)"restartPolicyRules":[\#(rules)]"#)
        }
        let never = #""restartPolicy":"Never","#
        try check([
            (container(#""restartPolicy":"OnFailure""#), [], "a policy of its own"),
            (
                container(#""restartPolicy":"Often""#),
                [
                    "\(place).restartPolicy: Unsupported value: \"Often\": supported values: \"Always\", \"Never\", \"OnFailure\""
                ],
                "no such policy"
            ),
            (rules(never, #"{"action":"Restart",\#(codes)}"#), [], "a rule"),
            (rules(never, #"{"action":"RestartAllContainers",\#(codes)}"#), [], "all containers again"),
            (
                rules("", #"{"action":"Restart",\#(codes)}"#),
                ["\(place).restartPolicy: Required value: must specify restartPolicy when restart rules are used"],
                "rules without a policy"
            ),
            (
                rules(never, #"{"action":"Stop",\#(codes)}"#),
                [
                    "\(place).restartPolicyRules[0].action: Unsupported value: \"Stop\": supported values: \"Restart\", \"RestartAllContainers\""
                ], "no such action"
            ),
            (
                rules(never, #"{"action":"Restart"}"#),
                ["\(place).restartPolicyRules[0].exitCodes: Required value: must be specified"], "of no exit"
            ),
            (
                rules(never, #"{"action":"Restart","exitCodes":{"operator":"Is","values":[1]}}"#),
                [
                    "\(place).restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Is\": supported values: \"In\", \"NotIn\""
                ], "no such operator"
            ),
            (
                rules(never, Array(repeating: #"{"action":"Restart",\#(codes)}"#, count: 21).joined(separator: ",")),
                ["\(place).restartPolicyRules: Too many: 21: must have at most 20 items"], "too many"
            ),
        ])
    }

    func testResourcesOfThePod() throws {
        func whole(_ own: String, _ container: String = "{}") -> String {
            #"{"resources":\#(own),"containers":[{"name":"c","image":"i:1","resources":\#(container)}]}"#
        }
        try check([
            (whole(#"{"requests":{"cpu":"1"},"limits":{"cpu":"2","memory":"1Gi"}}"#), [], "of the pod alone"),
            (
                whole(#"{"requests":{"ephemeral-storage":"1Gi"}}"#),
                [
                    "spec.resources.requests[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": supported values: \"cpu\", \"hugepages-\", \"memory\""
                ], "what a pod as a whole has not"
            ),
            (
                whole(#"{"requests":{"cpu":"1"}}"#, #"{"requests":{"cpu":"1500m"}}"#),
                [
                    "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 1500m"
                ], "less than its containers"
            ),
            (
                whole(#"{"limits":{"cpu":"1"}}"#, #"{"limits":{"cpu":"2"},"requests":{"cpu":"1"}}"#),
                [
                    "spec.resources.containers[0][cpu].limits: Invalid value: \"2\": must be less than or equal to pod limits of 1"
                ], "a container that may more than the pod"
            ),
            (
                whole(#"{"claims":[{"name":"a"}]}"#),
                ["spec.resources.claims: Forbidden: claims cannot be set for Resources at pod-level"], "claims"
            ),
        ])
        let rows: [(own: String, container: String, expected: JSON, reason: String)] = [
            (#"{"limits":{"cpu":"2"}}"#, "{}", ["limits": ["cpu": "2"], "requests": ["cpu": "2"]], "what is limited"),
            (
                #"{"limits":{"cpu":"2"}}"#, #"{"requests":{"cpu":"500m","memory":"1Gi"}}"#,
                ["limits": ["cpu": "2"], "requests": ["cpu": "500m", "memory": "1Gi"]], "what its containers ask for"
            ),
            (
                #"{"requests":{"cpu":"2"}}"#, #"{"limits":{"hugepages-2Mi":"4Mi"}}"#,
                ["requests": ["cpu": "2", "hugepages-2Mi": "4Mi"], "limits": ["hugepages-2Mi": "4Mi"]], "pages"
            ),
            ("{}", #"{"requests":{"cpu":"1"}}"#, [:], "a pod without resources of its own"),
            (
                #"{"requests":{"cpu":"2"}}"#, #"{"limits":{"cpu":"3","example.com/x":"1"}}"#,
                ["requests": ["cpu": "2"], "limits": ["cpu": "3"]], "what its containers are limited to"
            ),
            (#"{"requests":{"cpu":"2"}}"#, "{}", ["requests": ["cpu": "2"]], "a container without a limit"),
        ]
        for (own, container, expected, reason) in rows {
            XCTAssertEqual(try pod(whole(own, container))["spec"]["resources"], expected, reason)
        }
    }

    func testAmountsOfContainersTogether() throws {
        func container(_ cpu: String, _ more: JSON = [:]) -> JSON {
            var container = more
            container["resources"] = ["requests": ["cpu": .string(cpu)]]
            return container
        }
        let sidecar: JSON = ["restartPolicy": "Always"]
        let rows: [(initial: [JSON], regular: [JSON], expected: Int64, reason: String)] = [
            ([], [container("1"), container("2")], 3, "those that run at once"),
            ([container("5")], [container("1"), container("2")], 5, "an init container that needs more"),
            ([container("1", sidecar), container("5")], [container("2")], 6, "beside the sidecar before it"),
            ([container("5"), container("1", sidecar)], [container("2")], 5, "and not the one behind it"),
            ([container("1", sidecar)], [container("2")], 3, "a sidecar runs on"),
        ]
        for (initial, regular, expected, reason) in rows {
            let spec: JSON = ["initContainers": .array(initial), "containers": .array(regular)]
            XCTAssertEqual(PodLevelResources.aggregate(spec, "requests"), ["cpu": Quantity(expected)], reason)
        }
    }

    func testVolumes() throws {
        func projected(_ source: String) -> String {
            #"{"volumes":[{"name":"v","projected":{"sources":[\#(source)]}}]}"#
        }
        let bundle = "spec.volumes[0].projected.sources[0].clusterTrustBundle"
        let certificate = "spec.volumes[0].projected.sources[0].podCertificate"
        let good = #""signerName":"a.example/b","keyType":"ED25519","credentialBundlePath":"c.pem""#
        try check([
            (#"{"volumes":[{"name":"v","image":{"reference":"i:1"}}]}"#, [], "an image"),
            (
                #"{"volumes":[{"name":"v","image":{}}]}"#, ["spec.volumes[0].image.reference: Required value"],
                "no image"
            ),
            (projected(#"{"clusterTrustBundle":{"name":"b","path":"p"}}"#), [], "a bundle"),
            (
                projected(#"{"clusterTrustBundle":{"signerName":"a.example/b","path":"p","labelSelector":{}}}"#), [],
                "of a signer"
            ),
            (
                projected(#"{"clusterTrustBundle":{"path":"p"}}"#),
                ["\(bundle): Required value: either name or signerName must be specified"], "of nobody"
            ),
            (
                projected(#"{"clusterTrustBundle":{"name":"b","path":"p","labelSelector":{"matchLabels":{"a":"b"}}}}"#),
                [
                    "\(bundle).labelSelector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: labelSelector must be unset if name is specified"
                ], "a name and labels"
            ),
            (projected(#"{"clusterTrustBundle":{"name":"b"}}"#), ["\(bundle).path: Required value"], "no file"),
            (projected(#"{"podCertificate":{\#(good)}}"#), [], "a certificate"),
            (
                projected(
                    #"{"secret":{"name":"s","items":[{"key":"a","path":"p"}]}},{"configMap":{"name":"m","items":[{"key":"a","path":"q"}]}}"#
                ), [], "files apart"
            ),
            (
                projected(
                    #"{"secret":{"name":"s","items":[{"key":"a","path":"p"}]}},{"configMap":{"name":"m","items":[{"key":"a","path":"p"}]}}"#
                ), ["spec.volumes[0].projected: Invalid value: \"m\": conflicting duplicate paths"], "a file twice"
            ),
            (
                projected(
                    #"{"downwardAPI":{"items":[{"path":"p","fieldRef":{"fieldPath":"metadata.name"}}]}},{"clusterTrustBundle":{"name":"b","path":"p"}}"#
                ), ["spec.volumes[0].projected: Invalid value: \"p\": conflicting duplicate paths"], "of a bundle"
            ),
            (
                projected(#"{"podCertificate":{\#(good),"maxExpirationSeconds":60}}"#),
                [
                    "\(certificate).maxExpirationSeconds: Invalid value: 60: if provided, maxExpirationSeconds must be >= 3600 and <= 7862400"
                ], "a minute"
            ),
            (
                projected(#"{"podCertificate":{"signerName":"a.example/b","keyType":"ED25519"}}"#),
                [
                    "\(certificate): Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
                ], "no file"
            ),
            (
                projected(#"{"secret":{"name":"a"},"configMap":{"name":"b"}}"#),
                [
                    "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source"
                ], "two sources in one"
            ),
        ])
        for (reference, policy) in [("i:1", "IfNotPresent"), ("i", "Always"), ("i:latest", "Always")] {
            let made = try pod(#"{"volumes":[{"name":"v","image":{"reference":"\#(reference)"}}]}"#)
            XCTAssertEqual(made["spec"]["volumes"][0]["image"]["pullPolicy"].stringValue, policy, reference)
        }
    }

    func testVariablesOutOfFiles() throws {
        func file(_ reference: String, _ volume: String) -> String {
            #"{"volumes":[\#(volume)],"containers":[{"name":"c","image":"i:1","env":[{"name":"A","valueFrom":{"fileKeyRef":\#(reference)}}]}]}"#
        }
        let place = "spec.containers[0].env[0].valueFrom.fileKeyRef"
        let (empty, other) = (#"{"name":"v","emptyDir":{}}"#, #"{"name":"v","configMap":{"name":"m"}}"#)
        let good = #"{"volumeName":"v","path":"f.env","key":"A"}"#
        try check([
            (file(good, empty), [], "a file of an empty directory"),
            (
                file(good, other),
                ["\(place).volumeName: Invalid value: \"v\": referenced volume must be of type emptyDir"], "of no other"
            ),
            (file(good, ""), ["\(place).volumeName: Not found: \"v\""], "no such volume"),
            (
                file(#"{"volumeName":"v","path":"/f","key":"A"}"#, empty),
                ["\(place).path: Invalid value: \"/f\": must be a relative path"], "outside"
            ),
        ])
        XCTAssertEqual(
            try pod(file(good, empty))["spec"]["containers"][0]["env"][0]["valueFrom"]["fileKeyRef"]["optional"], false)
    }

    func testUsersOfItsOwn() throws {
        try check([
            (#"{"hostUsers":false}"#, [], "users of its own"),
            (
                #"{"hostUsers":false,"hostNetwork":true,"hostPID":true,"hostIPC":true}"#,
                ["hostNetwork", "HostPID", "HostIPC"].map {
                    "spec.\($0): Forbidden: when `pod.Spec.HostUsers` is false"
                }, "nothing of the host's then"
            ),
            (#"{"hostUsers":true,"hostPID":true}"#, [], "the host's users"),
        ])
    }
}
