import PluginAPI
import PluginKit

/// What the steps of a write mean as a transaction of etcd, and what its refusal means for the steps. Pure.
enum TransactionPlan {
    static func check(_ steps: [StoreStep]) throws(PluginError) {
        var written: Set<[UInt8]> = []
        for step in steps {
            try KeySpace.check(step)
            guard step.kind == .check || written.insert(step.key).inserted else {
                throw .invalid("the transaction writes \(String(decoding: step.key, as: UTF8.self)) twice")
            }
        }
    }

    static func request(
        _ steps: [StoreStep], _ keys: KeySpace, provenance: Provenance? = nil
    ) throws(PluginError) -> TransactionRequest {
        var request = TransactionRequest()
        for step in steps {
            let key = keys.key(step.key)
            if let compare = try compare(step, keys) { request.conditions.append((key, compare)) }
            request.otherwise.append(.read(RangeRequest(key: key)))
            switch step.kind {
            case .create, .update, .put:
                request.effects.append(
                    .put(
                        key: key, value: KeySpace.pack(index: step.index, value: step.value, provenance: provenance),
                        lease: Int64(bitPattern: step.lease)))
            case .delete: request.effects.append(.delete(key: key))
            case .check: break
            }
        }
        return request
    }

    private static func compare(_ step: StoreStep, _ keys: KeySpace) throws(PluginError) -> Compare? {
        switch step.kind {
        case .create: return .isAbsent
        case .put: return nil
        case .check where step.expected == 0: return .isAbsent
        case .update where step.expected == 0, .delete where step.expected == 0: return .exists
        case .update, .delete, .check:
            // A revision that etcd cannot have is one that the key is not at.
            guard step.expected > keys.offset, let revision = Int64(exactly: step.expected - keys.offset) else {
                return .isAt(-1)
            }
            return .isAt(revision)
        }
    }

    /// The first step whose precondition does not hold.
    /// - Parameter present: what etcd has at each step's key.
    static func refusal(_ steps: [StoreStep], _ present: [KeyValue?], _ keys: KeySpace) -> StoreCommit {
        for (position, step) in steps.enumerated() {
            let found = position < present.count ? present[position] : nil
            let revision = found.map { keys.revision($0.modRevision) } ?? 0
            guard let error = failure(step, revision) else { continue }
            return StoreCommit(revision: revision, failedOperation: position, error: error)
        }
        return StoreCommit(
            revision: 0, failedOperation: nil,
            error: .unavailable("etcd refused a transaction whose preconditions all hold: try again"))
    }

    private static func failure(_ step: StoreStep, _ revision: UInt64) -> PluginError? {
        let name = String(decoding: step.key, as: UTF8.self)
        switch step.kind {
        case .create: return revision == 0 ? nil : .alreadyExists("\(name) exists, at revision \(revision)")
        case .put: return nil
        case .check where step.expected == 0:
            return revision == 0 ? nil : .conflict("\(name) exists, at revision \(revision)")
        case .update, .delete:
            if revision == 0 { return .notFound("\(name) does not exist") }
            fallthrough
        case .check:
            guard step.expected != 0, step.expected != revision else { return nil }
            return .conflict("\(name) is at revision \(revision), not at \(step.expected)")
        }
    }
}
