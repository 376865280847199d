import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// What lies on disk when resources are encrypted, how keys change, and what is said when one is missing.
final class EncryptionTests: XCTestCase {
    private static let secret = "the-plain-text-that-nobody-may-find"
    private static let label = "label-that-nobody-may-find"

    private func line(_ name: String, _ byte: UInt8) -> String {
        "\(name) \(Base64.encode([UInt8](repeating: byte, count: 32)))\n"
    }

    private func keys(_ directory: TemporaryDirectory, _ text: String, mode: mode_t = 0o600) {
        directory.write("keys", Array(text.utf8))
        chmod(directory.path + "/keys", mode)
    }

    private func open(
        _ directory: TemporaryDirectory, encrypting: [String]? = ["secrets"],
        _ change: (inout StateStoreOptions) -> Void = { _ in }
    ) throws -> StateStore {
        var options = smallOptions()
        options.encryption = encrypting.map {
            EncryptionSettings(resources: Set($0), keyFile: directory.path + "/keys")
        }
        change(&options)
        return try StateStore(directory: directory.path + "/store", options: options)
    }

    private func finds(_ text: String, in directory: TemporaryDirectory) -> [String] {
        directory.names("").isEmpty ? [] : files(directory.path).filter { contains($0, text) }
    }

    private func files(_ path: String) -> [String] {
        (FileOperations.system.names(path) ?? []).flatMap { name -> [String] in
            FileOperations.system.names("\(path)/\(name)") == nil ? ["\(path)/\(name)"] : files("\(path)/\(name)")
        }
    }

    private func bytes(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        XCTAssertEqual(fread(&bytes, 1, bytes.count, file), bytes.count)
        return bytes
    }

