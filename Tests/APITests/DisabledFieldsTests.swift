import ObjectSchema
import Objects
import XCTest

@testable import API

/// Fields of features that are off.
final class DisabledFieldsTests: XCTestCase {
    private static let bundle: JSON = ["clusterTrustBundle": ["name": "b", "path": "p"]]
    private static let certificate: JSON = ["podCertificate": ["signerName": "a.example/b", "keyType": "ED25519"]]
    private static let secret: JSON = ["secret": ["name": "s"]]

    private static func spec(_ sources: [JSON]) -> JSON {
        [
            "volumes": [
                ["name": "e", "emptyDir": [:]], ["name": "v", "projected": ["sources": .array(sources)]],
            ]
        ]
    }

    private func resource(_ qualified: String) throws -> Resource {
        try XCTUnwrap(ResourceTable.ofSchema().stored(qualified), qualified)
    }

    func testDropped() throws {
        let full = Self.spec([Self.bundle, Self.secret, Self.certificate])
        let bare = Self.spec([[:], Self.secret, [:]])
        let rows: [(resource: String, given: JSON, expected: JSON)] = [
            ("pods", ["spec": full], ["spec": bare]),
            ("podtemplates", ["template": ["spec": full]], ["template": ["spec": bare]]),
            ("deployments.apps", ["spec": ["template": ["spec": full]]], ["spec": ["template": ["spec": bare]]]),
            (
                "cronjobs.batch", ["spec": ["jobTemplate": ["spec": ["template": ["spec": full]]]]],
                ["spec": ["jobTemplate": ["spec": ["template": ["spec": bare]]]]]
            ),
            (
                "leases.coordination.k8s.io",
                ["spec": ["holderIdentity": "h", "strategy": "OldestEmulationVersion", "preferredHolder": "p"]],
                ["spec": ["holderIdentity": "h"]]
            ),
            ("configmaps", ["spec": full], ["spec": full]), ("pods", ["spec": "odd"], ["spec": "odd"]),
        ]
        for row in rows {
            var object = row.given
            DisabledFields.drop(from: &object, present: .null, try resource(row.resource))
            XCTAssertEqual(object.canonicalText(), row.expected.canonicalText(), row.resource)
        }
    }

    func testDevices() throws {
        func slice(_ attribute: JSON, _ more: JSON = [:]) -> JSON {
            var device = more
            device["name"] = "d"
            device["attributes"] = ["a": attribute]
            return ["spec": ["devices": [device]]]
        }
        let full = slice(["ints": [1, 2]], ["nodeAllocatableResourceMappings": ["cpu": ["capacityKey": "c"]]])
        var object = full
        DisabledFields.drop(from: &object, present: .null, try resource("resourceslices.resource.k8s.io"))
        XCTAssertEqual(object.canonicalText(), slice([:]).canonicalText())
        object = full
        DisabledFields.drop(from: &object, present: full, try resource("resourceslices.resource.k8s.io"))
        XCTAssertEqual(object.canonicalText(), full.canonicalText(), "what is in use stays")
    }

    /// What an object uses already it keeps, each field for itself.
    func testKept() throws {
        var object: JSON = ["spec": Self.spec([Self.bundle, Self.certificate])]
        DisabledFields.drop(from: &object, present: ["spec": Self.spec([Self.bundle])], try resource("pods"))
        XCTAssertEqual(object["spec"].canonicalText(), Self.spec([Self.bundle, [:]]).canonicalText())
    }
}
