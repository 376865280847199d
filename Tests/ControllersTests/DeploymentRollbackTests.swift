import Objects
import XCTest

@testable import Controllers

final class DeploymentRollbackTests: XCTestCase {
    private let sets = [
        Make.replicaSet("web-1", image: "v1", replicas: 0, revision: 1),
        Make.replicaSet("web-2", image: "v2", replicas: 0, revision: 2),
        Make.replicaSet("web-3", image: "v3", replicas: 3, revision: 3),
    ]

    private func deployment(_ revision: String?, image: String = "v3", paused: Bool = false) -> JSON {
        var annotations: JSON = ["note": "of v3", "deployment.kubernetes.io/revision": "3"]
        if let revision { annotations[DeploymentNames.rollback] = .string(revision) }
        return Make.deployment(image: image, annotations: annotations, extra: ["paused": .bool(paused)])
    }

    func testWhatIsAskedFor() {
        let none = "DeploymentRollbackRevisionNotFound"
        let rows: [(reason: String, JSON, sets: [JSON], event: String?, image: JSON)] = [
            ("nothing", deployment(nil), sets, nil, "v3"), ("no number", deployment("x"), sets, nil, "v3"),
            ("while it is paused", deployment("1", paused: true), sets, nil, "v3"),
            ("the last revision", deployment("0"), sets, "DeploymentRollback", "v2"),
            ("a certain one", deployment("1"), sets, "DeploymentRollback", "v1"),
            ("the present one", deployment("3"), sets, "DeploymentRollbackTemplateUnchanged", "v3"),
            ("one that is not there", deployment("7"), sets, none, "v3"),
            ("the last of none", deployment("0"), [sets[2]], none, "v3"),
            (
                "the last one, of a template that nobody has seen yet", deployment("0", image: "v4"), sets,
                "DeploymentRollback", "v3"
            ),
        ]
        for row in rows {
            let rollback = DeploymentRollback(row.1, replicaSets: row.sets)
            XCTAssertEqual(rollback?.reason, row.event, row.reason)
            guard let rollback else { continue }
            XCTAssertFalse(rollback.deployment.annotations[DeploymentNames.rollback].exists, row.reason)
            let template = rollback.deployment["spec"]["template"]
            XCTAssertEqual(template["spec"]["containers"][0]["image"], row.image, row.reason)
            XCTAssertFalse(template["metadata"]["labels"][PodTemplate.hashLabel].exists, row.reason)
        }
    }

    func testAnnotationsAreThoseOfTheRevision() throws {
        var old = sets[1]
        old["metadata"]["annotations"]["note"] = "of v2"
        let rollback = try XCTUnwrap(DeploymentRollback(deployment("2"), replicaSets: [sets[0], old, sets[2]]))
        XCTAssertEqual(
            rollback.deployment.annotations.stringDictionary,
            ["note": "of v2", "deployment.kubernetes.io/revision": "3"])
        XCTAssertEqual(rollback.message, "Rolled back deployment \"web\" to revision 2")
    }
}
