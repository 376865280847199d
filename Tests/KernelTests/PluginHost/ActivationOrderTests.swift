import XCTest

@testable import Kernel

final class ActivationOrderTests: XCTestCase {
    private func node(_ name: String, provides: [String] = [], requires: [String] = [], optional: [String] = [])
        -> ActivationOrder.Node
    {
        ActivationOrder.Node(name: name, provides: provides, requires: requires, optional: optional)
    }

    func testOrders() {
        let rows: [(nodes: [ActivationOrder.Node], order: [String], why: String)] = [
            ([node("b"), node("a")], ["b", "a"], "independent plugins keep the order given"),
            (
                [node("user", requires: ["r/1"]), node("maker", provides: ["r/1"])], ["maker", "user"],
                "providers first"
            ),
            ([node("user", requires: ["kernel/1"])], ["user"], "what needs no plugin is there"),
            (
                [node("user", requires: ["r/1"]), node("one", provides: ["r/1"]), node("two", provides: ["r/1"])],
                ["one", "two", "user"], "all providers come before a consumer"
            ),
            (
                [node("user", optional: ["r/1"]), node("maker", provides: ["r/1"])], ["maker", "user"],
                "optional ones too"
            ),
            (
                [node("a", provides: ["a/1"], optional: ["b/1"]), node("b", provides: ["b/1"], requires: ["a/1"])],
                ["a", "b"],
                "unless that were a circle"
            ),
            ([node("self", provides: ["r/1"], requires: ["r/1"])], ["self"], "a plugin may use its own role"),
        ]
        for row in rows {
            let plan = ActivationOrder.plan(row.nodes, available: ["kernel/1"])
            XCTAssertEqual(plan, ActivationOrder.Plan(order: row.order, refused: [:]), row.why)
        }
    }

    func testRefusals() {
        var plan = ActivationOrder.plan(
            [node("a", provides: ["a/1"], requires: ["gone/1"]), node("b", requires: ["a/1"]), node("c")], available: []
        )
        XCTAssertEqual(plan.order, ["c"])
        XCTAssertEqual(plan.refused["a"], "requires gone/1, which no plugin provides: add one that does to `plugins:`")
        XCTAssertEqual(plan.refused["b"], "requires a/1, whose provider a cannot start")
        plan = ActivationOrder.plan(
            [node("a", provides: ["a/1"], requires: ["b/1"]), node("b", provides: ["b/1"], requires: ["a/1"])],
            available: [])
        XCTAssertEqual(plan.order, [])
        XCTAssertEqual(plan.refused["a"], "plugins require each other in a circle: a → b → a")
    }
}
