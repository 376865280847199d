import Glibc
import Objects
import XCTest

import ObjectSchema

final class StrategicMergePatchTests: XCTestCase {
    /// Long lists take as long as they are, not the square of it.
    func testLongLists() throws {
        let count = 20_000
        let names = (0..<count).map { JSON.string("example.com/\($0)") }
        let schema = Schema.shared.definition(named: "io.k8s.api.core.v1.ConfigMap")
        let patch: JSON = [
            "metadata": ["$setElementOrder/finalizers": .array(names), "finalizers": .array(names)]
        ]
        let start = clock()
        let result = try StrategicMergePatch.apply(
            patch, to: ["metadata": ["finalizers": .array(Array(names.prefix(count / 2).reversed()))]], schema: schema)
        XCTAssertEqual(result["metadata"]["finalizers"], .array(names))
        let containers = (0..<count).map { JSON(["name": .string("c\($0)")] as JSONObject) }
        let merged = try StrategicMergePatch.apply(
            ["spec": ["containers": .array(containers)]], to: ["spec": ["containers": .array(containers)]],
            schema: Schema.shared.definition(named: "io.k8s.api.core.v1.Pod"))
        XCTAssertEqual(merged["spec"]["containers"].count, count)
        XCTAssertLessThan((clock() - start) / 1_000_000, 20, "seconds; 200 million comparisons take minutes here")
    }

    /// Elements that go and come again in one patch, and keys that several elements have.
    func testElementsThatComeAgain() throws {
        let schema = Schema.shared.definition(named: "io.k8s.api.core.v1.Pod")
        let live: JSON = ["spec": ["containers": [["name": "a", "image": "1"], ["name": "b"]]]]
        let result = try StrategicMergePatch.apply(
            ["spec": ["containers": [["name": "a", "$patch": "delete"], ["name": "a", "tty": true]]]], to: live,
            schema: schema)
        XCTAssertEqual(result["spec"]["containers"], [["name": "a", "tty": true], ["name": "b"]])
    }

