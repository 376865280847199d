import Objects
import XCTest

@testable import Controllers

final class VolumeMatchTests: XCTestCase {
    private func volume(
        _ name: String, size: String = "1Gi", modes: JSON = ["ReadWriteOnce"], storageClass: String = "",
        labels: JSON = [:],
        claim: JSON = nil, host: String? = nil
    ) -> JSON {
        var spec: JSON = [
            "capacity": ["storage": .string(size)], "accessModes": modes, "storageClassName": .string(storageClass),
        ]
        if claim.exists { spec["claimRef"] = claim }
        if let host {
            let expression: JSON = [
                "key": "kubernetes.io/hostname", "operator": "In", "values": .array([.string(host)]),
            ]
            spec["nodeAffinity"] = ["required": ["nodeSelectorTerms": [["matchExpressions": .array([expression])]]]]
        }
        return ["metadata": ["name": .string(name), "labels": labels], "spec": spec]
    }
    private func claim(
        _ size: String = "1Gi", modes: JSON = ["ReadWriteOnce"], selector: JSON = nil, storageClass: String = ""
    ) -> JSON {
        var spec: JSON = [
            "resources": ["requests": ["storage": .string(size)]], "accessModes": modes,
            "storageClassName": .string(storageClass),
        ]
        if selector.exists { spec["selector"] = selector }
        return ["metadata": ["name": "data", "namespace": "default", "uid": "c"], "spec": spec]
    }

    func testFind() throws {
        let reserved: JSON = ["name": "data", "namespace": "default"]
        let taken: JSON = ["name": "else", "namespace": "default", "uid": "x"]
        var beta = claim(storageClass: "y")
        beta["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"] = "x"
        let cases: [(String, [JSON], JSON, String?)] = [
            (
                "smallest that fits",
                [volume("big", size: "5Gi"), volume("fit", size: "2Gi"), volume("small", size: "500Mi")], claim(), "fit"
            ),
            ("too small", [volume("small", size: "1Mi")], claim(), nil),
            ("modes", [volume("a")], claim(modes: ["ReadWriteMany"]), nil),
            ("class", [volume("a", storageClass: "x")], claim(), nil),
            ("same class", [volume("a", storageClass: "x")], claim(storageClass: "x"), "a"),
            (
                "selector", [volume("a"), volume("b", labels: ["t": "1"])],
                claim(selector: ["matchLabels": ["t": "1"]]), "b"
            ),
            ("taken", [volume("a", claim: taken)], claim(), nil),
            ("class by annotation", [volume("a", storageClass: "x")], beta, "a"),
            ("reserved", [volume("a"), volume("b", size: "9Gi", claim: reserved)], claim(), "b"),
        ]
        for (reason, volumes, claim, expected) in cases {
            XCTAssertEqual(try VolumeMatch.find(for: claim, among: volumes, node: nil)?.name, expected, reason)
        }
    }

    func testReservedVolumes() throws {
        let reserved: JSON = ["name": "data", "namespace": "default"]
        let other = volume("b", size: "9Gi", modes: ["ReadWriteMany"], storageClass: "x", claim: reserved)
        let node: JSON = ["metadata": ["name": "alpha", "labels": ["kubernetes.io/hostname": "alpha"]]]
        let rows: [(String, [JSON], node: JSON?, onlyReserved: Bool, String?)] = [
            ("whatever its class and modes", [volume("a"), other], nil, false, "b"),
            ("before there is a node", [volume("a"), other], nil, true, "b"),
            ("no other one before there is a node", [volume("a")], nil, true, nil),
            ("too small after all", [volume("a"), volume("b", size: "1Mi", claim: reserved)], nil, false, "a"),
            ("out of reach", [volume("a"), volume("b", claim: reserved, host: "beta")], node, false, nil),
        ]
        for (reason, volumes, node, onlyReserved, expected) in rows {
            let found = try VolumeMatch.find(for: claim(), among: volumes, node: node, onlyReserved: onlyReserved)
            XCTAssertEqual(found?.name, expected, reason)
        }
    }

    func testVolumesThatClaimsName() {
        var fast = claim()
        fast["spec"]["volumeAttributesClassName"] = "fast"
        var device = claim()
        device["spec"]["volumeMode"] = "Block"
        var old = claim(storageClass: "y")
        old["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"] = "x"
        let rows: [(JSON, JSON, String?)] = [
            (volume("a"), claim(), nil), (volume("a"), claim("2Gi"), "requested PV is too small"),
            (volume("a"), claim(storageClass: "x"), "storageClassName does not match"),
            (volume("a", storageClass: "x"), old, nil),
            (volume("a"), fast, "volumeAttributesClassName does not match"),
            (volume("a"), device, "incompatible volumeMode"),
            (volume("a"), claim(modes: ["ReadWriteOnce", "ReadOnlyMany"]), "incompatible accessMode"),
        ]
        for (volume, claim, reason) in rows { XCTAssertEqual(VolumeMatch.mismatch(volume, claim), reason) }
    }

