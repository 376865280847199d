import Objects
import XCTest

@testable import ObjectSchema

final class KubernetesProtobufTests: XCTestCase {
    /// Writes messages by hand, as the specification of the encoding says.
    private struct Message {
        var bytes: [UInt8] = []
        static func varint(_ value: UInt64) -> [UInt8] {
            var value = value
            var out: [UInt8] = []
            while value >= 0x80 {
                out.append(UInt8(value & 0x7f) | 0x80)
                value >>= 7
            }
            return out + [UInt8(value)]
        }
        func number(_ field: UInt64, _ value: Int64) -> Message {
            Message(bytes: bytes + Self.varint(field << 3) + Self.varint(UInt64(bitPattern: value)))
        }
        func text(_ field: UInt64, _ value: String) -> Message { data(field, Array(value.utf8)) }
        func message(_ field: UInt64, _ value: Message) -> Message { data(field, value.bytes) }
        func data(_ field: UInt64, _ value: [UInt8]) -> Message {
            Message(bytes: bytes + Self.varint(field << 3 | 2) + Self.varint(UInt64(value.count)) + value)
        }
    }

    private func envelope(_ apiVersion: String, _ kind: String, _ object: Message) -> [UInt8] {
        KubernetesProtobuf.magic
            + Message().message(1, Message().text(1, apiVersion).text(2, kind)).message(2, object).text(3, "").bytes
    }

    private func decode(_ bytes: [UInt8]) throws -> JSON {
        try bytes.withUnsafeBytes { try KubernetesProtobuf.decode($0) }
    }

    private let metadata = Message().text(1, "web").text(2, "").text(3, "default").message(8, Message()).message(
        11, Message().text(1, "app").text(2, "web"))

    func testConfigMapWithMapAndBytes() throws {
        let object = Message().message(1, metadata).message(2, Message().text(1, "k").text(2, "v"))
            .message(3, Message().text(1, "b").data(2, [1, 2, 3]))
        XCTAssertEqual(
            try decode(envelope("v1", "ConfigMap", object)),
            [
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": ["name": "web", "namespace": "default", "labels": ["app": "web"]], "data": ["k": "v"],
                "binaryData": ["b": "AQID"],
            ])
    }

    /// As kubectl's `certificate approve` sends back what it has read.
    func testManagedFieldsAreAListThoughTheirTypeEndsAsThatOfAMap() throws {
        let entry = Message().text(1, "kubectl").text(2, "Update").text(3, "v1").message(4, Message().number(1, 100))
            .text(6, "FieldsV1").message(7, Message().text(1, #"{"f:data":{}}"#)).text(8, "")
        let object = Message().message(1, metadata.message(17, entry).message(17, Message().text(1, "other")))
        let managed = try decode(envelope("v1", "ConfigMap", object))["metadata"]["managedFields"]
        XCTAssertEqual(managed.arrayValue.map { $0["manager"] }, ["kubectl", "other"])
        XCTAssertEqual(managed[0]["fieldsV1"], ["f:data": [:]])
        XCTAssertEqual(managed[0]["time"], "1970-01-01T00:01:40Z")
    }

    func testDeploymentWithNumbersPointersAndInlinedMessages() throws {
        let probe = Message().message(
            1,
            Message().message(2, Message().text(1, "/").message(2, Message().number(1, 0).number(2, 8080).text(3, ""))))
        let container = Message().text(1, "main").text(2, "image").text(5, "").message(10, probe).message(
            8, Message().message(1, Message().text(1, "cpu").message(2, Message().text(1, "10m"))))
        let volume = Message().text(1, "data").message(2, Message().message(2, Message().text(1, "")))
        let template = Message().message(1, Message().text(1, "")).message(
            2, Message().message(1, volume).message(2, container).number(11, 0))
        let spec = Message().number(1, 0).message(3, template).number(5, 0)
        let decoded = try decode(envelope("apps/v1", "Deployment", Message().message(1, metadata).message(2, spec)))
        let pod = decoded["spec"]["template"]["spec"]
        XCTAssertEqual(decoded["spec"]["replicas"], 0)
        XCTAssertTrue(decoded["spec"]["minReadySeconds"].isNull)
        XCTAssertEqual(pod["containers"][0]["livenessProbe"]["httpGet"]["port"], 8080)
        XCTAssertEqual(pod["containers"][0]["resources"]["limits"]["cpu"], "10m")
        XCTAssertTrue(pod["containers"][0]["workingDir"].isNull)
        XCTAssertEqual(pod["volumes"][0], ["name": "data", "emptyDir": [:]])
        XCTAssertTrue(pod["hostNetwork"].isNull)
    }

    func testOptionsOfAnyGroup() throws {
        XCTAssertEqual(
            try decode(envelope("v1", "DeleteOptions", Message().number(1, 0).text(4, "Background"))),
            ["apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"])
        XCTAssertEqual(
            try decode(
                envelope(
                    "authentication.k8s.io/v1", "TokenRequest",
                    Message().message(2, Message().text(1, "api").number(4, 3600))))["spec"],
            ["audiences": ["api"], "expirationSeconds": 3600])
    }

    func testMalformedIsRefused() {
        let good = envelope("v1", "ConfigMap", Message().message(1, metadata))
        // Without its last fields, a message is whole after the type (21 bytes) and after the object (55).
        for count in 0..<good.count where ![21, 55].contains(count) {
            XCTAssertThrowsError(try decode(Array(good.prefix(count))), "\(count) bytes")
        }
        let rows: [[UInt8]] = [
            [], Array("{}".utf8), envelope("v1", "NoSuchKind", Message()), envelope("", "", Message()),
            envelope("v1", "ConfigMap", Message().data(1, [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f])),
            envelope("v1", "ConfigMap", Message().number(1, 5)),
        ]
        for row in rows { XCTAssertThrowsError(try decode(row)) }
    }
}
