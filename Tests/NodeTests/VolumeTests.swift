import Glibc
import Objects
import PluginKit
import XCTest

@testable import Node

final class VolumeTests: XCTestCase {
    private let objects: [String: JSON] = [
        "configmaps/c": ["data": ["a": "1", "b": "2"], "binaryData": ["raw": "AP8="]],
        "secrets/s": ["data": ["token": "c2VzYW1l"]],
    ]

    private func payload(_ volume: JSON) throws -> [String: PayloadFile] {
        let pod = TestPods.pod(metadata: ["labels": ["app": "web"], "annotations": ["x": "y"]])
        return try VolumePayloadBuilder(
            pod: pod, facts: PodRuntimeFacts(), allocatable: .init(), object: { self.objects["\($0)/\($1)"] },
            token: { "token for \($0) \($1)" }
        ).build(volume)
    }

    private func file(_ text: String, _ mode: UInt32 = 0o644) -> PayloadFile {
        PayloadFile(data: Array(text.utf8), mode: mode)
    }

    func testPayloads() throws {
        XCTAssertEqual(
            try payload(["configMap": ["name": "c", "defaultMode": 0o400]]),
            ["a": file("1", 0o400), "b": file("2", 0o400), "raw": PayloadFile(data: [0, 255], mode: 0o400)])
        XCTAssertEqual(
            try payload(["configMap": ["name": "c", "items": [["key": "a", "path": "x/y", "mode": 0o600]]]]),
            ["x/y": file("1", 0o600)])
        XCTAssertEqual(try payload(["secret": ["secretName": "s"]]), ["token": file("sesame")])
        XCTAssertEqual(try payload(["secret": ["secretName": "none", "optional": true]]), [:])
        XCTAssertEqual(
            try payload(["downwardAPI": ["items": [["path": "labels", "fieldRef": ["fieldPath": "metadata.labels"]]]]]),
            ["labels": file("app=\"web\"")])
        XCTAssertEqual(
            try payload([
                "projected": [
                    "defaultMode": 0o440,
                    "sources": [
                        ["serviceAccountToken": ["path": "token", "expirationSeconds": 3607]],
                        ["configMap": ["name": "c", "items": [["key": "a", "path": "ca.crt"]]]],
                        [
                            "downwardAPI": [
                                "items": [["path": "namespace", "fieldRef": ["fieldPath": "metadata.namespace"]]]
                            ]
                        ],
                    ],
                ]
            ]),
            ["token": file("token for  3607", 0o440), "ca.crt": file("1", 0o440), "namespace": file("default", 0o440)])
    }

    func testPayloadsThatCannotBe() {
        let rows: [(volume: JSON, message: String)] = [
            (["configMap": ["name": "none"]], "configmap \"none\" not found"),
            (["secret": ["secretName": "none"]], "secret \"none\" not found"),
            (
                ["configMap": ["name": "c", "items": [["key": "z", "path": "z"]]]],
                "references non-existent config key: z"
            ),
            (
                ["configMap": ["name": "c", "items": [["key": "a", "path": "../etc/passwd"]]]],
                "path \"../etc/passwd\" must be relative and may not contain \"..\""
            ),
            (
                ["configMap": ["name": "c", "items": [["key": "a", "path": "x/../../y"]]]],
                "path \"x/../../y\" must be relative and may not contain \"..\""
            ),
            (
                ["configMap": ["name": "c", "items": [["key": "a", "path": "/abs"]]]],
                "path \"/abs\" must be relative and may not contain \"..\""
            ),
        ]
        for row in rows {
            XCTAssertThrowsError(try payload(row.volume)) { XCTAssertEqual("\($0)", row.message) }
        }
    }

    func testAtomicDirectoryReplacesItsContentInOneStep() throws {
        let directory = try TemporaryDirectory()
        let volume = AtomicDirectory(path: directory.path)
        XCTAssertTrue(try volume.write(["a": file("1"), "d/e": file("2", 0o600)]))
        XCTAssertEqual(try Files.text("\(directory.path)/a"), "1")
        XCTAssertEqual(try Files.text("\(directory.path)/d/e"), "2")
        XCTAssertEqual(try Files.status("\(directory.path)/d/e")?.st_mode ?? 0 & 0o777, S_IFREG | 0o600)
        XCTAssertFalse(try volume.write(["a": file("1"), "d/e": file("2", 0o600)]), "nothing changed")

        let old = open("\(directory.path)/a", O_RDONLY)
        defer { close(old) }
        XCTAssertTrue(try volume.write(["a": file("3"), "b": file("4")]))
        XCTAssertEqual(try Files.text("\(directory.path)/a"), "3")
        XCTAssertEqual(try Files.text("\(directory.path)/b"), "4")
        XCTAssertNil(try Files.status("\(directory.path)/d", follow: false), "what is gone is gone")
        XCTAssertEqual(try Files.list(directory.path).filter { $0.hasPrefix("..2") }.count, 1, "old versions go")
        var buffer = [UInt8](repeating: 0, count: 8)
        XCTAssertEqual(read(old, &buffer, 8), 1, "an open file stays readable")
        XCTAssertTrue(try volume.write(["a": file("3", 0o400), "b": file("4")]), "a mode is a change")
    }