    func testNodeSelectors() {
        let node: JSON = ["metadata": ["name": "alpha", "labels": ["zone": "a", "disks": "4", "odd": "x"]]]
        func label(_ key: JSON, _ relation: JSON, _ values: JSON = []) -> JSON {
            ["matchExpressions": [["key": key, "operator": relation, "values": values]]]
        }
        func field(_ relation: JSON, _ values: JSON, key: JSON = "metadata.name") -> JSON {
            ["matchFields": [["key": key, "operator": relation, "values": values]]]
        }
        let rows: [([JSON], Bool, String)] = [
            ([label("zone", "In", ["a", "b"])], true, "one of the values"),
            ([label("zone", "NotIn", ["b"]), label("zone", "In", ["b"])], true, "one term is enough"),
            ([label("none", "NotIn", ["b"])], true, "an absent label has no such value"),
            ([label("none", "In", ["b"])], false, "an absent label has no value"),
            ([label("zone", "Exists")], true, "there"), ([label("none", "DoesNotExist")], true, "not there"),
            ([label("disks", "Gt", ["3"])], true, "4 > 3"), ([label("disks", "Gt", ["4"])], false, "not 4 > 4"),
            ([label("disks", "Lt", ["10"])], true, "as numbers, 4 < 10"),
            ([label("odd", "Lt", ["10"])], false, "no number"), ([label("disks", "Gt", ["x"])], false, "no bound"),
            ([label("zone", "Is", ["a"])], false, "no such operator"),
            ([field("In", ["alpha"])], true, "the node's name"), ([field("NotIn", ["alpha"])], false, "not this node"),
            ([field("In", ["alpha"], key: "spec.nodeName")], false, "no field that nodes are selected by"),
            ([[:]], false, "a term without requirements"), ([], false, "no term"),
        ]
        for (terms, matches, reason) in rows {
            XCTAssertEqual(NodeSelector.matches(terms, node: node), matches, reason)
        }
    }

    func testDefaultClasses() {
        func storageClass(_ name: JSON, _ created: JSON, isDefault: JSON) -> JSON {
            [
                "metadata": [
                    "name": name, "creationTimestamp": created,
                    "annotations": ["storageclass.kubernetes.io/is-default-class": isDefault],
                ]
            ]
        }
        let old = storageClass("old", "2026-01-01T00:00:00Z", isDefault: "true")
        let new = storageClass("new", "2026-02-01T00:00:00Z", isDefault: "true")
        let other = storageClass("other", "2026-03-01T00:00:00Z", isDefault: "false")
        XCTAssertEqual(VolumeMatch.defaultClass(of: [old, new, other]), "new", "the newest one")
        XCTAssertNil(VolumeMatch.defaultClass(of: [other]))
        var open = claim()
        XCTAssertFalse(VolumeMatch.wantsDefaultClass(open), "no class is a choice")
        open["spec"].removeValue(forKey: "storageClassName")
        XCTAssertTrue(VolumeMatch.wantsDefaultClass(open))
        open["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"] = "x"
        XCTAssertFalse(VolumeMatch.wantsDefaultClass(open))
    }

