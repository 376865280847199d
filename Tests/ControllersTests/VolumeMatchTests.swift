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
            ("reserved", [volume("a"), volume("b", size: "9Gi", claim: reserved)], claim(), "b"),
        ]
        for (reason, volumes, claim, expected) in cases {
            XCTAssertEqual(try VolumeMatch.find(for: claim, among: volumes, node: nil)?.name, expected, reason)
        }
    }

    func testNodeOfADelayedClaim() throws {
        let node: JSON = ["metadata": ["name": "alpha", "labels": ["kubernetes.io/hostname": "alpha"]]]
        let volumes = [volume("there", host: "beta"), volume("here", size: "3Gi", host: "alpha")]
        XCTAssertEqual(try VolumeMatch.find(for: claim(), among: volumes, node: node)?.name, "here")
        XCTAssertTrue(VolumeMatch.allows(volume("any"), node: node))
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
