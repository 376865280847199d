import CRole
import PluginAPI
import PluginKit
import Synchronization

/// Provides a role of its own, @ROLE@, which role.h declares: values under names.
final class @MODULE@: Plugin {
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "Keeps values under names.", provides: [ROLE_ID])
    static let optionsSchema = """
        {"type":"object","properties":{"limit":{"type":"integer","minimum":1,"maximum":1000000,"default":1000,
        "description":"The most names that are kept."}}}
        """

    private struct Kept {
        var limit = 1000
        var values: [String: [UInt8]] = [:]
    }

    private let host: Host
    private let kept = Mutex(Kept())  // Slots are called from any thread.
    private let table = ProvidedTable()

    init(host: Host) { self.host = host }

    func configure(_ configuration: PluginConfiguration) {
        let limit = configuration.options["limit"].integerValue ?? 1000
        kept.withLock { $0 = Kept(limit: Int(limit)) }
    }

    func activate() { host.log.info("keeps up to \(kept.withLock { $0.limit }) names") }

    func deactivate() { kept.withLock { $0.values = [:] } }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == ROLE_ID ? table.once { roleTable(self) } : nil
    }

    func put(_ name: String, _ value: [UInt8]) throws {
        guard (1...256).contains(name.utf8.count) else { throw PluginError.invalid("a name is 1 to 256 bytes of text") }
        try kept.withLock { kept in
            guard kept.values.count < kept.limit || kept.values[name] != nil else {
                throw PluginError.exhausted("\(kept.limit) names are kept already")
            }
            kept.values[name] = value
        }
    }

    func get(_ name: String) throws -> [UInt8] {
        guard let value = kept.withLock({ $0.values[name] }) else {
            throw PluginError.notFound("nothing is kept under that name")
        }
        return value
    }

    var count: Int { kept.withLock { $0.values.count } }
}

/// The role's table, as C sees it. What a slot throws becomes its status and the caller's error.
private func roleTable(_ implementation: @MODULE@) -> UnsafePointer<hostd_interface> {
    RoleTable.make(role_table.self, id: ROLE_ID, slots: ROLE_SLOTS, provider: implementation) { table in
        table.pointee.put = { this, name, nameSize, value, valueSize, error in
            answering(error) {
                let value = Array(borrowedBytes(value, valueSize))  // Borrowed: what is kept is copied.
                try provider(of: this, as: @MODULE@.self).put(borrowedText(name, nameSize), value)
            }
        }
        table.pointee.get = { this, name, nameSize, value, error in
            answering(error) {
                let found = try provider(of: this, as: @MODULE@.self).get(borrowedText(name, nameSize))
                value.pointee = found.withUnsafeBytes { hostd_buffer(copying: $0) }
            }
        }
        table.pointee.count = { this, names, error in
            answering(error) { names.pointee = UInt64(provider(of: this, as: @MODULE@.self).count) }
        }
    }
}
