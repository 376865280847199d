import Objects
import XCTest

import ObjectSchema

final class DefaultsTests: XCTestCase {
    private func defaulted(_ text: String) throws -> JSON {
        var object = try JSON(parsing: text)
        Schema.shared.applyDefaults(&object, as: try XCTUnwrap(Schema.shared.kind(of: object)))
        return object
    }

    func testDeployment() throws {
        let object = try defaulted(
            #"""
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},
            "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"nginx:1.2","ports":[{"containerPort":80}],
            "livenessProbe":{"httpGet":{"port":80}}}],"volumes":[{"name":"v","secret":{"secretName":"s"}},{"name":"e"}]}}}}
            """#)
        let wanted = try JSON(
            parsing:
                #"""
                {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},
                "replicas":1,"revisionHistoryLimit":10,"progressDeadlineSeconds":600,
                "strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},
                "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"nginx:1.2",
                "imagePullPolicy":"IfNotPresent","terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","resources":{},
                "ports":[{"containerPort":80,"protocol":"TCP"}],
                "livenessProbe":{"httpGet":{"path":"/","port":80,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}}],
                "restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","securityContext":{},
                "schedulerName":"default-scheduler",
                "volumes":[{"name":"v","secret":{"secretName":"s","defaultMode":420}},{"name":"e","emptyDir":{}}]}}}}
                """#)
        XCTAssertEqual(object.canonicalText(indented: true), wanted.canonicalText(indented: true))
        var again = object
        Schema.shared.applyDefaults(&again, as: try XCTUnwrap(Schema.shared.kind(of: object)))
        XCTAssertEqual(again, object)
    }

    func testRows() throws {
        let rows: [(object: String, path: [String], value: JSON)] = [
            (
                #"{"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80}]}}"#, ["spec"],
                [
                    "ports": [["port": 80, "protocol": "TCP", "targetPort": 80]], "type": "ClusterIP",
                    "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                ]
            ),
            (#"{"apiVersion":"v1","kind":"Pod","spec":{"restartPolicy":""}}"#, ["spec", "restartPolicy"], "Always"),
            (#"{"apiVersion":"v1","kind":"Pod","spec":{}}"#, ["spec", "enableServiceLinks"], true),
            (
                #"{"apiVersion":"v1","kind":"Service","spec":{"type":"","sessionAffinity":""}}"#,
                ["spec", "sessionAffinity"], "None"
            ),
            (#"{"apiVersion":"v1","kind":"Secret","type":""}"#, ["type"], "Opaque"),
            (
                #"{"apiVersion":"v1","kind":"Service","spec":{"type":"NodePort"}}"#, ["spec", "externalTrafficPolicy"],
                "Cluster"
            ),
            (
                #"{"apiVersion":"v1","kind":"Service","spec":{"type":"ExternalName"}}"#,
                ["spec", "internalTrafficPolicy"], nil
            ),
            (
                #"{"apiVersion":"v1","kind":"Service","spec":{"sessionAffinity":"ClientIP"}}"#,
                ["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10800
            ),
            (
                #"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"strategy":{"type":"Recreate"}}}"#,
                ["spec", "strategy"], ["type": "Recreate"]
            ),
            (#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":0}}"#, ["spec", "replicas"], 0),
            (
                #"{"apiVersion":"batch/v1","kind":"Job","spec":{}}"#, ["spec"],
                [
                    "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
                    "suspend": false, "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed",
                ]
            ),
            (#"{"apiVersion":"batch/v1","kind":"Job","spec":{"parallelism":2}}"#, ["spec", "completions"], nil),
            (#"{"apiVersion":"batch/v1","kind":"CronJob","spec":{}}"#, ["spec", "concurrencyPolicy"], "Allow"),
            (#"{"apiVersion":"v1","kind":"Secret"}"#, ["type"], "Opaque"),
            (
                #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}"#, ["metadata", "labels"],
                ["kubernetes.io/metadata.name": "a"]
            ),
            (
                #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}"#, ["spec"],
                ["finalizers": ["kubernetes"]]
            ),
            (#"{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{}}"#, ["spec", "volumeMode"], "Filesystem"),
            (
                #"{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","provisioner":"x"}"#, ["volumeBindingMode"],
                "Immediate"
            ),
            (
                #"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","spec":{"egress":[]}}"#,
                ["spec", "policyTypes"], ["Ingress", "Egress"]
            ),
            (
                #"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","image":"x"}]}}"#,
                ["spec", "terminationGracePeriodSeconds"], 30
            ),
            (#"{"apiVersion":"v1","kind":"Pod","spec":{"serviceAccountName":"x"}}"#, ["spec", "serviceAccount"], "x"),
            (#"{"apiVersion":"v1","kind":"Pod","spec":{"serviceAccount":"x"}}"#, ["spec", "serviceAccountName"], "x"),
        ]
        for row in rows {
            XCTAssertEqual(try defaulted(row.object)[path: row.path], row.value, "\(row.object) \(row.path)")
        }
    }

    func testComputed() throws {
        let images: [(image: String, policy: JSON)] = [
            ("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1", "IfNotPresent"), ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"), ("nginx@sha256:00", "IfNotPresent"),
            ("nginx:latest@sha256:00", "IfNotPresent"),
        ]
        for row in images {
            let pod = try defaulted(
                #"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"\#(row.image)"}]}}"#)
            XCTAssertEqual(pod["spec"]["containers"][0]["imagePullPolicy"], row.policy, row.image)
        }
        let pod = try defaulted(
            #"""
            {"apiVersion":"v1","kind":"Pod","spec":{"hostNetwork":true,"containers":[{"ports":[{"containerPort":80}],
            "resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}}}]}}
            """#)
        XCTAssertEqual(pod["spec"]["containers"][0]["ports"][0]["hostPort"], 80)
        XCTAssertEqual(pod["spec"]["containers"][0]["resources"]["requests"], ["cpu": "500m", "memory": "1Gi"])
        let deployment = try defaulted(
            #"""
            {"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"containers":[
            {"resources":{"limits":{"cpu":"1"}},"ports":[{"containerPort":80}]}],"hostNetwork":true}}}}
            """#)
        XCTAssertEqual(
            deployment["spec"]["template"]["spec"]["containers"][0]["resources"], ["limits": ["cpu": "1"]],
            "a template stays as it is written")
        XCTAssertTrue(
            deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"].isNull, "here too")
        XCTAssertEqual(pod["spec"]["enableServiceLinks"], true)
        XCTAssertTrue(deployment["spec"]["template"]["spec"]["enableServiceLinks"].isNull, "and here")
    }
}
