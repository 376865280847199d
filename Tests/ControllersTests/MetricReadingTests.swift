import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

@testable import Controllers

/// Metrics of types Pods, Object and External: what is asked for, what is read of the answers, and the sizes that follow.
final class MetricReadingTests: XCTestCase {
    private let now = Timestamp(seconds: 100_000)

    private func pod(_ name: String, ready: Bool = true, phase: String = "Running") -> JSON {
        [
            "metadata": ["name": .string(name)],
            "status": [
                "phase": .string(phase), "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
            ],
        ]
    }

    func testAnswers() {
        let time = JSON.string(now.formatted())
        func item(_ name: JSON, _ value: JSON) -> JSON {
            ["describedObject": ["name": name], "timestamp": time, "value": value]
        }
        XCTAssertEqual(
            MetricReading.pods(in: ["items": [item("a", "1500m"), item("b", "x"), item(.null, "1")]]),
            .pods(["a": .init(value: 1500, time: now, window: 60)]))
        XCTAssertEqual(MetricReading.pods(in: [:]), .failure("no metrics returned from custom metrics API"))
        XCTAssertEqual(MetricReading.object(in: ["items": [item("a", "2k")]]), .value(2_000_000))
        XCTAssertEqual(MetricReading.external(in: ["items": [["value": "1"], ["value": "500m"]]]), .value(1500))
        for wrong: JSON in [["items": [["value": "x"]]], ["items": []]] {
            guard case .failure = MetricReading.external(in: wrong) else { return XCTFail("\(wrong)") }
            guard case .failure = MetricReading.object(in: wrong) else { return XCTFail("\(wrong)") }
        }
    }

    func testOneValue() {
        let pods = [pod("a"), pod("b"), pod("c", ready: false), pod("d", phase: "Pending")]
        func demand(_ value: Int64, current: Int64 = 4, present: Int64 = 4) -> ValueDemand {
            ValueDemand(value: value, pods: pods, current: current, present: present, tolerance: .init())
        }
        let whole: [(String, ValueDemand, Int64)] = [
            ("half again for those that are ready", demand(1500), 3), ("twice", demand(2000), 4),
            ("near enough", demand(1050), 4), ("less", demand(400), 1), ("from none", demand(2500, current: 0), 3),
        ]
        for (reason, demand, expected) in whole { XCTAssertEqual(demand.replicas(reaching: 1000), expected, reason) }
        let shared: [(String, ValueDemand, Int64)] = [
            ("a share each", demand(6500), 7), ("near enough", demand(4200), 4), ("less", demand(2000), 2),
            ("from none", demand(2500, present: 0), 3),
        ]
        for (reason, demand, expected) in shared { XCTAssertEqual(demand.replicas(averaging: 1000), expected, reason) }
        XCTAssertEqual(demand(4001).average, 1001)
    }

    func testSizesThatFollow() {
        let described: JSON = ["apiVersion": "v1", "kind": "Service", "name": "s"]
        let metrics: [JSON] = [
            [
                "type": "Pods",
                "pods": ["metric": ["name": "rate"], "target": ["type": "AverageValue", "averageValue": "10"]],
            ],
            [
                "type": "Object",
                "object": [
                    "metric": ["name": "depth"], "describedObject": described,
                    "target": ["type": "Value", "value": "5"],
                ],
            ],
            [
                "type": "External",
                "external": ["metric": ["name": "queue"], "target": ["type": "AverageValue", "averageValue": "2"]],
            ],
        ]
        let evaluation = MetricEvaluation(
            autoscaler: ["spec": ["metrics": .array(metrics)]], pods: [pod("a"), pod("b")], usage: nil, failure: "",
            readings: [
                .pods([
                    "a": .init(value: 20_000, time: now, window: 60), "b": .init(value: 40_000, time: now, window: 60),
                ]), .value(10_000), .failure("it broke"),
            ], current: 2, present: 2, now: now)
        let outcomes = evaluation.outcomes.map { outcome -> String in
            switch outcome {
            case .proposal(let replicas, let name, let status): "\(replicas) \(name) \(status.serializedString())"
            case .failure(let reason, let message): "\(reason): \(message)"
            }
        }
        XCTAssertEqual(
            outcomes,
            [
                #"6 pods metric rate {"type":"Pods","pods":{"metric":{"name":"rate"},"current":{"averageValue":"30"}}}"#,
                #"4 Service metric depth {"type":"Object","object":{"metric":{"name":"depth"},"current":{"value":"10"},"describedObject":{"apiVersion":"v1","kind":"Service","name":"s"}}}"#,
                "FailedGetExternalMetric: the HPA was unable to compute the replica count: failed to get external metric value: unable to get metric queue: it broke",
            ])
    }

    // MARK: Questions

    /// Answers discovery of v1 and nothing else, and notes what it is asked.
    private final class Questions: APIProvider {
        let asked = Mutex<[String]>([])

        func request(
            method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?
        ) throws -> (code: Int32, body: OwnedBuffer) {
            asked.withLock { $0.append(path) }
            let list: JSON = ["resources": [["name": "services", "kind": "Service", "namespaced": true]]]
            let bytes = path == "/api/v1" ? list.serialized() : Array("{}".utf8)
            return (200, bytes.withUnsafeBytes { OwnedBuffer(taking: hostd_buffer(copying: $0)) })
        }

        func requestAsync(
            method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?,
            completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
        ) throws {
            throw PluginError.notSupported("nothing is asked for so")
        }
    }

    func testPaths() {
        let front = Questions()
        let sources = MetricSources(
            api: APIClient(front),
            versions: [
                "custom.metrics.k8s.io/v1beta1", "custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1",
            ])
        func metric(_ name: JSON, _ selector: JSON = .null) -> JSON {
            selector.exists ? ["name": name, "selector": ["matchLabels": selector]] : ["name": name]
        }
        func object(_ kind: JSON, _ name: JSON) -> JSON {
            [
                "type": "Object",
                "object": [
                    "metric": metric("depth"), "describedObject": ["apiVersion": "v1", "kind": kind, "name": name],
                ],
            ]
        }
        let custom = "/apis/custom.metrics.k8s.io/v1beta2"
        let cases: [(String, JSON, [String])] = [
            (
                "pods", ["type": "Pods", "pods": ["metric": metric("rate", ["verb": "GET"])]],
                ["\(custom)/namespaces/ns/pods/*/rate?labelSelector=app%3Dx&metricLabelSelector=verb%3DGET"]
            ),
            ("a service", object("Service", "s"), ["/api/v1", "\(custom)/namespaces/ns/services/s/depth"]),
            ("a namespace", object("Namespace", "other"), ["\(custom)/namespaces/other/metrics/depth"]),
            ("a kind that nobody knows", object("Thing", "t"), ["/api/v1"]),
            (
                "external", ["type": "External", "external": ["metric": metric("queue/length", ["q": "a"])]],
                ["/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/queue%2Flength?labelSelector=q%3Da"]
            ),
            ("what the nodes measure", ["type": "Resource"], []),
        ]
        for (reason, metric, expected) in cases {
            front.asked.withLock { $0 = [] }
            let reading = sources.reading(of: metric, namespace: "ns", selector: "app=x")
            XCTAssertEqual(front.asked.withLock { $0 }, expected, reason)
            XCTAssertEqual(reading == nil, expected.isEmpty, reason)
        }
        let unserved = MetricSources(api: APIClient(front), versions: [])
        XCTAssertEqual(
            unserved.reading(of: ["type": "External"], namespace: "ns", selector: ""),
            .failure(
                "no server is registered for the API external.metrics.k8s.io: an APIService object names the one that measures"
            ))
    }
}
