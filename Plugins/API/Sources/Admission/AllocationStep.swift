import Objects
import PluginKit

/// A key that a write takes or gives back with its object: an address, a port.
struct AllocationStep: Sendable {
    enum Action: Sendable {
        case take
        case release
        /// Writes a further object.
        case put(value: [UInt8], index: [UInt8])
        /// Writes what a quota counts, if it is still at that revision.
        case charge(value: [UInt8], index: [UInt8], revision: UInt64)
    }

    var action: Action
    var key: String
    /// Who holds it, for a reader of the store.
    var holder: String
    /// Whether the client asked for just this one.
    var isFixed: Bool
    /// The field that holds it, and its value, for the message when it is taken.
    var field: String
    var value: JSON
    var problem: String

    func add(to transaction: inout StoreTransaction) {
        switch action {
        case .take:
            transaction.create(key, value: (["holder": .string(holder)] as JSON).serialized())
        case .release: transaction.delete(key)
        case .put(let value, let index): transaction.put(key, value: value, index: index)
        case .charge(let value, let index, let revision):
            transaction.update(key, value: value, index: index, expected: revision)
        }
    }

    /// A service account that is written with its namespace.
    static func put(_ account: JSON) -> AllocationStep {
        let index = [".metadata.name", account.name, ".metadata.namespace", account.namespace]
        return AllocationStep(
            action: .put(
                value: account.serialized(), index: Array(index.map { $0 + "\0" }.joined().utf8)),
            key: "serviceaccounts/\(account.namespace)/\(account.name)", holder: "", isFixed: true, field: "",
            value: .null,
            problem: "")
    }

    /// A quota with what is used once the transaction is done, in place of its record.
    static func charge(_ quota: JSON, at record: StoreRecord) -> AllocationStep {
        AllocationStep(
            action: .charge(
                value: StoredObject.normalized(quota).serialized(), index: Array(record.indexBytes),
                revision: record.revision),
            key: record.key, holder: "", isFixed: false, field: "", value: .null, problem: "")
    }

    /// Whether a conflict at it only means that others used the quota meanwhile.
    var isCharge: Bool { if case .charge = action { true } else { false } }

    func taken(_ resource: Resource, _ object: JSON) -> APIStatus {
        .invalid(resource, object.name, [.invalid(field, value, problem)])
    }
}
