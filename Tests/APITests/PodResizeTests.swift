import ObjectSchema
import Objects
import XCTest

@testable import API

final class PodResizeTests: XCTestCase {
    private func pod(_ containers: [(name: String, resources: JSON)], initContainers: JSON = .null) -> JSON {
        var spec: JSON = [
            "containers": .array(
                containers.map { ["name": .string($0.name), "image": "x", "resources": $0.resources] })
        ]
        if initContainers.exists { spec["initContainers"] = initContainers }
        return ["metadata": ["name": "p"], "spec": spec]
    }

    private func requests(_ cpu: String, _ more: JSONObject = [:]) -> JSON {
        var list: JSONObject = ["cpu": .string(cpu)]
        for entry in more { list[entry.key] = entry.value }
        return ["requests": .object(list)]
    }

    func testOnlyResourcesAreTaken() {
        let present = pod([("a", requests("1"))], initContainers: [["name": "i", "resources": requests("1")]])
        var wanted = pod([("a", requests("2"))], initContainers: [["name": "i", "resources": requests("3")]])
        wanted["spec"]["containers"][0]["image"] = "other"
        wanted["spec"]["nodeName"] = "elsewhere"
        let merged = PodResize.merged(wanted, present)
        XCTAssertEqual(merged["spec"]["containers"][0]["image"], "x")
        XCTAssertTrue(merged["spec"]["nodeName"].isNull)
        XCTAssertEqual(merged["spec"]["containers"][0]["resources"], requests("2"))
        XCTAssertEqual(merged["spec"]["initContainers"][0]["resources"], requests("3"))
    }

    func testThePodAsAWhole() {
        func whole(_ amounts: JSON) -> JSON {
            var pod = pod([("a", requests("1"))])
            if amounts.exists { pod["spec"]["resources"] = amounts }
            return pod
        }
        let (less, more) = (requests("2"), requests("3"))
        XCTAssertEqual(PodResize.merged(whole(more), whole(less))["spec"]["resources"], more)
        let removed = PodResize.merged(whole(.null), whole(less))
        let rows: [(JSON, [String], String)] = [
            (whole(more), [], "more"),
            (
                removed, ["spec.resources.requests: Forbidden: resource requests cannot be removed"],
                "what is there stays"
            ),
            (
                whole(requests("2", ["hugepages-2Mi": "2Mi"])),
                ["spec: Forbidden: only cpu and memory resources are mutable"],
                "no pages"
            ),
        ]
        for (after, faults, reason) in rows {
            XCTAssertEqual(PodResize.faults(in: after, from: whole(less)).map(\.description), faults, reason)
        }
    }

    func testWhatMayNotChange() {
        let both: JSON = ["requests": ["cpu": "1", "memory": "1Gi"], "limits": ["cpu": "1", "memory": "1Gi"]]
        let burstable: JSON = ["requests": ["cpu": "1", "memory": "1Gi"], "limits": ["cpu": "2", "memory": "1Gi"]]
        let renamed = "containers may not be renamed or reordered on resize"
        let rows: [(reason: String, before: JSON, after: JSON, faults: [String])] = [
            ("more", pod([("a", requests("1"))]), pod([("a", requests("2"))]), []),
            (
                "a limit more", pod([("a", requests("1"))]),
                pod([("a", ["requests": ["cpu": "1"], "limits": ["cpu": "2"]])]), []
            ),
            (
                "out of the class without any", pod([("a", [:])]), pod([("a", requests("1"))]),
                ["spec: Pod QOS Class may not change as a result of resizing"]
            ),
            (
                "into the guaranteed class", pod([("a", burstable)]), pod([("a", both)]),
                ["spec: Pod QOS Class may not change as a result of resizing"]
            ),
            (
                "without limits", pod([("a", both)]), pod([("a", ["requests": both["requests"]])]),
                ["spec.containers[0].resources.limits: resource limits cannot be removed"]
            ),
            (
                "without requests", pod([("a", requests("1"))]), pod([("a", [:])]),
                ["spec.containers[0].resources.requests: resource requests cannot be removed"]
            ),
            (
                "another resource", pod([("a", requests("1", ["ephemeral-storage": "1"]))]),
                pod([("a", requests("1", ["ephemeral-storage": "3"]))]),
                ["spec: only cpu and memory resources are mutable"]
            ),
            (
                "another order", pod([("a", [:]), ("b", [:])]), pod([("b", [:]), ("a", [:])]),
                ["spec.containers[0].name: \(renamed)", "spec.containers[1].name: \(renamed)"]
            ),
            (
                "one more", pod([("a", [:])]), pod([("a", [:]), ("b", [:])]),
                ["spec.containers: containers may not be added or removed on resize"]
            ),
        ]
        for row in rows {
            let faults = PodResize.faults(in: PodResize.merged(row.after, row.before), from: row.before)
            XCTAssertEqual(faults.map { "\($0.path): \($0.detail)" }, row.faults, row.reason)
        }
    }

    func testInitContainers() {
        func pod(_ policy: JSON, _ cpu: JSON) -> JSON {
            [
                "spec": [
                    "containers": [["name": "c", "resources": ["requests": ["cpu": "1"]]]],
                    "initContainers": [
                        ["name": "i", "restartPolicy": policy, "resources": ["requests": ["cpu": cpu]]]
                    ],
                ]
            ]
        }
        XCTAssertEqual(PodResize.faults(in: pod("Always", "2"), from: pod("Always", "1")), [], "it goes on running")
        XCTAssertEqual(
            PodResize.faults(in: pod(.null, "2"), from: pod(.null, "1")).map(\.description),
            ["spec: Forbidden: resources for non-sidecar init containers are immutable"])
        var windows = pod(.null, "1")
        windows["spec"]["os"]["name"] = "windows"
        XCTAssertEqual(
            PodResize.faults(in: windows, from: windows).map(\.description),
            ["[]: Forbidden: windows pods cannot be resized"])
    }

    func testResourcesOfThePodDecideItsClass() {
        var spec = pod([("a", requests("1"))])["spec"]
        XCTAssertEqual(QualityOfService.of(spec), "Burstable")
        spec["resources"] = ["limits": ["cpu": "1", "memory": "1Gi"]]
        XCTAssertEqual(QualityOfService.of(spec), "Guaranteed")
        spec["resources"] = ["requests": ["cpu": "1"]]
        XCTAssertEqual(QualityOfService.of(spec), "Burstable")
    }
}
