import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import Node

/// Volumes as a pod gets them, with mounts that are only recorded.
final class VolumeManagerTests: XCTestCase {
    private final class RecordedMounts: Mounts {
        let sizes = Mutex<[Int64]>([])
        func mountMemory(at path: String, sizeBytes: Int64, mode: Int) throws {
            sizes.withLock { $0.append(sizeBytes) }
        }
        func bind(descriptor: Int32, to path: String) throws {}
        func bind(_ source: String, to path: String, readOnly: Bool) throws {}
        func unmount(_ path: String) throws {}
        func isMountPoint(_ path: String) throws -> Bool { false }
    }

    private final class StoredObjects: ObjectReader {
        let all = Mutex<[String: JSON]>([:])
        func object(_ key: String) throws -> JSON? { all.withLock { $0[key] } }
    }

    private struct NoDrivers: VolumeDrivers {
        func driver(named name: String) throws -> any VolumeProvider { throw VolumeError(message: "no driver \(name)") }
    }

    private let mounts = RecordedMounts()
    private let objects = StoredObjects()

    private func manager(_ directory: TemporaryDirectory) throws -> VolumeManager {
        VolumeManager(
            paths: NodePaths(data: directory.path), mounts: mounts, objects: objects,
            tokens: TokenCache(api: APIClient(FakeAPI())), drivers: NoDrivers())
    }

    private func setUp(_ volume: JSON, _ directory: TemporaryDirectory, template: JSONObject = [:]) throws
        -> MountedVolume
    {
        let pod = TestPods.pod(specification: ["volumes": .array([volume])], template: template)
        let memory = ResourceFieldReference.NodeAllocatable(memoryBytes: 8 << 20)
        let volumes = try manager(directory).setUp(pod, facts: PodRuntimeFacts(), allocatable: memory)
        return try XCTUnwrap(volumes["v"])
    }

    func testSizeOfMemory() throws {
        let limited: JSONObject = ["resources": ["limits": ["memory": "2Mi"]]]
        let rows: [(JSON, JSONObject, Int64, String)] = [
            (["medium": "Memory", "sizeLimit": "1Mi"], [:], 1 << 20, "as it is limited"),
            (["medium": "Memory"], [:], 8 << 20, "at most what the node has"),
            (["medium": "Memory"], limited, 2 << 20, "at most what the pod may use"),
            (["medium": "Memory", "sizeLimit": "1Mi"], limited, 1 << 20, "the least of them"),
            (["medium": "Memory", "sizeLimit": "1Gi"], limited, 2 << 20, "the least of them"),
        ]
        for (source, template, size, reason) in rows {
            let directory = try TemporaryDirectory()
            _ = try setUp(["name": "v", "emptyDir": source], directory, template: template)
            XCTAssertEqual(mounts.sizes.withLock { $0.removeLast() }, size, reason)
        }
    }

    func testVolumesOfThisNode() throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/file"
        try Files.write([], to: file, mode: 0o644)
        let rows: [(JSON, MountedVolume?, String)] = [
            (
                ["local": ["path": .string(directory.path)]],
                MountedVolume(hostPath: directory.path, takesGroup: true), "a directory"
            ),
            (["local": ["path": .string(file)]], nil, "a file is none"),
            (["local": ["path": .string(file)], "volumeMode": "Block"], nil, "a file is no device"),
            (["local": ["path": "/none"]], nil, "not there"),
            (["hostPath": ["path": .string(directory.path)]], MountedVolume(hostPath: directory.path), "a path"),
            (
                ["hostPath": ["path": .string("\(directory.path)/new"), "type": "DirectoryOrCreate"]],
                MountedVolume(hostPath: "\(directory.path)/new"), "made by its type"
            ),
            (["hostPath": ["path": .string(file), "type": "Directory"]], nil, "of another type"),
        ]
        for (specification, expected, reason) in rows {
            objects.all.withLock { all in
                all["persistentvolumeclaims/default/c"] = [
                    "spec": ["volumeName": "pv"], "status": ["phase": "Bound"],
                ]
                all["persistentvolumes//pv"] = ["spec": specification]
            }
            let volume: JSON = ["name": "v", "persistentVolumeClaim": ["claimName": "c"]]
            if let expected {
                XCTAssertEqual(try setUp(volume, directory), expected, reason)
            } else {
                XCTAssertThrowsError(try setUp(volume, directory), reason)
            }
        }
    }

    func testSubPathExpressions() throws {
        let directory = try TemporaryDirectory()
        try Files.makeDirectories("\(directory.path)/volume")
        let rows: [(String, String?, String)] = [
            ("$(NAME)/x", nil, "a variable that is set"), ("plain", nil, "no variable"),
            ("$(NONE)/x", "missing value for NONE", "one that is not"),
            ("$(NONE)/$(EMPTY)/$(NAME)", "missing value for EMPTY, NONE", "nor are those that are empty"),
            ("$(EMPTY)", "missing value for EMPTY", "an empty one alone would be the whole volume"),
        ]
        for (expression, message, reason) in rows {
            let pod = TestPods.pod(template: [
                "volumeMounts": [["name": "v", "mountPath": "/v", "subPathExpr": .string(expression)]]
            ])
            let volumes = ["v": MountedVolume(hostPath: "\(directory.path)/volume")]
            do {
                let made = try manager(directory).mounts(
                    pod.regularContainers[0], pod: pod, volumes: volumes, variables: ["NAME": "n", "EMPTY": ""])
                XCTAssertEqual(made.count, 1)
                XCTAssertNil(message, reason)
            } catch let error as ContainerConfigurationError {
                XCTAssertEqual(error.message, message, reason)
            }
        }
        XCTAssertNotNil(try Files.status("\(directory.path)/volume/n/x"), "what is missing is made")
    }

    func testTokensBelongToThePodsUser() throws {
        let volume: JSON = ["projected": ["sources": [["serviceAccountToken": ["path": "token"]]]]]
        let rows: [(JSONObject, JSONObject, PayloadFile, String)] = [
            ([:], [:], PayloadFile(data: [116], mode: 0o644), "nobody's"),
            (
                ["securityContext": ["runAsUser": 1000]], [:], PayloadFile(data: [116], mode: 0o600, user: 1000),
                "the pod's"
            ),
            (
                [:], ["securityContext": ["runAsUser": 7]], PayloadFile(data: [116], mode: 0o600, user: 7),
                "the containers'"
            ),
            (
                ["securityContext": ["fsGroup": 5]], [:], PayloadFile(data: [116], mode: 0o600),
                "the group's, which is given it later"
            ),
        ]
        for (specification, template, file, reason) in rows {
            let pod = TestPods.pod(specification: specification, template: template)
            let files = try VolumePayloadBuilder(
                pod: pod, facts: PodRuntimeFacts(), allocatable: .init(), object: { _, _ in nil },
                token: { _, _ in "t" }
            ).build(volume)
            XCTAssertEqual(files, ["token": file], reason)
        }
        var two = TestPods.pod(containers: ["a", "b"], specification: ["securityContext": ["runAsUser": 1]]).object
        XCTAssertEqual(SecurityTranslation.commonUser(of: try XCTUnwrap(Pod(object: two))), 1)
        two["spec"]["containers"][1]["securityContext"] = ["runAsUser": 2]
        XCTAssertNil(
            SecurityTranslation.commonUser(of: try XCTUnwrap(Pod(object: two))), "two users have none in common")
    }
}
