import Objects
import XCTest

@testable import API

final class FlowTableTests: XCTestCase {
    private let table = FlowTable(
        schemas: FlowObjects.schemas.map(FlowSchema.init), levels: FlowObjects.levels.map(PriorityLevelSettings.init),
        totalSeats: 600)

    private func match(_ user: UserInfo, _ method: APIRequest.Method, _ target: String) throws -> String {
        let request = try APIRequest(method: method, target: target, user: user, isInternal: false)
        let match = table.match(RequestInfo(request), user)
        return "\(table.schemas[match.schema].name) \(match.level.settings.name)"
    }

    func testFlowsOfRequests() throws {
        func user(_ name: String, _ groups: String...) -> UserInfo {
            UserInfo(name: name, groups: groups + ["system:authenticated"])
        }
        func account(_ namespace: String, _ name: String) -> UserInfo {
            user(
                "system:serviceaccount:\(namespace):\(name)", "system:serviceaccounts",
                "system:serviceaccounts:\(namespace)")
        }
        let node = user("system:node:n", "system:nodes")
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/l"
        let rows: [(UserInfo, APIRequest.Method, String, String)] = [
            (user("root", "system:masters"), .get, "/api/v1/pods", "exempt exempt"),
            (.anonymous, .get, "/healthz", "probes exempt"), (user("ann"), .get, "/livez", "probes exempt"),
            (user("ann"), .get, "/version", "global-default global-default"),
            (user("ann"), .get, "/api/v1/namespaces/a/pods", "global-default global-default"),
            (.anonymous, .get, "/api/v1/nodes", "global-default global-default"),
            (node, .patch(""), "/api/v1/nodes/n/status", "system-node-high node-high"),
            (node, .get, "/api/v1/pods?watch=1", "system-nodes system"),
            (account("kube-system", "x"), .put, lease, "system-leader-election leader-election"),
            (account("a", "x"), .put, lease, "service-accounts workload-low"),
            (account("kube-system", "x"), .get, "/api/v1/pods", "kube-system-service-accounts workload-high"),
            (
                user("system:kube-scheduler"), .post, "/api/v1/namespaces/a/pods/p/binding",
                "kube-scheduler workload-high"
            ),
            (UserInfo(name: "nobody"), .get, "/api/v1/pods", "catch-all catch-all"),
        ]
        for (user, method, target, expected) in rows {
            XCTAssertEqual(try match(user, method, target), expected, "\(user.name) \(target)")
        }
    }

    func testSeatsAreDividedByShares() {
        let seats = Dictionary(uniqueKeysWithValues: table.levels.map { ($0.settings.name, $0.limits) })
        // 245 shares in all.
        for (name, nominal, lendable) in [
            ("workload-low", 245, 221), ("workload-high", 98, 49), ("node-high", 98, 25), ("system", 74, 24),
            ("global-default", 49, 25), ("leader-election", 25, 0), ("catch-all", 13, 0), ("exempt", 0, 0),
        ] {
            XCTAssertEqual(seats[name], .init(nominal: nominal, lendable: lendable, borrowable: nil), name)
        }
    }

    func testWithoutObjectsAllGoesToTheLastLevel() throws {
        let empty = FlowTable(schemas: [], levels: [], totalSeats: 10)
        let user = UserInfo(name: "ann", groups: ["system:authenticated"])
        let request = try APIRequest(method: .get, target: "/version", user: user, isInternal: false)
        XCTAssertEqual(empty.match(RequestInfo(request), user).level.settings.name, "catch-all")
    }

    func testWidthOfRequests() throws {
        let estimates = ListEstimates { info in info.resource == "pods" ? 450 : nil }
        for (target, seats, reason) in [
            ("/api/v1/pods", 5, "one for each hundred objects"), ("/api/v1/pods?limit=150", 2, "a page"),
            ("/api/v1/pods?limit=150&labelSelector=a", 5, "a selector goes through all"),
            ("/api/v1/namespaces/a/pods/p", 1, "one object"),
            ("/api/v1/pods?watch=1", 5, "a watch that begins with all"),
            ("/api/v1/pods?watch=1&resourceVersion=5", 1, "one that goes on"),
            ("/api/v1/pods?fieldSelector=metadata.name%3Dp", 1, "a list of one"), ("/api/v1/nodes", 1, "not known"),
            ("/version", 1, "a path"),
        ] {
            let request = try APIRequest(method: .get, target: target, user: .anonymous, isInternal: false)
            XCTAssertEqual(estimates.seats(RequestInfo(request), request), seats, reason)
        }
    }

