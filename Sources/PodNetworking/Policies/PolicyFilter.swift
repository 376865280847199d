import Glibc
import PluginKit
import Synchronization

/// Enforces policies by nf_tables: a table of its own, beside the one that routes services, so that neither is written
/// anew with the other. It sees packets after the translation of their destination, and only those that pass between pods,
/// or between pods and the outside, or from pods to this machine; what this machine begins reaches its pods.
///
/// Without any rules there is no table, and no packet is looked at. The table outlives hostd, as links and routes do.
package final class PolicyFilter: Sendable {
    private let name: String
    private let socket: NetlinkSocket
    private let ledger: RoutingLedger
    private struct State {
        var rules = PolicyTable()
        var filter = FilterPolicies()
        /// Whether all rules have been given once, and nothing has gone wrong since.
        var isComplete = false
        /// Whether the kernel shows what `filter` says.
        var isWritten = false
    }
    private let state = Mutex(State())

    /// Works in the calling thread's network namespace. A table of an earlier run goes on until the first update.
    package init(table name: String, ledger: RoutingLedger) throws {
        self.name = name
        self.ledger = ledger
        socket = try NetlinkSocket(family: NetlinkFamily.NETLINK_NETFILTER)
    }

    /// What the kernel holds of this, when there is something: another provider removes it when it takes over.
    package var path: RoutingPath? { ledger.contains(table: name) ? RoutingPath(table: name) : nil }

    /// Numbers of policies and of isolated pods.
    package var counts: (policies: Int, pods: Int) {
        state.withLock { ($0.rules.policies.count, $0.rules.subjects.count) }
    }

    /// Takes an update over: in one transaction, or not at all. After a failure only a full update is taken.
    package func update(_ update: PolicyUpdate) throws {
        try state.withLock { state in
            guard update.isFull || state.isComplete else {
                throw PluginError.wrongState(
                    "the network does not know the rules of policies; give all of them, with full: true")
            }
            state.isComplete = false
            let changes = try state.rules.apply(update)
            if state.rules.isEmpty {
                try removeTable(&state)
            } else if state.isWritten {
                try edit(changes, &state)
            } else {
                try rewrite(&state)
            }
            state.isComplete = true
        }
    }

    /// Deletes the table: nothing is isolated any more.
    package func remove() throws { try state.withLock { try removeTable(&$0) } }

    private func removeTable(_ state: inout State) throws {
        state.isWritten = false
        state.filter = FilterPolicies()
        guard let path else { return }
        try FilterTables.remove(name, by: socket)
        try ledger.forget(path)
    }

    /// Changes what is there; writes everything anew when somebody else has changed it.
    private func edit(_ changes: PolicyChanges, _ state: inout State) throws {
        if changes.isEmpty { return }
        var batch = FilterBatch(table: name)
        state.isWritten = false
        state.filter.apply(changes, to: &batch)
        do {
            try socket.transact(batch.finished())
            state.isWritten = true
        } catch let error as NetlinkError where [ENOENT, EEXIST, EBUSY].contains(error.code) {
            try rewrite(&state)
        }
    }

    /// Replaces the table by one with exactly these rules, in one transaction: there is no moment without them.
    private func rewrite(_ state: inout State) throws {
        if path == nil { try ledger.record(RoutingPath(table: name)) }
        var batch = FilterBatch(table: name)
        batch.addTable()
        batch.deleteTable()
        FilterPolicies.addSkeleton(to: &batch)
        state.isWritten = false
        state.filter = FilterPolicies()
        state.filter.apply(state.rules.everything, to: &batch)
        try socket.transact(batch.finished())
        state.isWritten = true
    }
}
