import Glibc
import Objects
import PluginAPI

/// Puts a copy of the store in the place of what a data directory has, while hostd does not run.
public enum StoreRestore {
    public struct Report: Sendable {
        public var revision: UInt64
        public var records: Int
        /// Where the store went that was there before; nil when there was none.
        public var kept: String?
    }

    /// - Parameters:
    ///   - dataDirectory: locked by the caller.
    ///   - replaces: whether a store that is there may be moved aside; without, it is refused.
    /// - Throws: DATA_LOSS when the copy is damaged, before anything is changed; WRONG_STATE for a store that is there.
    public static func run(
        backup: String, dataDirectory: String, replaces: Bool, encryption: EncryptionSettings?
    ) throws(StoreError) -> Report {
        var verifier = try StoreVerifier(encryption: encryption)
        verifier.check(backup: backup)
        if let problem = verifier.report.problems.first {
            throw StoreError(
                HOSTD_ERROR_DATA_LOSS,
                "\(backup) is damaged at offset \(problem.offset): \(problem.message); nothing was changed")
        }
        let files = FileOperations.system
        let place = "\(dataDirectory)/store"
        let present = (files.names(place) ?? []).filter { $0.hasPrefix("log-") || $0.hasPrefix("snapshot-") }
        guard present.isEmpty || replaces else {
            throw StoreError(
                HOSTD_ERROR_WRONG_STATE,
                "\(place) has a store already; with --replace it is kept aside and the copy takes its place")
        }
        let draft = "\(dataDirectory)/store.restoring"
        try copy(backup, to: draft, revision: verifier.report.revision, files)
        var kept: String?
        if access(place, F_OK) == 0 {
            let aside = "\(place).replaced-\(Timestamp.now().formatted().filter { $0 != ":" && $0 != "-" })"
            guard files.rename(place, aside) == 0 else { throw fileError("rename", place, errno) }
            if !present.isEmpty { kept = aside }
        }
        guard files.rename(draft, place) == 0 else { throw fileError("rename", draft, errno) }
        guard files.synchronizeDirectory(dataDirectory) == 0 else { throw fileError("fsync", dataDirectory, errno) }
        return Report(revision: verifier.report.revision, records: verifier.report.records, kept: kept)
    }

    /// A directory of its own with the copy as its snapshot, durable.
    private static func copy(
        _ backup: String, to draft: String, revision: UInt64, _ files: FileOperations
    ) throws(StoreError) {
        for name in files.names(draft) ?? [] { _ = files.remove("\(draft)/\(name)") }
        let directory = try StoreDirectory(draft)
        let source = try MappedFile(backup, files: files)
        let target = try directory.open("copy.tmp", flags: O_WRONLY | O_CREAT | O_TRUNC)
        try target.write(source.bytes, at: 0)
        try target.synchronize()
        try directory.rename("copy.tmp", to: LogFormat.snapshotName(revision))
        directory.unlock()
    }
}