    func testWhatTheKeeperDoes() {
        let levels = Dictionary(uniqueKeysWithValues: FlowObjects.levels.map { ($0.name, $0) })
        let schemas = Dictionary(
            uniqueKeysWithValues: FlowObjects.schemas.map { schema in
                var schema = schema
                schema["status"]["conditions"] = [["type": "Dangling", "status": "False"]]
                return (schema.name, schema)
            })
        func steps(_ change: (inout [String: JSON], inout [String: JSON]) -> Void) -> [String] {
            var (levels, schemas) = (levels, schemas)
            change(&levels, &schemas)
            return FlowObjectsKeeper.steps(levels: levels, schemas: schemas).map {
                "\($0.method == .post ? "POST" : "PUT") \($0.path.split(separator: "/").dropFirst(3).joined(separator: "/"))"
            }
        }
        XCTAssertEqual(steps { _, _ in }, [])
        XCTAssertEqual(steps { levels, _ in levels["system"] = nil }.first, "POST prioritylevelconfigurations")
        XCTAssertEqual(steps { _, schemas in schemas["exempt"] = nil }, ["POST flowschemas"])
        XCTAssertEqual(
            steps { levels, _ in levels["system"]?["spec"]["limited"]["nominalConcurrencyShares"] = 1 },
            ["PUT prioritylevelconfigurations/system"])
        XCTAssertEqual(
            steps { levels, _ in
                levels["system"]?["spec"]["limited"]["nominalConcurrencyShares"] = 1
                levels["system"]?["metadata"]["annotations"][FlowObjects.annotation] = "false"
            }, [], "a suggested one that somebody has taken over")
        XCTAssertEqual(
            steps { levels, _ in
                levels["catch-all"]?["spec"]["limited"]["nominalConcurrencyShares"] = 1
                levels["catch-all"]?["metadata"]["annotations"][FlowObjects.annotation] = "false"
            }, ["PUT prioritylevelconfigurations/catch-all"], "a mandatory one is nobody's else")
        XCTAssertEqual(
            steps { _, schemas in schemas["exempt"]?["metadata"]["annotations"][FlowObjects.annotation] = "false" },
            ["PUT flowschemas/exempt"], "and says so")
        XCTAssertEqual(
            steps { levels, _ in levels["exempt"]?["spec"]["exempt"] = ["nominalConcurrencyShares": 9] }, [],
            "how many seats are its own is its owner's to choose")
        XCTAssertEqual(
            steps { levels, _ in
                levels["system"]?["spec"]["limited"]["nominalConcurrencyShares"] = 1
                levels["system"]?["metadata"]["annotations"][FlowObjects.annotation] = "T"
            }, ["PUT prioritylevelconfigurations/system"], "as Go reads it")
        XCTAssertEqual(
            steps { levels, _ in levels["system"]?["spec"]["limited"]["borrowingLimitPercent"] = 7 }, [],
            "what it does not say is open")
        XCTAssertEqual(
            steps { _, schemas in schemas["mine"] = ["spec": ["priorityLevelConfiguration": ["name": "none"]]] },
            ["PUT flowschemas/mine/status"], "its level is missing")
    }

    /// A suggested object whose annotation says nothing is kept until somebody changes its spec, and then says what it is.
    func testObjectsWithoutTheAnnotation() throws {
        for (generation, shares, text): (Int64, JSON, String) in [(1, 30, "true"), (2, 1, "false")] {
            var levels = Dictionary(uniqueKeysWithValues: FlowObjects.levels.map { ($0.name, $0) })
            levels["system"]?["metadata"] = ["name": "system", "generation": .integer(generation)]
            levels["system"]?["spec"]["limited"]["nominalConcurrencyShares"] = 1
            let steps = FlowObjectsKeeper.steps(levels: levels, schemas: [:])
            let step = try XCTUnwrap(steps.first { $0.method == .put })
            XCTAssertEqual(step.path.split(separator: "/").last, "system")
            XCTAssertEqual(step.body.annotations[FlowObjects.annotation].stringValue, text)
            XCTAssertEqual(step.body["spec"]["limited"]["nominalConcurrencyShares"], shares)
        }
    }
}
