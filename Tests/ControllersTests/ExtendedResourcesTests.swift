import Objects
import XCTest

@testable import Controllers

/// Extended resources that classes of devices stand for.
final class ExtendedResourcesTests: XCTestCase {
    private func deviceClass(_ name: String, _ resource: String? = nil, made: String = "2026-01-01T00:00:00Z") -> JSON {
        var spec: JSON = [:]
        if let resource { spec["extendedResourceName"] = .string(resource) }
        return ["metadata": ["name": .string(name), "creationTimestamp": .string(made)], "spec": spec]
    }

    private func container(_ name: String, _ requests: JSON, isSidecar: Bool = false) -> JSON {
        var container: JSON = ["name": .string(name), "resources": ["requests": requests, "limits": requests]]
        if isSidecar { container["restartPolicy"] = "Always" }
        return container
    }

    private func pod(_ containers: [JSON], first: [JSON] = []) -> JSON {
        var spec: JSON = ["containers": .array(containers)]
        if !first.isEmpty { spec["initContainers"] = .array(first) }
        return ["metadata": ["name": "p", "namespace": "n", "uid": "u"], "spec": spec]
    }

    private func look(_ pod: JSON, _ classes: [JSON], nodes: [JSON] = []) -> ExtendedResources? {
        ExtendedResources(pod, classes: classes, nodes: nodes, makeUID: { "made" })
    }

    /// "request=count*class" and "container/resource=request".
    private func text(_ found: ExtendedResources?) -> [String]? {
        guard let found else { return nil }
        let requests = found.claim["spec"]["devices"]["requests"].arrayValue.map {
            "\($0["name"].stringValue ?? "")=\($0["exactly"]["count"].integerValue ?? 0)"
                + "*\($0["exactly"]["deviceClassName"].stringValue ?? "")"
        }
        let mappings = found.mappings.map {
            "\($0["containerName"].stringValue ?? "")/\($0["resourceName"].stringValue ?? "")="
                + ($0["requestName"].stringValue ?? "")
        }
        return requests + mappings
    }

    func testRequests() {
        let gpu = [deviceClass("gpus", "x.io/gpu")]
        let counted: JSON = ["metadata": ["name": "a"], "status": ["allocatable": ["x.io/gpu": "4"]]]
        let none: JSON = ["metadata": ["name": "a"], "status": ["allocatable": ["x.io/gpu": "0"]]]
        let one: JSON = ["cpu": "1", "x.io/gpu": "1"]
        let rows: [(reason: String, pod: JSON, classes: [JSON], nodes: [JSON], expected: [String]?)] = [
            ("no class", pod([container("c", one)]), [], [], nil),
            ("another's", pod([container("c", one)]), [deviceClass("tpus", "x.io/tpu")], [], nil),
            ("nothing", pod([container("c", ["x.io/gpu": "0"])]), gpu, [], nil),
            ("nodes count it", pod([container("c", one)]), gpu, [counted], nil),
            (
                "one", pod([container("c", one)]), gpu, [none],
                ["container-0-request-1=1*gpus", "c/x.io/gpu=container-0-request-1"]
            ),
            (
                "by the name of the class", pod([container("c", ["deviceclass.resource.kubernetes.io/gpus": "2"])]),
                gpu,
                [],
                [
                    "container-0-request-0=2*gpus",
                    "c/deviceclass.resource.kubernetes.io/gpus=container-0-request-0",
                ]
            ),
            (
                "several containers", pod([container("c", one), container("d", ["x.io/gpu": "2"])]), gpu, [],
                [
                    "container-0-request-1=1*gpus", "container-1-request-0=2*gpus",
                    "c/x.io/gpu=container-0-request-1", "d/x.io/gpu=container-1-request-0",
                ]
            ),
            (
                "the first use what later ones have", pod([container("c", one)], first: [container("i", one)]), gpu, [],
                [
                    "container-1-request-1=1*gpus", "c/x.io/gpu=container-1-request-1",
                    "i/x.io/gpu=container-1-request-1",
                ]
            ),
            (
                "and share what goes beyond",
                pod(
                    [container("c", ["x.io/gpu": "1"])],
                    first: [container("i", ["x.io/gpu": "2"]), container("j", ["x.io/gpu": "3"])]), gpu, [],
                [
                    "container-1-request-0=2*gpus", "container-2-request-0=1*gpus",
                    "c/x.io/gpu=container-2-request-0", "i/x.io/gpu=container-2-request-0",
                    "i/x.io/gpu=container-1-request-0", "j/x.io/gpu=container-2-request-0",
                    "j/x.io/gpu=container-1-request-0",
                ]
            ),
            (
                "not what earlier ones have",
                pod(
                    [container("c", ["cpu": "1"])],
                    first: [container("s", ["x.io/gpu": "1"], isSidecar: true), container("i", ["x.io/gpu": "1"])]),
                gpu, [],
                [
                    "container-0-request-0=1*gpus", "container-1-request-0=1*gpus",
                    "s/x.io/gpu=container-0-request-0", "i/x.io/gpu=container-1-request-0",
                ]
            ),
            (
                "the newest class", pod([container("c", ["x.io/gpu": "1"])]),
                [
                    deviceClass("a", "x.io/gpu"), deviceClass("c", "x.io/gpu", made: "2026-02-01T00:00:00Z"),
                    deviceClass("b", "x.io/gpu", made: "2026-02-01T00:00:00Z"),
                ], [], ["container-0-request-0=1*b", "c/x.io/gpu=container-0-request-0"]
            ),
        ]
        for row in rows { XCTAssertEqual(text(look(row.pod, row.classes, nodes: row.nodes)), row.expected, row.reason) }
    }

    func testClaimAndPod() throws {
        let pod = pod([container("c", ["cpu": "1", "x.io/gpu": "1"])], first: [container("i", ["x.io/gpu": "1"])])
        let found = try XCTUnwrap(look(pod, [deviceClass("gpus", "x.io/gpu")]))
        let written = found.written
        XCTAssertEqual(written.metadata["generateName"], "p-extended-resources-")
        XCTAssertFalse(written.metadata["name"].exists)
        XCTAssertFalse(written.metadata["uid"].exists)
        XCTAssertEqual(ExtendedResources.claim(of: pod, among: [["metadata": ["name": "x"]], written]), written)
        let reduced = found.reduced(pod)
        XCTAssertEqual(
            reduced["spec"]["containers"][0]["resources"], ["requests": ["cpu": "1"], "limits": ["cpu": "1"]])
        XCTAssertEqual(reduced["spec"]["initContainers"][0]["resources"], ["requests": [:], "limits": [:]])
        XCTAssertNil(look(reduced, [deviceClass("gpus", "x.io/gpu")]))
        XCTAssertEqual(
            PodClaims.names(["spec": [:], "status": ["extendedResourceClaimStatus": ["resourceClaimName": "p-x"]]]),
            ["p-x"])
    }
}
