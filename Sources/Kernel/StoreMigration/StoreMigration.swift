import Glibc
import Objects
import PluginAPI

/// Moves the state from one engine to another while hostd does not run.
///
/// Keys, indexes and values are the same afterwards. Into the embedded engine everything keeps its revision; into an engine
/// that counts by itself objects get new ones, and the key `beginning` tells it what to add, so that revisions only
/// ever grow: a client that resumes a watch is told to list again and never sees an old number mean something new.
/// What was written under a lease is left behind: leases end with the process that keeps them alive.
public struct StoreMigration {
    /// Says at which revision a moved store goes on: {"kind":"StoreBeginning","revision":"123"}.
    static let beginning = "store.hostd.dev//beginning"

    /// Steps and bytes of one transaction; etcd takes 128 steps and 1.5 MiB unless it is told otherwise.
    private static let stepLimit = 100
    private static let byteLimit = 1 << 20

    public struct Report: Sendable {
        public var keys = 0
        public var bytes = 0
        /// Under leases, not moved.
        public var leased = 0
        public var revision: UInt64 = 0
    }

    private let from: StoreReader

    init(from: UnsafePointer<hostd_interface>) { self.from = StoreReader(from) }

    // MARK: Into an engine behind its table

    /// - Throws: WRONG_STATE when the target has keys already, and what either engine says.
    func copy(into target: UnsafePointer<hostd_interface>) throws(StoreError) -> Report {
        let target = StoreReader(target)
        try Self.checkEmpty(target)
        var report = Report()
        var operations = OperationList()
        report.revision = try from.forEachPage { page throws(StoreError) in
            try page.forEach { record throws(StoreError) in
                let parts = StoredParts(record)
                guard Self.count(parts, in: &report) else { return }
                let size = parts.key.count + parts.index.count + parts.value.count + 64
                if operations.count == Self.stepLimit || operations.bytes.count + size > Self.byteLimit {
                    try Self.commit(&operations, to: target)
                }
                operations.add(HOSTD_STORE_PUT, key: parts.key, index: parts.index, value: parts.value)
            }
        }
        try Self.commit(&operations, to: target)
        try compare(with: target, at: report.revision, expecting: report.keys)
        try Self.writeBeginning(report.revision, to: target)
        return report
    }

    private static func checkEmpty(_ target: StoreReader) throws(StoreError) {
        var found: String?
        try target.list(revision: 0, limit: 1, after: []).forEach { record throws(StoreError) in
            found = StoredParts(record).key.text
        }
        guard let found else { return }
        throw StoreError(
            HOSTD_ERROR_WRONG_STATE,
            "the target has keys already, such as \(found): empty it, or give it another prefix or directory")
    }

    /// False for what is not moved.
    private static func count(_ parts: StoredParts, in report: inout Report) -> Bool {
        if parts.key.text == beginning { return false }
        if parts.head.lease != 0 {
            report.leased += 1
            return false
        }
        report.keys += 1
        report.bytes += parts.value.count
        return true
    }

    private static func commit(_ operations: inout OperationList, to target: StoreReader) throws(StoreError) {
        guard operations.count > 0 else { return }
        try target.commit(operations.bytes)
        operations.removeAll()
    }

    private static func writeBeginning(_ revision: UInt64, to target: StoreReader) throws(StoreError) {
        let key = Array(beginning.utf8)
        let value = Array("{\"kind\":\"StoreBeginning\",\"revision\":\"\(revision)\"}".utf8)
        var operations = OperationList()
        key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in
                operations.add(
                    HOSTD_STORE_PUT, key: key, index: UnsafeRawBufferPointer(start: nil, count: 0), value: value)
            }
        }
        try target.commit(operations.bytes)
    }

    // MARK: Into a directory of the embedded engine

    /// Writes a snapshot that the embedded engine starts from.
    /// - Throws: WRONG_STATE when the directory has a store already.
    func copy(
        intoDirectory path: String, encryption: EncryptionSettings? = nil
    ) throws(StoreError) -> Report {
        let directory = try StoreDirectory(path)
        defer { directory.unlock() }
        let present = try directory.names().filter { $0.hasPrefix("snapshot-") || $0.hasPrefix("log-") }
        guard present.isEmpty else {
            throw StoreError(
                HOSTD_ERROR_WRONG_STATE, "\(path) has a store already (\(list(present))): move it away first")
        }
        // The snapshot's name and head carry the revision, which the first page tells.
        let revision = try from.list(revision: 0, limit: 1, after: []).revision
        let draft = directory.file("migration.part")
        let file = open(draft, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw fileError("open", draft, errno) }
        defer { close(file) }
        var report = Report()
        report.revision = revision
        try write(&report, to: file, path: draft, encryption)
        try directory.rename("migration.part", to: LogFormat.snapshotName(revision))
        try directory.synchronize()
        return report
    }

    private func write(
        _ report: inout Report, to file: Int32, path: String, _ encryption: EncryptionSettings?
    ) throws(StoreError) {
        var writer = try SnapshotWriter(
            file: file, path: path, revision: report.revision, time: wallClockMilliseconds(),
            files: StateStoreOptions().files,
            sealer: try RecordSealer(encryption))
        var counted = report
        _ = try from.forEachPage(revision: report.revision) { page throws(StoreError) in
            try page.forEach { bytes throws(StoreError) in
                guard Self.count(StoredParts(bytes), in: &counted) else { return }
                let record = try Record.copy(bytes)
                defer { record.release() }
                try writer.add(record)
            }
        }
        _ = try writer.finish()
        report = counted
    }

    // MARK: Proof

    /// Reads both sides and compares them key by key.
    private func compare(
        with target: StoreReader, at revision: UInt64, expecting keys: Int
    ) throws(StoreError) {
        func digest(_ reader: StoreReader, _ revision: UInt64) throws(StoreError) -> (keys: Int, sum: UInt64) {
            var sum: UInt64 = 0xCBF2_9CE4_8422_2325
            var count = 0
            _ = try reader.forEachPage(revision: revision) { page throws(StoreError) in
                try page.forEach { record throws(StoreError) in
                    let parts = StoredParts(record)
                    var ignored = Report()
                    guard Self.count(parts, in: &ignored) else { return }
                    count += 1
                    for part in [parts.key, parts.index, parts.value] {
                        // FNV-1a, with the sizes in it so that bytes cannot move between the parts.
                        sum = (sum ^ UInt64(part.count)) &* 0x100_0000_01B3
                        for byte in part { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01B3 }
                    }
                }
            }
            return (count, sum)
        }
        let (source, copy) = (try digest(from, revision), try digest(target, 0))
        guard source == copy, copy.keys == keys else {
            throw StoreError(
                HOSTD_ERROR_DATA_LOSS,
                "the copy differs from the original (\(copy.keys) keys of \(source.keys)): somebody writes to the target"
            )
        }
    }
}
