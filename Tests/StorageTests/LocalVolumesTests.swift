import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import Storage

final class LocalVolumesTests: XCTestCase {
    private var root = ""
    private var volumes: LocalVolumes!

    override func setUpWithError() throws {
        root = "/tmp/hostd-storage-\(makeUID())"
        try AtomicFile.makeDirectory(root)
        volumes = try LocalVolumes(root: "\(root)/volumes", node: "alpha")
    }

    override func tearDownWithError() throws { try FileTree.remove(root) }

    private func create(_ name: String, capacity: Int64 = 1 << 20, extra: JSONObject = [:]) throws -> JSON {
        var request: JSON = [
            "name": .string(name), "capacityBytes": .integer(capacity), "accessModes": ["ReadWriteOnce"],
        ]
        for (key, value) in extra { request[key] = value }
        return try volumes.createVolume(request, deadline: 0)
    }

    private func code(_ body: () throws -> Void) -> Int32? {
        do {
            try body()
            return nil
        } catch {
            return PluginError(error).code
        }
    }

    func testCreateIsIdempotentAndKeepsItsCapacity() throws {
        let first = try create("pvc-1")
        XCTAssertEqual(first["volume"]["volumeID"], "pvc-1")
        XCTAssertEqual(first["volume"]["topology"][0]["segments"]["kubernetes.io/hostname"], "alpha")
        XCTAssertEqual(try create("pvc-1"), first)
        XCTAssertEqual(code { _ = try self.create("pvc-1", capacity: 2 << 20) }, HOSTD_ERROR_ALREADY_EXISTS)
    }

    func testRefusals() {
        let rows: [(String, JSONObject, Int32)] = [
            ("../escape", [:], HOSTD_ERROR_INVALID_ARGUMENT), ("a/b", [:], HOSTD_ERROR_INVALID_ARGUMENT),
            (".hidden", [:], HOSTD_ERROR_INVALID_ARGUMENT), ("", [:], HOSTD_ERROR_INVALID_ARGUMENT),
            ("block", ["volumeMode": "Block"], HOSTD_ERROR_INVALID_ARGUMENT),
            ("mode", ["accessModes": ["Sometimes"]], HOSTD_ERROR_INVALID_ARGUMENT),
            ("negative", ["capacityBytes": -1], HOSTD_ERROR_INVALID_ARGUMENT),
            ("huge", ["capacityBytes": .integer(Int64.max)], HOSTD_ERROR_RESOURCE_EXHAUSTED),
            ("copy", ["source": ["snapshotID": "s"]], HOSTD_ERROR_NOT_SUPPORTED),
        ]
        for (name, extra, expected) in rows {
            XCTAssertEqual(code { _ = try self.create(name, extra: extra) }, expected, name)
        }
    }

    func testDeleteRemovesDataAndIsIdempotent() throws {
        _ = try create("pvc-1")
        try AtomicFile.write([1, 2, 3], to: "\(root)/volumes/pvc-1/data/file")
        XCTAssertEqual(symlink("/etc", "\(root)/volumes/pvc-1/data/link"), 0)
        _ = try volumes.deleteVolume(["volumeID": "pvc-1"], deadline: 0)
        XCTAssertNotEqual(access("\(root)/volumes/pvc-1", F_OK), 0)
        XCTAssertEqual(access("/etc/passwd", F_OK), 0)
        _ = try volumes.deleteVolume(["volumeID": "pvc-1"], deadline: 0)
    }

    func testInterruptedCreateIsRemovedAtStart() throws {
        try AtomicFile.makeDirectory("\(root)/volumes/half/data")
        try AtomicFile.makeDirectory("\(root)/volumes/.deleted-old/data")
        _ = try create("whole")
        volumes = try LocalVolumes(root: "\(root)/volumes", node: "alpha")
        XCTAssertEqual(try FileTree.names(in: "\(root)/volumes"), ["whole"])
    }

    func testExpandGrowsAndNeverShrinks() throws {
        _ = try create("pvc-1")
        XCTAssertEqual(
            try volumes.expand(["volumeID": "pvc-1", "capacityBytes": .integer(4 << 20)], deadline: 0)["capacityBytes"],
            .integer(4 << 20))
        XCTAssertEqual(
            try volumes.expand(["volumeID": "pvc-1", "capacityBytes": 1], deadline: 0)["capacityBytes"],
            .integer(4 << 20))
        XCTAssertEqual(
            code { _ = try self.volumes.expand(["volumeID": "none", "capacityBytes": 1], deadline: 0) },
            HOSTD_ERROR_NOT_FOUND)
    }

