import Objects
import XCTest

/// The volumes of pods, PersistentVolumes and claims.
final class VolumeRulesTests: XCTestCase {
    private func check(_ rows: [(String, [String])], line: UInt = #line) throws {
        let pods = try ObjectTable(
            #"""
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},
            "spec":{"serviceAccountName":"s","containers":[{"name":"c","image":"i:1"}]}}
            """#)
        try pods.check(
            rows.map { (#"{"spec":{"volumes":[{"name":"v",\#($0.0)}]}}"#, $0.1.map { "spec.volumes[0]" + $0 }) },
            line: line)
    }

    func testKinds() throws {
        try check([
            (#""emptyDir":{"medium":"HugePages-2Mi","sizeLimit":"1Gi"}"#, []),
            (
                #""emptyDir":{"sizeLimit":"-1"}"#,
                [".emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"]
            ),
            (
                #""secret":{"secretName":"s"},"emptyDir":{},"cephfs":{"monitors":["m"]}"#,
                [
                    ".secret: Forbidden: may not specify more than 1 volume type",
                    ".cephFS: Forbidden: may not specify more than 1 volume type",
                ]
            ),
            (
                #""hostPath":{"path":"/a","type":"Pipe"}"#,
                [
                    #".hostPath.type: Unsupported value: "Pipe": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket""#
                ]
            ),
            (
                #""gcePersistentDisk":{"partition":256}"#,
                [
                    ".persistentDisk.pdName: Required value",
                    ".persistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive",
                ]
            ),
            (#""persistentVolumeClaim":{"claimName":"Any_Name"}"#, []),
            (
                #""iscsi":{"targetPortal":"t","iqn":"iqn.2015-02.example.com:test","lun":1,"chapAuthSession":true}"#,
                [".iscsi.secretRef: Required value"]
            ),
            (
                #""iscsi":{"iqn":"iqn.2015-02","lun":256}"#,
                [
                    #".iscsi.iqn: Invalid value: "iqn.2015-02": must be valid format"#,
                    ".iscsi.targetPortal: Required value",
                    ".iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
                ]
            ),
            (
                #""fc":{"targetWWNs":["a"],"wwids":["b"],"lun":1}"#,
                [
                    #".fc.targetWWNs: Invalid value: ["a"]: targetWWNs and wwids can not be specified simultaneously"#
                ]
            ),
            (#""fc":{"targetWWNs":["a"]}"#, [".fc.lun: Required value: lun is required if targetWWNs is specified"]),
            (
                #""flexVolume":{"driver":"d","options":{"a.k8s.io/x":"y"}}"#,
                [
                    #".flexVolume.options[a.k8s.io/x]: Invalid value: "a.k8s.io/x": kubernetes.io and k8s.io namespaces are reserved"#
                ]
            ),
            (#""flocker":{}"#, [".flocker: Required value: one of datasetName and datasetUUID is required"]),
            (
                #""csi":{"driver":"A.b"}"#, []
            ),
            (
                #""azureDisk":{"diskName":"d","diskURI":"x","kind":"Managed"}"#,
                [
                    #".azureDisk.diskURI: Unsupported value: "x": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}""#
                ]
            ),
            (
                #""configMap":{"name":"m","items":[{"key":"k","path":"..x"}]}"#,
                [#".configMap.items[0].path: Invalid value: "..x": must not start with '..'"#]
            ),
            (#""storageos":{"volumeName":"v","secretRef":{}}"#, [".storageos.secretRef.name: Required value"]),
        ])
    }

    func testMadeVolumes() throws {
        try check([
            (
                #""downwardAPI":{"items":[{"path":"/a","fieldRef":{"fieldPath":"metadata.labels"}},{"path":"b"}]}"#,
                [
                    #".downwardAPI.path: Invalid value: "/a": must be a relative path"#,
                    ".downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
                ]
            ),
            (
                #""downwardAPI":{"items":[{"path":"a","resourceFieldRef":{"resource":"limits.cpu"}},{"path":"b","fieldRef":{"fieldPath":"spec.nodeName"}}]}"#,
                [
                    ".downwardAPI.resourceFieldRef.containerName: Required value",
                    #".downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid""#,
                ]
            ),
            (
                #""projected":{"sources":[{"serviceAccountToken":{"path":"","expirationSeconds":4294967297}}]}"#,
                [
                    ".projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
                    ".projected.path: Required value",
                ]
            ),
            (#""ephemeral":{}"#, [".ephemeral.volumeClaimTemplate: Required value"]),
            (
                #""ephemeral":{"volumeClaimTemplate":{"metadata":{"name":"x"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1"}}}}}"#,
                [".ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set"]
            ),
            (
                #""ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["Some"],"resources":{}}}}"#,
                [
                    #".ephemeral.volumeClaimTemplate.spec.accessModes: Unsupported value: "Some": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod""#,
                    ".ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
                ]
            ),
        ])
        let pods = try ObjectTable(
            #"""
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"volumes":[{"name":"v","hostPath":{"path":""}}],
            "containers":[{"name":"c","image":"i:1","volumeMounts":[{"name":"v","mountPath":"/v"}]}]}}
            """#)
        try pods.check([
            (
                "{}",
                [
                    "spec.volumes[0].hostPath.path: Required value",
                    #"spec.containers[0].volumeMounts[0].name: Not found: "v""#,
                ]
            ),
            (
                #"{"spec":{"volumes":[{"name":"v","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}]}}"#,
                [
                    "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
                    #"spec.containers[0].volumeMounts[0].name: Not found: "v""#,
                ]
            ),
        ])
    }

    func testPersistentVolumes() throws {
        let volumes = try ObjectTable(
            #"""
            {"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"v"},"spec":{"capacity":{"storage":"1Gi"},
            "accessModes":["ReadWriteOnce"],"csi":{"driver":"d","volumeHandle":"h"}}}
            """#)
        let without = #"{"spec":{"csi":null,"#
        try volumes.check([
            (#"{"spec":{"persistentVolumeReclaimPolicy":""}}"#, []),
            (
                #"{"spec":{"accessModes":["A","ReadWriteOncePod","ReadWriteOnce"]}}"#,
                [
                    #"spec.accessModes: Unsupported value: "A": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod""#,
                    "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
                ]
            ),
            (
                #"{"spec":{"capacity":{"storage":"-1"}}}"#,
                [
                    "spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
                    #"spec.capacity[storage]: Invalid value: "-1": must be greater than zero"#,
                ]
            ),
            (
                #"{"spec":{"nodeAffinity":{}}}"#,
                ["spec.nodeAffinity.required: Required value: must specify required node constraints"]
            ),
            (
                without + #""local":{"path":"/a"}}}"#,
                ["spec.nodeAffinity: Required value: Local volume requires node affinity"]
            ),
            (
                without + #""hostPath":{"path":"/./.."},"persistentVolumeReclaimPolicy":"Recycle"}}"#,
                [
                    "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
                    "spec.hostPath.path: Invalid value: \"/./..\": must not contain '..'",
                ]
            ),
            (
                without + #""nfs":{"server":"s","path":"/p"},"volumeAttributesClassName":"a"}}"#,
                ["spec.csi: Required value: has to be specified when using volumeAttributesClassName"]
            ),
            (
                #"{"spec":{"csi":{"nodePublishSecretRef":{"name":"s"}}}}"#,
                ["spec.csi.nodePublishSecretRef.namespace: Required value"]
            ),
        ])
        let reference = #"{"spec":{"csi":{"controllerExpandSecretRef":{"name":"s","namespace":"n"}}}}"#
        XCTAssertEqual(try volumes.faults(from: "{}", to: reference), [], "may be set once")
        XCTAssertEqual(
            try volumes.faults(from: reference, to: "{}"),
            [
                "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
            ])
        func zone(_ label: String, _ value: String) -> String {
            #"{"spec":{"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"\#(label)","operator":"In","values":["\#(value)"]}]}]}}}}"#
        }
        let old = zone("failure-domain.beta.kubernetes.io/zone", "a")
        XCTAssertEqual(try volumes.faults(from: old, to: zone("topology.kubernetes.io/zone", "a")), [])
        XCTAssertEqual(
            try volumes.faults(from: old, to: zone("topology.kubernetes.io/zone", "b")).map { $0.prefix(14) },
            ["nodeAffinity: "])
    }

    func testClaims() throws {
        let claims = try ObjectTable(
            #"""
            {"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"c","namespace":"d"},
            "spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"2Gi"}}},
            "status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}
            """#)
        try claims.check([
            (
                #"{"spec":{"dataSource":{"name":"s","kind":"VolumeSnapshot"}}}"#,
                [
                    #"spec.dataSource: Invalid value: "VolumeSnapshot": must be 'PersistentVolumeClaim' when referencing the default apiGroup"#
                ]
            ),
            (
                #"{"spec":{"dataSource":{"name":"s","kind":"A","apiGroup":"g"},"dataSourceRef":{"name":"t","kind":"A","apiGroup":"g"}}}"#,
                [#"spec: Invalid value: "spec.dataSource": must match dataSourceRef"#]
            ),
        ])
        func name(_ name: String) -> String { #"{"spec":{"volumeAttributesClassName":\#(name)}}"# }
        let size = { (size: String) in #"{"spec":{"resources":{"requests":{"storage":"\#(size)"}}}}"# }
        let fixed =
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        let rows: [(from: String, to: String, faults: [String])] = [
            ("{}", size("3Gi"), []), ("{}", size("1500Mi"), []),
            (
                "{}", size("1Gi"),
                ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
            ),
            ("{}", name(#""a""#), []), (name(#""a""#), name(#""b""#), []),
            (
                name(#""a""#), name("null"),
                [fixed, "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"]
            ),
            ("{}", #"{"spec":{"accessModes":["ReadOnlyMany"]}}"#, [fixed]),
            ("{}", #"{"spec":{"storageClassName":"s"}}"#, []),
            (#"{"spec":{"storageClassName":"s"}}"#, #"{"spec":{"storageClassName":"t"}}"#, [fixed]),
            (
                "{}", #"{"metadata":{"annotations":{"volume.beta.kubernetes.io/storage-class":"s"}}}"#,
                [
                    #"metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: "s": field is immutable"#
                ]
            ),
        ]
        for row in rows { XCTAssertEqual(try claims.faults(from: row.from, to: row.to), row.faults, row.to) }
        XCTAssertEqual(
            try claims.statusFaults(
                from: "{}", to: #"{"status":{"capacity":{"storage":"-1"},"allocatedResources":{"cpu":"1"}}}"#),
            [
                "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
                #"status.allocatedResources: Unsupported value: "cpu": supported values: "storage""#,
            ])
    }
}
