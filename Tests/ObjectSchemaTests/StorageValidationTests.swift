import Objects
import XCTest

import ObjectSchema

/// Rules of volumes, claims, quotas and limit ranges.
final class StorageValidationTests: XCTestCase {
    /// What is wrong with an object after a merge patch, pruned and defaulted as the API does it.
    private func errors(_ base: String, _ patch: String) throws -> [String] {
        let (object, node) = try prepared(base, patch)
        return Schema.shared.validate(object, as: node).map(\.description)
    }

    private func prepared(_ base: String, _ patch: String) throws -> (JSON, SchemaNode) {
        var object = try MergePatch.apply(JSON(parsing: patch), to: JSON(parsing: base))
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        XCTAssertEqual(try Schema.shared.prune(&object, as: node), [])
        Schema.shared.applyDefaults(&object, as: node)
        return (object, node)
    }

    private func check(_ base: String, _ rows: [(patch: String, errors: [String])], line: UInt = #line) throws {
        for row in rows { XCTAssertEqual(try errors(base, row.patch), row.errors, row.patch, line: line) }
    }

    private let volume = """
        {"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"v"},"spec":{"capacity":{"storage":"1Gi"},\
        "accessModes":["ReadWriteOnce"],"hostPath":{"path":"/x"}}}
        """
    private let claim = """
        {"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"c"},"spec":{\
        "accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"2Gi"}}}}
        """