    func testStatsCountWhatIsThere() throws {
        _ = try create("pvc-1")
        try AtomicFile.write([UInt8](repeating: 7, count: 8192), to: "\(root)/volumes/pvc-1/data/file")
        let stats = try volumes.volumeStats(["volumeID": "pvc-1"], deadline: 0)
        XCTAssertGreaterThanOrEqual(stats["usedBytes"].integerValue ?? 0, 8192)
        XCTAssertEqual(stats["usedInodes"], 2)
    }

    func testGroupOwnsTheVolume() throws {
        guard getuid() == 0 else { throw XCTSkip("needs root to change groups") }
        _ = try create("pvc-1")
        let data = "\(root)/volumes/pvc-1/data"
        try AtomicFile.write([1], to: "\(data)/file")
        try VolumeOwnership.setGroup(2000, of: data)
        var status = stat()
        XCTAssertEqual(stat("\(data)/file", &status), 0)
        XCTAssertEqual(status.st_gid, 2000)
        XCTAssertEqual(status.st_mode & 0o060, 0o060)
        XCTAssertEqual(stat(data, &status), 0)
        XCTAssertEqual(status.st_mode & S_ISGID, S_ISGID)
    }

    /// A thread with a mount namespace of its own does the mounting, so that nothing is left behind.
    func testPublishShowsTheSameDataAndUnpublishTakesItAway() throws {
        guard getuid() == 0 else { throw XCTSkip("needs root to mount") }
        _ = try create("pvc-1")
        let data = "\(root)/volumes/pvc-1/data"
        let target = "\(root)/target"
        try AtomicFile.write(Array("kept".utf8), to: "\(data)/file")
        let volumes = volumes!
        let outcome = inOwnMountNamespace {
            let request: JSON = ["volumeID": "pvc-1", "targetPath": .string(target), "readOnly": true]
            _ = try volumes.publish(request, deadline: 0)
            _ = try volumes.publish(request, deadline: 0)
            guard try AtomicFile.read("\(target)/file") == Array("kept".utf8) else { return "the data is not there" }
            if open("\(target)/new", O_CREAT | O_WRONLY, 0o600) >= 0 { return "read-only was not kept" }
            if errno != EROFS { return "writing failed with errno \(errno)" }
            _ = try volumes.unpublish(["volumeID": "pvc-1", "targetPath": .string(target)], deadline: 0)
            _ = try volumes.unpublish(["volumeID": "pvc-1", "targetPath": .string(target)], deadline: 0)
            return access(target, F_OK) == 0 ? "the target is still there" : ""
        }
        XCTAssertEqual(outcome, "")
        XCTAssertEqual(try AtomicFile.read("\(data)/file"), Array("kept".utf8))
    }

    private final class Body: @unchecked Sendable {
        // SAFETY: written by the one thread that runs it, read after that thread was joined.
        let run: () throws -> String
        var outcome = ""
        init(_ run: @escaping () throws -> String) { self.run = run }
    }

    private func inOwnMountNamespace(_ run: @escaping () throws -> String) -> String {
        let body = Body(run)
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { context in
                let body = Unmanaged<Body>.fromOpaque(context!).takeUnretainedValue()
                // unshare(2), which Glibc's module does not show: CLONE_FS | CLONE_NEWNS.
                typealias Unshare = @convention(c) (Int32) -> Int32
                let unshare = unsafeBitCast(dlsym(nil, "unshare"), to: Unshare.self)
                if unshare(0x200 | 0x20000) != 0 || mount(nil, "/", nil, UInt(MS_REC | MS_PRIVATE), nil) != 0 {
                    body.outcome = "cannot make a mount namespace: errno \(errno)"
                    return nil
                }
                do { body.outcome = try body.run() } catch { body.outcome = "\(error)" }
                return nil
            }, Unmanaged.passUnretained(body).toOpaque())
        pthread_join(thread, nil)
        return body.outcome
    }
}