    private func contains(_ path: String, _ text: String) -> Bool {
        let wanted = Array(text.utf8)
        return bytes(path).withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return false }
            var offset = 0
            while offset + wanted.count <= bytes.count,
                let found = memchr(base + offset, Int32(wanted[0]), bytes.count - offset - wanted.count + 1)
            {
                if memcmp(found, wanted, wanted.count) == 0 { return true }
                offset = UnsafeRawPointer(found) - base + 1
            }
            return false
        }
    }

    func testNothingPlainReachesLogSnapshotOrBackup() throws {
        let directory = TemporaryDirectory()
        keys(directory, line("k1", 1))
        var store = try open(directory) { options in
            options.historyCount = 10
            options.snapshotThreshold = 64 << 10
        }
        for number in 0..<300 {
            try store.put(
                "secrets/d/\(number % 20)", "\(Self.secret) \(number) " + String(repeating: "x", count: 900),
                index: ["app": Self.label])
        }
        try store.put("pods/d/plain", "a pod may be read")
        let backup = directory.path + "/backup"
        _ = try store.backup(to: Glibc.open(backup, O_CREAT | O_WRONLY, 0o600))
        XCTAssertEqual(try store.names(selector: "app=\(Self.label)").count, 20, "in memory all is plain")
        XCTAssertTrue(store.status().contains("\"encryptingKey\":\"k1\",\"neededKeys\":[\"k1\"]"), store.status())
        store.close()
        XCTAssertFalse(finds("a pod may be read", in: directory).isEmpty, "the search finds what is plain")
        XCTAssertEqual(finds(Self.secret, in: directory), [])
        XCTAssertEqual(finds(Self.label, in: directory), [])
        for _ in 0..<2 {
            store = try open(directory)
            XCTAssertTrue(try store.value("secrets/d/7").value.hasPrefix(Self.secret))
            XCTAssertEqual(try store.names(selector: "app=\(Self.label)").count, 20)
            store.close()
        }
        mkdir(directory.path + "/restored", 0o700)
        let report = try StoreRestore.run(
            backup: backup, dataDirectory: directory.path + "/restored", replaces: false,
            encryption: EncryptionSettings(resources: ["secrets"], keyFile: directory.path + "/keys"))
        XCTAssertEqual(report.revision, 301)
        XCTAssertEqual(finds(Self.secret, in: directory), [])
    }

    func testAMissingOrWrongKeyIsNamedWithItsRemedy() throws {
        let directory = TemporaryDirectory()
        keys(directory, line("k1", 1))
        let store = try open(directory)
        try store.put("secrets/d/a", Self.secret)
        store.close()
        let cases: [(text: String, mode: mode_t, code: Int32, part: String, reason: String)] = [
            (line("k2", 2), 0o600, HOSTD_ERROR_FORBIDDEN, "the key k1, which", "another key only"),
            (line("k1", 9), 0o600, HOSTD_ERROR_FORBIDDEN, "is not the one", "other bytes under the name"),
            (line("k1", 1), 0o640, HOSTD_ERROR_FORBIDDEN, "chmod 600", "others may read it"),
            ("", 0o600, HOSTD_ERROR_INVALID_ARGUMENT, "has no key", "empty"),
            ("k1\n", 0o600, HOSTD_ERROR_INVALID_ARGUMENT, "line 1", "no key on the line"),
            ("k1 AAAA\n", 0o600, HOSTD_ERROR_INVALID_ARGUMENT, "not 32 bytes", "too short"),
            (
                "k/1 \(Base64.encode([UInt8](repeating: 1, count: 32)))", 0o600, HOSTD_ERROR_INVALID_ARGUMENT, "name",
                "name"
            ),
            (line("k1", 1) + line("k1", 2), 0o600, HOSTD_ERROR_INVALID_ARGUMENT, "line 2: k1 is there twice", "twice"),
        ]
        for (text, mode, code, part, reason) in cases {
            keys(directory, text, mode: mode)
            let error = assertFails(code, naming: part) { try open(directory) }
            XCTAssertNotNil(error, reason)
        }
        assertFails(HOSTD_ERROR_FORBIDDEN, naming: "store.encryption.keyFile") { try open(directory, encrypting: nil) }
        unlink(directory.path + "/keys")
        assertFails(HOSTD_ERROR_FORBIDDEN, naming: "cannot be opened") { try open(directory) }
        keys(directory, "# first the new one\n" + line("k2", 2) + "\n" + line("k1", 1))
        let again = try open(directory)
        XCTAssertEqual(try again.value("secrets/d/a").value, Self.secret)
        again.close()
    }

    func testKeysRotateWhileWritersAndHistoryGoOn() throws {
        let directory = TemporaryDirectory()
        keys(directory, line("k1", 1))
        var store = try open(directory)
        let long = Self.secret + String(repeating: "y", count: 3000)
        for number in 0..<60 { try store.put("secrets/d/\(number)", "\(number) \(long)") }
        try store.update("secrets/d/0", "new")
        let collector = Collector()
        let watch = try store.watch("secrets/", from: 3, collector.sink)
        keys(directory, line("k2", 2))
        assertFails(HOSTD_ERROR_WRONG_STATE, naming: "k1") { try store.rotateKeys() }
        keys(directory, line("k2", 2) + line("k1", 1))
        try store.rotateKeys()
        XCTAssertTrue(store.status().contains("\"encryptingKey\":\"k2\",\"neededKeys\":[\"k2\"]"), store.status())
        XCTAssertEqual(try store.value("secrets/d/0", at: 5).value, "0 \(long)", "the past can still be read")
        try store.put("secrets/d/after", Self.secret)
        XCTAssertEqual(collector.wait(count: 59).first?.revision, 4)
        store.parts.hub.cancel(watch)
        keys(directory, line("k2", 2))
        try store.rotateKeys()
        store.close()
        store = try open(directory)
        XCTAssertEqual(try store.value("secrets/d/0", at: 5).value, "0 \(long)")
        XCTAssertEqual(try store.value("secrets/d/59").value, "59 \(long)")
        XCTAssertEqual(try store.value("secrets/d/after").value, Self.secret)
        XCTAssertEqual(finds(Self.secret, in: directory), [])
        store.close()
    }

    func testWhatWasPlainIsEncryptedOnceThatIsAskedFor() throws {
        let directory = TemporaryDirectory()
        keys(directory, line("k1", 1))
        var store = try open(directory, encrypting: nil)
        for number in 0..<40 { try store.put("secrets/d/\(number)", Self.secret + String(repeating: "z", count: 3000)) }
        store.close()
        XCTAssertFalse(finds(Self.secret, in: directory).isEmpty)
        store = try open(directory)
        try store.rotateKeys()
        // Once more, with nothing written in between: an empty segment must not be left among others.
        for _ in 0..<3 { store.committer.requestRewrite { _ in } }
        try store.put("secrets/d/last", Self.secret)
        try store.rotateKeys()
        XCTAssertTrue(store.status().contains("\"filesWithPlainValues\":[]"), store.status())
        XCTAssertEqual(finds(Self.secret, in: directory), [])
        store.close()
        store = try open(directory)
        XCTAssertTrue(try store.value("secrets/d/39").value.hasPrefix(Self.secret))
        store.close()
    }

    /// A change behind the checksum's back: somebody who can write the file, and knows CRC-32C.
    func testTamperingIsFoundWithFileAndOffset() throws {
        let ring = try {
            let directory = TemporaryDirectory()
            keys(directory, line("k1", 1))
            return try RecordSealer(EncryptionSettings(resources: ["*"], keyFile: directory.path + "/keys"))
        }()
        let record = try Array("secrets/d/a".utf8).withUnsafeBytes { key in
            try Array("value".utf8).withUnsafeBytes { value in
                try Record.make(kind: Record.Kind.put, key: key, value: value)
            }
        }
        record.head.pointee.revision = 7
        defer { record.release() }
        let sealed = try ring.seal(record, for: .elsewhere)
        defer { sealed.release() }
        let good = try ring.open(sealed.raw, path: "/d/store/log-1", offset: 4096)
        XCTAssertEqual(good.value.text, "value")
        good.release()
        let used = Record.headSize + sealed.key.count + sealed.value.count
        let sizes = [0..<8, 40..<60]  // Sizes and kind say how to read it at all.
        var tried = 0
        for position in 0..<used where !sizes.contains(where: { $0.contains(position) }) {
            var changed = Array(sealed.raw)
            changed[position] ^= 1
            changed.withUnsafeBytes { changed in
                do {
                    _ = try ring.open(changed, path: "/d/store/log-1", offset: 4096)
                    XCTFail("byte \(position) was changed unseen")
                } catch let error as StoreError {
                    XCTAssertTrue(error.message.contains("/d/store/log-1"), error.message)
                    if error.code == HOSTD_ERROR_DATA_LOSS {
                        XCTAssertTrue(error.message.contains("offset 4096"), error.message)
                    } else {
                        XCTAssertEqual(error.code, HOSTD_ERROR_FORBIDDEN, error.message)
                    }
                } catch { XCTFail("\(error)") }
            }
            tried += 1
        }
        XCTAssertGreaterThan(tried, 80)
    }

    func testNoNonceComesTwice() throws {
        let directory = TemporaryDirectory()
        keys(directory, line("k1", 1))
        let settings = EncryptionSettings(resources: ["*"], keyFile: directory.path + "/keys")
        let record = try Array("a/b/c".utf8).withUnsafeBytes { try Record.make(kind: Record.Kind.put, key: $0) }
        defer { record.release() }
        var seen: Set<[UInt8]> = []
        for _ in 0..<4 {
            let sealer = try RecordSealer(settings)
            for _ in 0..<500 {
                let sealed = try sealer.seal(record, for: .elsewhere)
                let parts = try XCTUnwrap(SealedValue(sealed.value))
                let nonce = parts.salt + withUnsafeBytes(of: parts.number) { Array($0) }
                XCTAssertTrue(seen.insert(nonce).inserted, "the same key and nonce twice")
                sealed.release()
            }
        }
        XCTAssertEqual(seen.count, 2000)
    }
}
