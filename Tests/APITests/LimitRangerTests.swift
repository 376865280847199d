import Objects
import XCTest

@testable import API

final class LimitRangerTests: XCTestCase {
    private func pod(_ requests: JSON, _ limits: JSON = [:], initRequests: JSON = .null) -> JSON {
        var pod: JSON = [
            "metadata": ["name": "p"],
            "spec": ["containers": [["name": "web", "resources": ["requests": requests, "limits": limits]]]],
        ]
        if initRequests.exists {
            pod["spec"]["initContainers"] = [["name": "prepare", "resources": ["requests": initRequests]]]
        }
        return pod
    }

    func testDefaults() {
        let limits: [JSON] = [
            ["type": "Container", "default": ["cpu": "1", "memory": "1Gi"], "defaultRequest": ["cpu": "500m"]],
            ["type": "Pod", "max": ["cpu": "9"]],
        ]
        var object = pod(["cpu": "100m"], ["memory": "2Gi"], initRequests: [:])
        LimitDefaults(limits).fill(&object)
        XCTAssertEqual(
            object["spec"]["containers"][0]["resources"],
            ["requests": ["cpu": "100m"], "limits": ["memory": "2Gi", "cpu": "1"]], "what is said stays")
        XCTAssertEqual(
            object["spec"]["initContainers"][0]["resources"],
            ["requests": ["cpu": "500m"], "limits": ["cpu": "1", "memory": "1Gi"]], "what is missing is filled in")
        XCTAssertEqual(
            object.annotations["kubernetes.io/limit-ranger"].stringValue,
            "LimitRanger plugin set: cpu limit for container web; cpu request for init container prepare; "
                + "cpu, memory limit for init container prepare")
        var whole = pod(["cpu": "100m"], ["cpu": "1", "memory": "2Gi"])
        let before = whole
        LimitDefaults(limits).fill(&whole)
        XCTAssertEqual(whole, before, "nothing is missing, and nothing noted")
    }

    func testPods() {
        let table: [(JSON, [JSON], [String], String)] = [
            (pod(["cpu": "1"]), [["type": "Container", "min": ["cpu": "500m"]]], [], "enough"),
            (
                pod([:]), [["type": "Container", "min": ["cpu": "500m"]]],
                ["minimum cpu usage per Container is 500m.  No request is specified"], "says nothing"
            ),
            (
                pod(["cpu": "100m"]), [["type": "Container", "min": ["cpu": "500m"]]],
                ["minimum cpu usage per Container is 500m, but request is 100m"], "asks for too little"
            ),
            (
                pod(["memory": "1Gi"], ["memory": "1Mi"]), [["type": "Container", "min": ["memory": "2Mi"]]],
                ["minimum memory usage per Container is 2Mi, but limit is 1Mi"], "is limited below"
            ),
            (
                pod(["cpu": "1"]), [["type": "Container", "max": ["cpu": "2"]]],
                ["maximum cpu usage per Container is 2.  No limit is specified"], "has no limit"
            ),
            (
                pod(["cpu": "1"], ["cpu": "3"]), [["type": "Container", "max": ["cpu": "2"]]],
                ["maximum cpu usage per Container is 2, but limit is 3"], "has a limit that is too high"
            ),
            (
                pod(["cpu": "3"], ["cpu": "2"]), [["type": "Container", "max": ["cpu": "2"]]],
                ["maximum cpu usage per Container is 2, but request is 3"], "asks for too much"
            ),
            (
                pod(["cpu": "1"], ["cpu": "3"]), [["type": "Container", "maxLimitRequestRatio": ["cpu": "2"]]],
                ["cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"],
                "limit and request lie too far apart"
            ),
            (
                pod([:], ["cpu": "3"]), [["type": "Container", "maxLimitRequestRatio": ["cpu": "2"]]],
                ["cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"],
                "without a request"
            ),
            (
                pod(["cpu": "1"]), [["type": "Container", "maxLimitRequestRatio": ["cpu": "2"]]],
                ["cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"],
                "without a limit"
            ),
            (
                pod(["cpu": "1"], initRequests: ["cpu": "100m"]), [["type": "Container", "min": ["cpu": "500m"]]],
                ["minimum cpu usage per Container is 500m, but request is 100m"], "init containers too"
            ),
            (
                pod(["cpu": "1"], ["cpu": "1"], initRequests: ["cpu": "3"]), [["type": "Pod", "max": ["cpu": "2"]]],
                ["maximum cpu usage per Pod is 2, but request is 3"], "a pod as a whole"
            ),
            (pod(["cpu": "1"]), [["type": "PersistentVolumeClaim", "min": ["storage": "1Gi"]]], [], "about claims"),
        ]
        for (pod, limits, problems, reason) in table { XCTAssertEqual(LimitCheck.pod(pod, limits), problems, reason) }
    }

