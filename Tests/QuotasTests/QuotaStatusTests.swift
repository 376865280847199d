import Objects
import XCTest

@testable import Quotas

final class QuotaStatusTests: XCTestCase {
    private let now = Timestamp(seconds: 1_790_000_000)

    func testWhichResourcesCount() {
        let table: [(JSON, [String], String)] = [
            (["pods": "1"], ["pods"], "by number"), (["limits.memory": "1Gi"], ["pods"], "by what they ask for"),
            (["count/jobs.batch": "1", "secrets": "1"], ["jobs.batch", "secrets"], "of any kind"),
            (["requests.storage": "1Gi", "services.nodeports": "0"], ["persistentvolumeclaims", "services"], "both"),
            (["count/events": "1"], [], "events are not counted"), ([:], [], "nothing is limited"),
        ]
        for (hard, resources, reason) in table {
            XCTAssertEqual(QuotaStatus(of: ["spec": ["hard": hard]]).resources, resources, reason)
        }
    }

    func testWhetherAStatusIsOfItsQuota() {
        let table: [(JSON, JSON, Bool, String)] = [
            (["hard": ["cpu": "1"], "used": ["cpu": "500m"]], ["cpu": "1000m"], true, "the same amount"),
            (["hard": ["cpu": "2"], "used": ["cpu": "0"]], ["cpu": "1"], false, "somebody wrote another limit"),
            (["hard": ["cpu": "1"]], ["cpu": "1"], false, "somebody took away what is used"),
            ([:], [:], true, "nothing is limited"), ([:], ["cpu": "1"], false, "not counted yet"),
        ]
        for (status, hard, isCounted, reason) in table {
            XCTAssertEqual(QuotaStatus.isCounted(["spec": ["hard": hard], "status": status]), isCounted, reason)
        }
    }

    func testWhatIsUsed() throws {
        let evaluator = try XCTUnwrap(QuotaEvaluator(resource: "pods"))
        let small: JSON = ["spec": ["containers": [["resources": ["requests": ["cpu": "500m"]]]]]]
        var ended = small
        ended["status"]["phase"] = "Failed"
        var status = QuotaStatus(of: ["spec": ["hard": ["cpu": "2", "pods": "9", "count/pods": "9", "memory": "1Gi"]]])
        for pod in [small, small, ended] { status.count(pod, evaluator, now: now) }
        XCTAssertEqual(
            status.json,
            [
                "hard": ["count/pods": "9", "cpu": "2", "memory": "1Gi", "pods": "9"],
                "used": ["count/pods": "3", "cpu": "1", "memory": "0", "pods": "2"],
            ], "what has ended counts by number alone, and what nobody asks for is 0")
        var scoped = QuotaStatus(of: ["spec": ["hard": ["pods": "9"], "scopes": ["BestEffort"]]])
        for pod in [small, ["spec": ["containers": [["name": "a"]]]]] as [JSON] {
            scoped.count(pod, evaluator, now: now)
        }
        XCTAssertEqual(scoped.used.text, "pods=1", "the other one asks for something")
    }
}
