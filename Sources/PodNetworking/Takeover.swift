import PluginKit
import Synchronization

/// The hand-over of routing from one provider to another, as the new one sees it.
///
/// From its activation on both route; when the first complete set of services has been given to it, it is in charge and
/// removes what the other one left. Deactivated before that, it removes what it made itself: the swap has failed.
package final class Takeover: Sendable {
    private struct State {
        var own: RoutingPath
        var others: [RoutingPath]
    }
    private let ledger: RoutingLedger
    private let state: Mutex<State>
    /// Whether this provider's own path is an earlier run's, which goes on in any case.
    private let continues: Bool

    /// Writes the provider's own path down.
    /// - Parameters:
    ///   - imported: what the predecessor says that it has.
    ///   - companion: a table of this provider's that has nothing to do with routing, and is not another's.
    package init(ledger: RoutingLedger, table: String, imported: [RoutingPath], companion: String? = nil) throws {
        self.ledger = ledger
        let own = RoutingPath(table: table)
        for path in imported where path.table != table && path.table != companion && !ledger.contains(table: path.table)
        {
            try ledger.record(path)
        }
        continues = ledger.contains(table: table)
        if !continues { try ledger.record(own) }
        let others = try ledger.others(than: table).filter { $0.table != companion }
        state = Mutex(State(own: own, others: others))
    }

    /// Whether somebody else's path is still there.
    package var isPending: Bool { state.withLock { !$0.others.isEmpty } }

    /// The provider's own path.
    package var own: RoutingPath { state.withLock { $0.own } }

    /// Writes down which pins belong to the own path, too; before they are made.
    package func record(pins: [String]) throws {
        try state.withLock { state in
            state.own = RoutingPath(table: state.own.table, pins: pins)
            try ledger.record(state.own)
        }
    }

    /// This provider is in charge and routes everything: removes the others' paths. What cannot be removed now is tried
    /// again at the next call.
    package func complete(log: Log) {
        state.withLock { state in
            state.others.removeAll { path in
                do {
                    try ledger.dismantle(path)
                    log.info("service routing has been taken over", ["from": .string(path.table)])
                    return true
                } catch {
                    log.error("the routing of an earlier network cannot be removed: \(error)")
                    return false
                }
            }
        }
    }

    /// The provider ends, or could not begin: removes its own path when it never got in charge.
    package func end() throws {
        try state.withLock { state in
            guard !state.others.isEmpty, !continues else { return }
            try ledger.dismantle(state.own)
        }
    }

    /// Takes the own path off the list: everything is removed.
    package func forget() throws { try ledger.forget(own) }
}