    func testClaims() {
        func claim(_ requests: JSON) -> JSON { ["spec": ["resources": ["requests": requests]]] }
        let limits: [JSON] = [
            ["type": "PersistentVolumeClaim", "min": ["storage": "1Gi"], "max": ["storage": "10Gi"]],
            ["type": "Container", "min": ["cpu": "1"]],
        ]
        let table: [(JSON, [String], String)] = [
            (claim(["storage": "5Gi"]), [], "between both"),
            (
                claim(["storage": "1Mi"]),
                ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"], "too small"
            ),
            (
                claim(["storage": "11Gi"]),
                ["maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 11Gi"], "too large"
            ),
            (
                claim([:]),
                [
                    "minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified",
                    "maximum storage usage per PersistentVolumeClaim is 10Gi.  No request is specified",
                ], "asks for nothing"
            ),
        ]
        for (claim, problems, reason) in table { XCTAssertEqual(LimitCheck.claim(claim, limits), problems, reason) }
    }

    func testProblemsArePutTogether() {
        XCTAssertEqual(LimitRanger.aggregate(["a"]), "a", "one stands alone")
        XCTAssertEqual(LimitRanger.aggregate(["a", "b", "a"]), "[a, b]", "each once")
    }

    func testThroughTheServer() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let range: JSON = [
            "apiVersion": "v1", "kind": "LimitRange", "metadata": ["name": "bounds"],
            "spec": ["limits": [["type": "Container", "max": ["cpu": "2"], "defaultRequest": ["cpu": "250m"]]]],
        ]
        XCTAssertEqual(
            try server.request("POST", "/api/v1/namespaces/default/limitranges", range).status, 201)
        try server.settled { $0.limits.ranges.hasValues(in: "default") }
        let small: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "small"],
            "spec": ["containers": [["name": "a", "image": "i"]]],
        ]
        let created = try server.request("POST", "/api/v1/namespaces/default/pods", small)
        XCTAssertEqual(created.status, 201, created.text)
        XCTAssertEqual(
            try created.json["spec"]["containers"][0]["resources"],
            ["limits": ["cpu": "2"], "requests": ["cpu": "250m"]], "the limit defaults to the maximum")
        XCTAssertEqual(try created.json["status"]["qosClass"].stringValue, "Burstable", "decided by what was filled in")
        var large = small
        large["metadata"]["name"] = "large"
        large["spec"]["containers"][0]["resources"] = ["limits": ["cpu": "3"]]
        let refused = try server.request("POST", "/api/v1/namespaces/default/pods", large)
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "pods \"large\" is forbidden: maximum cpu usage per Container is 2, but limit is 3")
        XCTAssertEqual(
            try server.request("DELETE", "/api/v1/namespaces/default/limitranges/bounds").status, 200)
        try server.settled { !$0.limits.ranges.hasValues(in: "default") }
        XCTAssertEqual(try server.request("POST", "/api/v1/namespaces/default/pods", large).status, 201, "it is gone")
    }
}
