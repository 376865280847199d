import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The state of hostd in memory, with a log file that each write reaches before it is acknowledged. What the slots promise is
/// in hostd/roles/store.h. StoreState.swift has the data, Watches.swift the thread, LogFile.swift the file.
final class @MODULE@: Plugin {
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "State in memory, with a log file.", provides: [HOSTD_STORE_1])
    static let optionsSchema = ""

    private let host: Host
    private let path = Mutex("")
    let store = Store()
    private let table = ProvidedTable()

    init(host: Host) { self.host = host }

    func configure(_ configuration: PluginConfiguration) {
        path.withLock { $0 = "\(configuration.pluginDirectory)/store.log" }
    }

    func activate() throws {
        try store.open(path: path.withLock { $0 })
        let (keys, revision) = try store.with { ($0.size.keys, $0.revision) }
        host.log.info("\(keys) keys at revision \(revision)")
    }

    func deactivate() { store.close() }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_STORE_1 ? table.once { storeTable(self) } : nil
    }

    func write(_ step: Operation) throws -> UInt64 {
        try store.with { try $0.commit(one: step) }
    }

    func status() throws -> JSON {
        try store.with { state in
            let size = state.size
            return [
                "revision": .integer(Int64(state.revision)), "compactedRevision": .integer(Int64(state.compacted)),
                "keys": .integer(Int64(size.keys)), "bytes": .integer(Int64(size.bytes)), "engine": "@NAME@",
                "healthy": true, "reason": "",
            ]
        }
    }

    /// Takes over the file.
    func backup(_ file: Int32) throws -> JSON {
        guard file >= 0 else { throw PluginError.invalid("a backup needs a file") }
        defer { close(file) }
        let (snapshot, revision) = try store.with { ($0.snapshot(), $0.revision) }
        try LogFile.write(snapshot, to: file)
        return ["revision": .integer(Int64(revision)), "bytes": .integer(Int64(snapshot.count))]
    }
}