    func testTable() throws {
        let rows: [(spec: String, patch: String, result: String)] = [
            (
                #"{"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"}]}"#,
                #"{"containers":[{"name":"b","image":"3"},{"name":"c","image":"4"}]}"#,
                #"{"containers":[{"name":"a","image":"1"},{"name":"b","image":"3"},{"name":"c","image":"4"}]}"#
            ),
            // What the patch names goes before what it does not, unless the live list says otherwise.
            (
                #"{"containers":[{"name":"a"}]}"#, #"{"containers":[{"name":"b"}]}"#,
                #"{"containers":[{"name":"b"},{"name":"a"}]}"#
            ),
            (
                #"{"containers":[{"name":"a"},{"name":"b"}]}"#, #"{"containers":[{"name":"c"},{"name":"b"}]}"#,
                #"{"containers":[{"name":"c"},{"name":"a"},{"name":"b"}]}"#
            ),
            (
                #"{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#,
                #"{"containers":[{"name":"c","image":"1"},{"name":"a","image":"2"}]}"#,
                #"{"containers":[{"name":"b"},{"name":"c","image":"1"},{"name":"a","image":"2"}]}"#
            ),
            (
                #"{"containers":[{"name":"a"},{"name":"b"}]}"#, #"{"containers":[{"name":"a","$patch":"delete"}]}"#,
                #"{"containers":[{"name":"b"}]}"#
            ),
            (
                #"{"containers":[{"name":"a"},{"name":"b"}]}"#, #"{"containers":[{"$patch":"replace"},{"name":"c"}]}"#,
                #"{"containers":[{"name":"c"}]}"#
            ),
            (
                #"{"nodeSelector":{"a":"1","b":"2"}}"#, #"{"nodeSelector":{"a":null,"c":"3"}}"#,
                #"{"nodeSelector":{"b":"2","c":"3"}}"#
            ),
            (
                #"{"nodeSelector":{"a":"1","b":"2"}}"#, #"{"nodeSelector":{"$patch":"replace","c":"3"}}"#,
                #"{"nodeSelector":{"c":"3"}}"#
            ),
            (
                #"{"nodeSelector":{"a":"1"},"nodeName":"x"}"#, #"{"nodeSelector":{"$patch":"delete"}}"#,
                #"{"nodeName":"x"}"#
            ),
            (#"{"tolerations":[{"key":"a"}]}"#, #"{"tolerations":[{"key":"b"}]}"#, #"{"tolerations":[{"key":"b"}]}"#),
            (
                #"{"containers":[{"name":"a","args":["1","2"]}]}"#, #"{"containers":[{"name":"a","args":["3"]}]}"#,
                #"{"containers":[{"name":"a","args":["3"]}]}"#
            ),
            (
                #"{"containers":[{"name":"a","env":[{"name":"x","value":"1"}]}]}"#,
                #"{"containers":[{"name":"a","env":[{"name":"y","value":"2"}]}]}"#,
                #"{"containers":[{"name":"a","env":[{"name":"y","value":"2"},{"name":"x","value":"1"}]}]}"#
            ),
            (
                #"{"containers":[{"name":"a"},{"name":"b"}]}"#,
                #"{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}"#,
                #"{"containers":[{"name":"b"},{"name":"a"}]}"#
            ),
            (
                #"{"containers":[{"name":"a"},{"name":"x"},{"name":"b"}]}"#,
                #"{"$setElementOrder/containers":[{"name":"b"},{"name":"c"},{"name":"a"}],"containers":[{"name":"c","image":"i"}]}"#,
                #"{"containers":[{"name":"x"},{"name":"b"},{"name":"c","image":"i"},{"name":"a"}]}"#
            ),
            (
                #"{"volumes":[{"name":"v","emptyDir":{}}]}"#,
                #"{"volumes":[{"name":"v","$retainKeys":["name","configMap"],"configMap":{"name":"c"}}]}"#,
                #"{"volumes":[{"name":"v","configMap":{"name":"c"}}]}"#
            ),
            (
                #"{"containers":[{"name":"a","ports":[{"containerPort":53,"protocol":"TCP"},{"containerPort":53,"protocol":"UDP"}]}]}"#,
                #"{"containers":[{"name":"a","ports":[{"containerPort":53,"protocol":"UDP","name":"dns"}]}]}"#,
                #"{"containers":[{"name":"a","ports":[{"containerPort":53,"protocol":"TCP"},{"containerPort":53,"protocol":"UDP","name":"dns"}]}]}"#
            ),
            (
                #"{"imagePullSecrets":[{"name":"a"}]}"#, #"{"imagePullSecrets":[{"name":"b"}]}"#,
                #"{"imagePullSecrets":[{"name":"b"},{"name":"a"}]}"#
            ),
            (#"{}"#, #"{"securityContext":{"runAsUser":1,"fsGroup":null}}"#, #"{"securityContext":{"runAsUser":1}}"#),
            (#"{"nodeName":"x"}"#, #"{"nodeName":null}"#, "{}"),
        ]
        let pod = try XCTUnwrap(Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "Pod")))
        for row in rows {
            let target: JSON = ["spec": try JSON(parsing: row.spec)]
            let result = try StrategicMergePatch.apply(["spec": JSON(parsing: row.patch)], to: target, schema: pod)
            XCTAssertEqual(result["spec"], try JSON(parsing: row.result), row.patch)
        }
    }

    func testFinalizersAndPrimitiveLists() throws {
        let pod = try XCTUnwrap(Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "Pod")))
        let target: JSON = ["metadata": ["finalizers": ["a", "b"]]]
        let rows: [(patch: String, result: JSON)] = [
            (#"{"finalizers":["b","c"]}"#, ["a", "b", "c"]), (#"{"$deleteFromPrimitiveList/finalizers":["a"]}"#, ["b"]),
            (#"{"$setElementOrder/finalizers":["b","a"]}"#, ["b", "a"]),
            (
                #"{"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["c"],"$setElementOrder/finalizers":["c","b"]}"#,
                ["c", "b"]
            ),
        ]
        for row in rows {
            let result = try StrategicMergePatch.apply(["metadata": JSON(parsing: row.patch)], to: target, schema: pod)
            XCTAssertEqual(result["metadata"]["finalizers"], row.result, row.patch)
        }
    }

    /// What is deleted from an object is empty afterwards, as in Kubernetes.
    func testDeletedObjects() throws {
        let pod = try XCTUnwrap(Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "Pod")))
        let target: JSON = ["spec": ["securityContext": ["runAsUser": 1], "nodeName": "n"]]
        let patch: JSON = ["spec": ["securityContext": ["$patch": "delete"]]]
        XCTAssertEqual(
            try StrategicMergePatch.apply(patch, to: target, schema: pod),
            ["spec": ["securityContext": [:], "nodeName": "n"]])
    }

    func testErrors() throws {
        let pod = try XCTUnwrap(Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "Pod")))
        let rows = [
            "[]", "1", #"{"$patch":"x"}"#, #"{"spec":{"containers":[{"image":"x"}]}}"#, #"{"spec":{"containers":[1]}}"#,
            #"{"spec":{"$retainKeys":["a"],"nodeName":"x"}}"#, #"{"$retainKeys":1}"#, #"{"$x":1}"#,
            #"{"$setElementOrder/a":1}"#, #"{"$patch":"merge"}"#,
            #"{"spec":{"containers":[{"name":"a","$patch":"merge"}]}}"#,
            #"{"metadata":{"$setElementOrder/finalizers":["a","b"],"finalizers":["b","a"]}}"#,
            #"{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"b"}]}}"#,
        ]
        for row in rows {
            XCTAssertThrowsError(try StrategicMergePatch.apply(JSON(parsing: row), to: [:], schema: pod), row)
        }
    }
}
