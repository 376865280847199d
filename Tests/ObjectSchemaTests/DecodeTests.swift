import Objects
import XCTest

import ObjectSchema

final class DecodeTests: XCTestCase {
    private func prune(_ text: String) throws -> (object: JSON, unknown: [String]) {
        var object = try JSON(parsing: text)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        let unknown = try Schema.shared.prune(&object, as: node)
        return (object, unknown)
    }

    func testPrunes() throws {
        let (object, unknown) = try prune(
            #"""
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","creationTimestamp":null,"labels":{"x":"y","z":null}},"foo":1,
             "spec":{"nodeName":null,"containers":[{"name":"c","bar":{"x":1},"resources":{"limits":{"cpu":0.5,"memory":"1024Mi"}},
             "ports":[{"containerPort":80,"protocl":"TCP"}]}],"volumes":[{"name":"v","configMap":{"nam":"x"}}]}}
            """#)
        XCTAssertEqual(
            unknown,
            ["foo", "spec.containers[0].bar", "spec.containers[0].ports[0].protocl", "spec.volumes[0].configMap.nam"])
        XCTAssertEqual(
            object,
            try JSON(
                parsing:
                    #"""
                    {"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"x":"y","z":""}},
                    "spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"500m","memory":"1Gi"}},"ports":[{"containerPort":80}]}],
                    "volumes":[{"name":"v","configMap":{}}]}}
                    """#))
    }

    func testNormalisesTimes() throws {
        let (object, _) = try prune(
            #"""
            {"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"creationTimestamp":"2026-01-02T05:04:05.5+02:00"},
            "spec":{"renewTime":"2026-01-02T03:04:05.5Z"}}
            """#)
        XCTAssertEqual(object.creationTimestamp, "2026-01-02T03:04:05Z")
        XCTAssertEqual(object["spec"]["renewTime"], "2026-01-02T03:04:05.500000Z")
    }

    func testTypeErrors() {
        let rows: [(spec: String, path: String, message: String)] = [
            (
                #"{"containers":"x"}"#, "spec.containers",
                "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container"
            ),
            (
                #"{"containers":[{"image":5}]}"#, "spec.containers[0].image",
                "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string"
            ),
            (
                #"{"priority":"x"}"#, "spec.priority",
                "json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32"
            ),
            (
                #"{"priority":3000000000}"#, "spec.priority",
                "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32"
            ),
            (
                #"{"priority":1.5}"#, "spec.priority",
                "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32"
            ),
            (
                #"{"hostNetwork":"true"}"#, "spec.hostNetwork",
                "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"
            ),
            (
                #"{"nodeSelector":[]}"#, "spec.nodeSelector",
                "json: cannot unmarshal array into Go struct field PodSpec.spec.nodeSelector of type map[string]string"
            ),
            (
                #"{"securityContext":1}"#, "spec.securityContext",
                "json: cannot unmarshal number into Go struct field PodSpec.spec.securityContext of type v1.PodSecurityContext"
            ),
            (
                #"{"overhead":{"cpu":"x"}}"#, "spec.overhead.cpu",
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ),
        ]
        for row in rows {
            XCTAssertThrowsError(try prune(#"{"apiVersion":"v1","kind":"Pod","spec":\#(row.spec)}"#), row.spec) {
                error in
                XCTAssertEqual((error as? SchemaTypeError)?.path, row.path)
                XCTAssertEqual("\(error)", row.message)
            }
        }
        XCTAssertThrowsError(try prune(#"{"apiVersion":"v1","kind":"Secret","data":{"a":"Zg=x"}}"#)) { error in
            XCTAssertTrue("\(error)".hasPrefix("illegal base64 data at input byte"), "\(error)")
        }
        XCTAssertThrowsError(try prune(#"{"apiVersion":"v1","kind":"Pod","metadata":{"creationTimestamp":"x"}}"#))
    }
}