    func testVolumes() throws {
        try check(
            volume,
            [
                ("{}", []),
                (#"{"spec":{"hostPath":null}}"#, ["spec: Required value: must specify a volume type"]),
                (
                    #"{"spec":{"nfs":{"server":"s","path":"/p"}}}"#,
                    ["spec.nfs: Forbidden: may not specify more than 1 volume type"]
                ),
                (
                    #"{"spec":{"accessModes":["ReadWriteOnce","ReadWriteOncePod"]}}"#,
                    ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"]
                ),
                (
                    #"{"spec":{"capacity":{"cpu":"1"}}}"#,
                    [#"spec.capacity: Unsupported value: {"storage":"1Gi","cpu":"1"}: supported values: "storage""#]
                ),
                (
                    #"{"spec":{"hostPath":null,"local":{"path":"/x"}}}"#,
                    ["spec.nodeAffinity: Required value: Local volume requires node affinity"]
                ),
                (
                    #"{"spec":{"hostPath":{"path":"/"},"persistentVolumeReclaimPolicy":"Recycle"}}"#,
                    [
                        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"
                    ]
                ),
            ])
        try check(
            claim,
            [
                (
                    #"{"spec":{"accessModes":["ReadWriteOncePod","ReadWriteMany"]}}"#,
                    ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"]
                )
            ])
    }

    private func updateErrors(_ base: String, _ old: String, _ new: String) throws -> [String] {
        let (before, node) = try prepared(base, old)
        let (after, _) = try prepared(before.serializedString(), new)
        return Schema.shared.validateUpdate(from: before, to: after, as: node).map(\.description)
    }

    func testUpdates() throws {
        let spec =
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        let bound = #"{"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}"#
        func asks(_ size: String) -> String { #"{"spec":{"resources":{"requests":{"storage":"\#(size)"}}}}"# }
        let rows: [(String, String, String, [String])] = [
            (volume, "{}", #"{"spec":{"capacity":{"storage":"2Gi"},"persistentVolumeReclaimPolicy":"Delete"}}"#, []),
            (
                volume, "{}", #"{"spec":{"hostPath":{"path":"/y"}}}"#,
                [
                    "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
                ]
            ),
            (
                volume, "{}", #"{"spec":{"volumeMode":"Block"}}"#,
                [#"volumeMode: Invalid value: "Block": field is immutable"#]
            ),
            (claim, "{}", #"{"spec":{"volumeName":"v","storageClassName":"s"}}"#, []),
            (claim, "{}", asks("3Gi"), [spec]), (claim, bound, asks("3Gi"), []),
            (claim, bound, asks("1500Mi"), []),
            (
                claim, bound, asks("1Gi"),
                ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
            ),
            (claim, bound, #"{"spec":{"volumeAttributesClassName":"gold"}}"#, []),
            (claim, bound, #"{"spec":{"accessModes":["ReadWriteMany"]}}"#, [spec]),
        ]
        for (base, old, new, errors) in rows { XCTAssertEqual(try updateErrors(base, old, new), errors, new) }
    }

    func testStorageKinds() throws {
        let attributes = """
            {"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttributesClass","metadata":{"name":"a"},"driverName":"d",\
            "parameters":{"x":"1"}}
            """
        try check(
            attributes,
            [
                ("{}", []),
                (#"{"parameters":null}"#, ["parameters: Required value: must contain at least one key/value pair"]),
            ])
        XCTAssertEqual(
            try updateErrors(attributes, "{}", #"{"parameters":{"x":"2"}}"#),
            ["parameters: Forbidden: updates to parameters are forbidden."])
        let attachment = """
            {"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttachment","metadata":{"name":"a"},\
            "spec":{"attacher":"d","nodeName":"n","source":{"persistentVolumeName":"v"}}}
            """
        try check(attachment, [("{}", [])])
        XCTAssertEqual(try errors(attachment, #"{"spec":{"source":{"persistentVolumeName":null}}}"#).count, 1)
        XCTAssertEqual(try updateErrors(attachment, "{}", #"{"spec":{"nodeName":"m"}}"#).count, 1)
        let node = """
            {"apiVersion":"storage.k8s.io/v1","kind":"CSINode","metadata":{"name":"n"},"spec":{"drivers":[]}}
            """
        try check(node, [("{}", [])])
        XCTAssertEqual(
            try errors(node, #"{"spec":{"drivers":[{"name":"d","nodeID":"n"},{"name":"d","nodeID":"n"}]}}"#).count, 1)
    }

    func testMounts() throws {
        let pod = """
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"volumes":[{"name":"v"}],\
            "containers":[{"name":"c","image":"i:1"}]}}
            """
        func mount(_ more: String, _ context: String = "{}") -> String {
            #"{"spec":{"containers":[{"name":"c","image":"i:1","securityContext":\#(context),"volumeMounts":[{"name":"v","mountPath":"/v"\#(more)}]}]}}"#
        }
        let place = "spec.containers[0].volumeMounts"
        try check(
            pod,
            [
                (mount(#","readOnly":true,"recursiveReadOnly":"Enabled""#), []),
                (mount(#","recursiveReadOnly":"Disabled""#), []),
                (
                    mount(#","recursiveReadOnly":"IfPossible""#),
                    ["\(place).recursiveReadOnly: Forbidden: may only be specified when readOnly is true"]
                ),
                (
                    mount(#","readOnly":true,"recursiveReadOnly":"Enabled","mountPropagation":"HostToContainer""#),
                    [
                        "\(place).recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified"
                    ]
                ),
                (
                    mount(#","mountPropagation":"Bidirectional""#),
                    [
                        "\(place).mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers"
                    ]
                ),
                (mount(#","mountPropagation":"Bidirectional""#, #"{"privileged":true}"#), []),
            ])
    }

    func testQuotas() throws {
        let quota = """
            {"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"q"},"spec":{"hard":{"pods":"1"}}}
            """
        func selector(_ text: String) -> String { #"{"spec":{"scopeSelector":{"matchExpressions":[\#(text)]}}}"# }
        let place = "spec.scopeSelector.matchExpressions"
        try check(
            quota,
            [
                (
                    #"{"spec":{"hard":{"limits.cpu":"1","requests.example.com/dongle":"3","count/jobs.batch":"1","gold.storageclass.storage.k8s.io/requests.storage":"1Gi","requests.hugepages-2Mi":"0"}}}"#,
                    []
                ),
                (
                    #"{"spec":{"hard":{"jobs":"1"}}}"#,
                    [
                        #"spec.hard[jobs]: Invalid value: "jobs": must be a standard resource type or fully qualified"#,
                        #"spec.hard[jobs]: Invalid value: "jobs": must be a standard resource for quota"#,
                    ]
                ),
                (
                    #"{"spec":{"hard":{"pods":"1500m"}}}"#,
                    [#"spec.hard[pods]: Invalid value: "1500m": must be an integer"#]
                ),
                (#"{"spec":{"scopes":["BestEffort"]}}"#, []),
                (
                    #"{"spec":{"scopes":["BestEffort"],"hard":{"cpu":"1"}}}"#,
                    [#"spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource"#]
                ),
                (
                    #"{"spec":{"scopes":["Terminating","NotTerminating"]}}"#,
                    [#"spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes"#]
                ),
                (#"{"spec":{"scopes":["Some"]}}"#, [#"spec.scopes: Invalid value: ["Some"]: unsupported scope"#]),
                (selector(#"{"scopeName":"PriorityClass","operator":"In","values":["a"]}"#), []),
                (
                    selector(#"{"scopeName":"PriorityClass","operator":"In"}"#),
                    [
                        "\(place).values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                    ]
                ),
                (
                    selector(#"{"scopeName":"PriorityClass","operator":"Exists","values":["a"]}"#),
                    [
                        #"\#(place).values: Invalid value: ["a"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"#
                    ]
                ),
                (
                    selector(#"{"scopeName":"Terminating","operator":"DoesNotExist"}"#),
                    [
                        #"\#(place).operator: Invalid value: "DoesNotExist": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"#
                    ]
                ),
            ])
        XCTAssertEqual(
            try updateErrors(quota, "{}", #"{"spec":{"scopes":["BestEffort"]}}"#),
            [#"spec.scopes: Invalid value: ["BestEffort"]: field is immutable"#])
        XCTAssertEqual(
            try errors(
                quota,
                #"{"spec":{"hard":{"persistentvolumeclaims":"1","pods":null},"scopes":["VolumeAttributesClass"]}}"#), []
        )
    }

    func testLimitRanges() throws {
        let range = #"{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"r"},"spec":{"limits":[]}}"#
        func item(_ text: String) -> String { #"{"spec":{"limits":[\#(text)]}}"# }
        let place = "spec.limits[0]"
        try check(
            range,
            [
                (
                    item(
                        #"{"type":"Container","min":{"cpu":"50m"},"defaultRequest":{"cpu":"100m"},"default":{"cpu":"500m"},"max":{"cpu":"500m"},"maxLimitRequestRatio":{"cpu":"10"}}"#
                    ), []
                ),
                (
                    item(#"{"type":"Some"}"#),
                    [#"\#(place).type: Invalid value: "Some": must be a standard limit type or fully qualified"#]
                ),
                (
                    item(#"{"type":"Pod","max":{"cpu":"1"}},{"type":"Pod","min":{"cpu":"1"}}"#),
                    [#"spec.limits[1].type: Duplicate value: "Pod""#]
                ),
                (
                    item(#"{"type":"Pod","default":{"cpu":"1"}}"#),
                    ["\(place).default: Forbidden: may not be specified when `type` is 'Pod'"]
                ),
                (
                    item(#"{"type":"PersistentVolumeClaim"}"#),
                    [
                        "\(place).limits: Required value: either minimum or maximum storage value is required, but neither was provided"
                    ]
                ),
                (
                    item(#"{"type":"Pod","min":{"cpu":"2"},"max":{"cpu":"1"}}"#),
                    [#"\#(place).min[cpu]: Invalid value: "2": min value 2 is greater than max value 1"#]
                ),
                (
                    item(#"{"type":"Container","defaultRequest":{"cpu":"2"},"default":{"cpu":"1"}}"#),
                    [
                        #"\#(place).defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1"#
                    ]
                ),
                (
                    item(#"{"type":"Pod","maxLimitRequestRatio":{"cpu":"500m"}}"#),
                    [#"\#(place).maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1"#]
                ),
            ])
    }
}