    func testReachOfDelayedClaims() throws {
        func here(_ host: JSON) -> JSON {
            ["matchExpressions": [["key": "kubernetes.io/hostname", "operator": "In", "values": [host]]]]
        }
        let zones: JSON = [["matchLabelExpressions": [["key": "zone", "values": ["a"]]]]]
        let zone: JSON = ["matchExpressions": [["key": "zone", "operator": "In", "values": ["a"]]]]
        var both = zone
        both["matchExpressions"].append(here("beta")["matchExpressions"][0])
        let manual: JSON = ["provisioner": "kubernetes.io/no-provisioner"]
        let made: JSON = ["provisioner": "d"]
        let narrow: JSON = ["provisioner": "d", "allowedTopologies": zones]
        let reserved: JSON = ["name": "data", "namespace": "default"]
        let rows: [(JSON, [JSON], driver: [JSON], ClaimReach, String)] = [
            (manual, [], [], .nowhere, "none is there, and none is made"),
            (manual, [volume("a", size: "1Mi", host: "alpha")], [], .nowhere, "none is large enough"),
            (manual, [volume("a", host: "alpha")], [], .nodes([here("alpha")]), "where it is"),
            (manual, [volume("a", host: "alpha"), volume("b")], [], .everywhere, "one can be used everywhere"),
            (made, [], [], .everywhere, "made anywhere"),
            (made, [], [here("beta")], .nodes([here("beta")]), "by a driver"),
            (
                made, [volume("a", host: "alpha")], [here("beta")], .nodes([here("alpha"), here("beta")]),
                "there, or made elsewhere"
            ),
            (narrow, [], [], .nodes([zone]), "where the class allows"),
            (narrow, [], [here("beta")], .nodes([both]), "where class and driver agree"),
            (
                made, [volume("a"), volume("b", claim: reserved, host: "alpha")], [], .nodes([here("alpha")]),
                "the reserved one alone"
            ),
        ]
        for (storageClass, volumes, driver, reach, reason) in rows {
            let found = try ClaimReach(claim(), storageClass: storageClass, volumes: volumes, driver: driver)
            XCTAssertEqual(found, reach, reason)
        }
    }

    func testNodeOfADelayedClaim() throws {
        let node: JSON = ["metadata": ["name": "alpha", "labels": ["kubernetes.io/hostname": "alpha"]]]
        let volumes = [volume("there", host: "beta"), volume("here", size: "3Gi", host: "alpha")]
        XCTAssertEqual(try VolumeMatch.find(for: claim(), among: volumes, node: node)?.name, "here")
        XCTAssertTrue(VolumeMatch.allows(volume("any"), node: node))
    }

    func testAttributesThatNobodyCanGive() {
        let now = Timestamp(seconds: 1_790_000_000)
        var plain = claim()
        plain["status"]["phase"] = "Bound"
        var gold = plain
        gold["spec"]["volumeAttributesClassName"] = "gold"
        var has = volume("a")
        has["spec"]["volumeAttributesClassName"] = "gold"
        XCTAssertNil(VolumeMatch.attributesStatus(plain, volume("a"), now: now), "asks for none")
        XCTAssertNil(VolumeMatch.attributesStatus(gold, has, now: now), "has them")
        let told = VolumeMatch.attributesStatus(gold, volume("a"), now: now) ?? .null
        XCTAssertEqual(told["modifyVolumeStatus"]["status"], "Infeasible")
        XCTAssertEqual(told["modifyVolumeStatus"]["targetVolumeAttributesClassName"], "gold")
        XCTAssertEqual(told["conditions"][0]["type"], "ModifyVolumeError")
        gold["status"] = told
        XCTAssertNil(VolumeMatch.attributesStatus(gold, volume("a"), now: now.adding(seconds: 9)), "is told once")
        plain["status"] = told
        XCTAssertEqual(
            VolumeMatch.attributesStatus(plain, volume("a"), now: now), ["phase": "Bound"], "no longer asks for them")
    }

    func testProvisionedVolume() {
        let made: JSON = [
            "volumeID": "v1", "capacityBytes": 1_073_741_824, "context": ["k": "v"],
            "topology": [["segments": ["kubernetes.io/hostname": "alpha"]]],
        ]
        let storageClass: JSON = ["metadata": ["name": "local"], "reclaimPolicy": "Retain"]
        let object = VolumeMatch.provisioned(
            claim("1000Mi", storageClass: "local"), storageClass: storageClass, driver: "d", made: made)
        XCTAssertEqual(object.name, "pvc-c")
        XCTAssertEqual(object["spec"]["capacity"]["storage"], "1Gi")
        XCTAssertEqual(object["spec"]["persistentVolumeReclaimPolicy"], "Retain")
        XCTAssertEqual(object["spec"]["claimRef"]["uid"], "c")
        XCTAssertEqual(object["spec"]["csi"]["volumeHandle"], "v1")
        let node: JSON = ["metadata": ["labels": ["kubernetes.io/hostname": "alpha"]]]
        XCTAssertTrue(VolumeMatch.allows(object, node: node))
        XCTAssertFalse(VolumeMatch.allows(object, node: [:]))
    }

    func testBytes() {
        for (count, text) in [(0, "0"), (1, "1"), (1024, "1Ki"), (3 << 30, "3Gi"), (1_000_000, "1000000")]
            as [(Int64, String)]
        {
            XCTAssertEqual(Quantity.bytes(count), text)
        }
    }
}
