import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// `hostd store verify`, `restore` and the readers, on real files.
final class StoreToolsTests: XCTestCase {
    private func filled(_ directory: TemporaryDirectory, writes: Int = 60) throws {
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        let value = String(repeating: "v", count: 3000)
        for number in 0..<writes { try store.put("pods/d/\(number)", value, index: ["a": "b"]) }
        _ = try store.backup(to: Glibc.open(directory.path + "/backup", O_CREAT | O_WRONLY, 0o600))
        store.close()
    }

    private func report(_ directory: TemporaryDirectory) throws -> StoreVerifier.Report {
        var verifier = try StoreVerifier(encryption: nil)
        try verifier.check(dataDirectory: directory.path)
        return verifier.report
    }

    func testASoundStoreAndBackupHaveNothingWrong() throws {
        let directory = TemporaryDirectory()
        try filled(directory)
        let store = try report(directory)
        XCTAssertEqual(store.problems.map(\.message), [])
        XCTAssertEqual(store.revision, 60)
        XCTAssertGreaterThan(store.files, 2)
        var verifier = try StoreVerifier(encryption: nil)
        verifier.check(backup: directory.path + "/backup")
        XCTAssertEqual(verifier.report.problems.map(\.message), [])
        XCTAssertEqual(verifier.report.revision, 60)
    }

    func testEveryFlippedBitIsFoundAtItsFrame() throws {
        let directory = TemporaryDirectory()
        try filled(directory)
        let backup = directory.read("backup")
        for position in stride(from: 0, to: backup.count, by: backup.count / 40) where !(32..<4096).contains(position) {
            var damaged = backup
            damaged[position] ^= 4
            directory.write("backup", damaged)
            var verifier = try StoreVerifier(encryption: nil)
            verifier.check(backup: directory.path + "/backup")
            let problem = try XCTUnwrap(verifier.report.problems.first, "byte \(position)")
            XCTAssertEqual(problem.file, directory.path + "/backup")
            XCTAssertLessThanOrEqual(problem.offset, position)
            assertFails(HOSTD_ERROR_DATA_LOSS, naming: "nothing was changed") {
                try StoreRestore.run(
                    backup: directory.path + "/backup", dataDirectory: directory.path, replaces: true, encryption: nil)
            }
        }
        let name = "store/" + LogFormat.segmentName(2)
        var log = directory.read(name)
        log[20_000] ^= 1
        directory.write(name, log)
        let found = try report(directory)
        XCTAssertEqual(found.problems.first?.file, directory.path + "/" + name)
        XCTAssertGreaterThan(found.problems.first?.offset ?? 0, 4095)
    }

    func testRestoreKeepsWhatWasThereAside() throws {
        let directory = TemporaryDirectory()
        try filled(directory)
        let backup = directory.path + "/backup"
        assertFails(HOSTD_ERROR_WRONG_STATE, naming: "--replace") {
            try StoreRestore.run(backup: backup, dataDirectory: directory.path, replaces: false, encryption: nil)
        }
        let report = try StoreRestore.run(
            backup: backup, dataDirectory: directory.path, replaces: true, encryption: nil)
        let kept = try XCTUnwrap(report.kept)
        XCTAssertTrue(kept.hasPrefix(directory.path + "/store.replaced-"))
        for place in [kept, directory.path + "/store"] {
            let store = try StateStore(directory: place, options: smallOptions())
            XCTAssertEqual(try store.names().count, 60, place)
            store.close()
        }
        let fresh = TemporaryDirectory()
        XCTAssertNil(
            try StoreRestore.run(backup: backup, dataDirectory: fresh.path, replaces: false, encryption: nil).kept)
    }

    /// The damaged store's message names the command that brings it back, and that command does.
    func testTheCommandInTheMessageIsTheOneThatHelps() throws {
        let directory = TemporaryDirectory()
        try filled(directory)
        let name = "store/" + LogFormat.segmentName(2)
        var log = directory.read(name)
        log[20_000] ^= 1
        directory.write(name, log)
        let command = "hostd store restore BACKUP --data \(directory.path) --replace"
        assertFails(HOSTD_ERROR_DATA_LOSS, naming: command) {
            try StateStore(directory: directory.path + "/store", options: smallOptions())
        }
        _ = try StoreRestore.run(
            backup: directory.path + "/backup", dataDirectory: directory.path, replaces: true, encryption: nil)
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        XCTAssertEqual(try store.names().count, 60)
        store.close()
    }

    func testATornTailIsANoteAndASecondProcessIsNamed() throws {
        let directory = TemporaryDirectory()
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        try store.put("pods/d/a", "1")
        assertFails(HOSTD_ERROR_WRONG_STATE, naming: "process \(getpid())") { try report(directory) }
        let name = "store/" + LogFormat.segmentName(1)
        let log = directory.read(name)
        store.close()
        var torn = log
        torn[5000] = 7
        directory.write(name, torn)
        let found = try report(directory)
        XCTAssertEqual(found.problems.map(\.message), [])
        XCTAssertTrue(found.notes.first?.contains("never acknowledged") ?? false, "\(found.notes)")
        XCTAssertEqual(directory.read(name), torn, "nothing is changed")
    }

    func testReadingByKeyPrefixAndRevision() throws {
        let directory = TemporaryDirectory()
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        for number in 0..<450 { try store.put("pods/d/\(number)", "{\"n\":\(number)}") }
        try store.put("nodes//alpha", "{}")
        try store.remove("pods/d/7")
        store.close()
        let access = try StoreAccess(dataDirectory: directory.path, encryption: nil)
        defer { access.close() }
        func keys(_ prefix: String, _ revision: UInt64 = 0) throws -> [String] {
            var found: [String] = []
            try access.forEach(under: prefix, revision: revision) { found.append($0["key"].stringValue ?? "") }
            return found
        }
        XCTAssertEqual(try keys("").count, 450)
        XCTAssertEqual(try keys("pods/").count, 449)
        XCTAssertEqual(try keys("pods/d/", 450).count, 450)
        XCTAssertEqual(try keys("pods/d/8"), ["pods/d/8"])
        XCTAssertEqual(try keys("pods/d/7"), [])
        XCTAssertEqual(try keys("pods/d/7", 451), ["pods/d/7"])
        XCTAssertEqual(try access.resources(), ["nodes", "pods"])
        XCTAssertEqual(try access.history(of: "pods/d/7", limit: 0)["versions"].arrayValue.count, 2)
        XCTAssertEqual(try access.revision(at: .max), 452)
    }
}