    func testSubPathStaysInsideItsVolume() throws {
        let directory = try TemporaryDirectory()
        let root = "\(directory.path)/volume"
        try Files.makeDirectories("\(root)/in/side")
        try Files.makeDirectories("\(directory.path)/outside")
        try Files.write(Array("x".utf8), to: "\(root)/in/file", mode: 0o644)
        for (name, target) in [
            ("good", "in/side"), ("up", "in/../in"), ("escape", "../outside"),
            ("absolute", "\(directory.path)/outside"),
            ("loop", "loop"),
        ] { XCTAssertEqual(symlink(target, "\(root)/\(name)"), 0) }
        let rows: [(path: String, opens: Bool)] = [
            ("in", true), ("in/file", true), ("good", true), ("up/file", true), ("new/er", true), ("", true),
            ("escape", false), ("absolute", false), ("loop", false), ("../outside", false), ("/in", false),
            ("in/file/deeper", false),
        ]
        for row in rows {
            do {
                let descriptor = try SubPath.open(row.path, below: root)
                close(descriptor)
                XCTAssertTrue(row.opens, row.path)
            } catch {
                XCTAssertFalse(row.opens, "\(row.path): \(error)")
            }
        }
        XCTAssertNotNil(try Files.status("\(root)/new/er"), "missing directories are made")
        XCTAssertEqual(try Files.list("\(directory.path)/outside"), [])
    }

    func testMountTable() {
        let table = """
            1 0 0:1 / / rw - ext4 /dev/vda rw
            2 1 0:2 / /data/pods/u1/volumes/a rw - tmpfs tmpfs rw
            3 2 0:3 / /data/pods/u1/volumes/a/b\\040c rw - tmpfs tmpfs rw
            4 1 0:4 / /data/pods/u10/x rw - tmpfs tmpfs rw
            """
        XCTAssertEqual(
            MountTable.mounts(below: "/data/pods/u1", table: table),
            ["/data/pods/u1/volumes/a/b c", "/data/pods/u1/volumes/a"])
    }

    func testReferences() {
        let pod = TestPods.pod(
            specification: [
                "volumes": [
                    ["name": "a", "configMap": ["name": "c1"]], ["name": "b", "secret": ["secretName": "s1"]],
                    [
                        "name": "p",
                        "projected": ["sources": [["configMap": ["name": "c2"]], ["secret": ["name": "s2"]]]],
                    ],
                ]
            ],
            template: [
                "envFrom": [["configMapRef": ["name": "c3"]]],
                "env": [["name": "x", "valueFrom": ["secretKeyRef": ["name": "s3", "key": "k"]]]],
            ])
        XCTAssertEqual(
            VolumeReferences.keys(of: pod).sorted(),
            [
                "configmaps/default/c1", "configmaps/default/c2", "configmaps/default/c3", "secrets/default/s1",
                "secrets/default/s2", "secrets/default/s3",
            ])
        let references = VolumeReferences()
        let changes = Changes()
        references.onChange { changes.record($0, $1) }
        references.set(pod)
        references.set(pod)
        XCTAssertEqual(changes.added.count, 6)
        XCTAssertEqual(references.pods("secrets/default/s1"), ["u1"])
        references.forget("u1")
        XCTAssertEqual(changes.removed.count, 6)
        XCTAssertEqual(references.pods("secrets/default/s1"), [])
    }

    private final class Changes: @unchecked Sendable {
        // SAFETY: used by one thread only.
        var added: Set<String> = []
        var removed: Set<String> = []
        func record(_ added: Set<String>, _ removed: Set<String>) {
            self.added.formUnion(added)
            self.removed.formUnion(removed)
        }
    }

    func testHostPathTypes() throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/file"
        try Files.write([], to: file, mode: 0o644)
        let rows: [(path: String, type: String, works: Bool)] = [
            (file, "File", true), (file, "Directory", false), (file, "", true), (directory.path, "Directory", true),
            (directory.path, "File", false), ("\(directory.path)/none", "Directory", false),
            ("\(directory.path)/new", "DirectoryOrCreate", true), ("\(directory.path)/newfile", "FileOrCreate", true),
            ("/dev/null", "CharDevice", true), ("/dev/null", "BlockDevice", false), ("relative", "", false),
            ("\(directory.path)/../x", "", false), (directory.path, "Nonsense", false),
        ]
        for row in rows {
            do {
                _ = try HostPathVolume.setUp(["path": .string(row.path), "type": .string(row.type)])
                XCTAssertTrue(row.works, "\(row.path) \(row.type)")
            } catch {
                XCTAssertFalse(row.works, "\(row.path) \(row.type): \(error)")
            }
        }
    }

    func testSafeNames() {
        XCTAssertEqual(NodePaths.safe("local.hostd.dev"), "local.hostd.dev")
        XCTAssertEqual(NodePaths.safe("../../x"), "%2E.%2F..%2Fx")
    }
}
