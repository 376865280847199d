import Objects
import XCTest

@testable import Node

final class PodBandwidthTests: XCTestCase {
    private func bandwidth(_ annotations: JSON) throws -> JSON? {
        try PodBandwidth.json(of: ["metadata": ["annotations": annotations]])
    }

    func testAnnotationsBecomeBitsASecond() throws {
        XCTAssertNil(try bandwidth([:]), "no limit")
        XCTAssertEqual(try bandwidth(["kubernetes.io/ingress-bandwidth": "10M"]), ["ingressBits": 10_000_000])
        XCTAssertEqual(
            try bandwidth(["kubernetes.io/ingress-bandwidth": "1Mi", "kubernetes.io/egress-bandwidth": "1k"]),
            ["ingressBits": 1_048_576, "egressBits": 1000])
    }

    func testWhatIsNoBandwidthIsNamed() {
        for text in ["", "fast", "-1M", "999", "2P"] {
            XCTAssertThrowsError(try bandwidth(["kubernetes.io/egress-bandwidth": .string(text)]), text) { error in
                XCTAssertTrue("\(error)".contains("kubernetes.io/egress-bandwidth"), "\(error)")
            }
        }
    }
}
