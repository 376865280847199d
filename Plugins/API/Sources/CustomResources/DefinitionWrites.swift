import PluginKit
import Synchronization

/// The writes of a definition's objects that are under way, by the state of the definition that they began under. What one that
/// began under an older state writes is not what the present schema makes of it, although it is written after the schema.
final class DefinitionWrites: Sendable {
    private struct State {
        /// Of the state that is in force.
        var turn: UInt64 = 0
        /// How many are under way of each turn.
        var pending: [UInt64: Int] = [:]
    }
    private let state = Mutex(State())
    private let settled = Atomic<UInt64>(0)

    /// Records of a later revision were all written under the state that is in force.
    var settledRevision: UInt64 { settled.load(ordering: .acquiring) }

    /// The number that the next state has once it is in force.
    var next: UInt64 { state.withLock { $0.turn + 1 } }

    /// The next state is in force.
    func advance() {
        state.withLock { state in
            state.turn += 1
            if !state.pending.isEmpty { settled.store(.max, ordering: .releasing) }
        }
    }

    func begin(_ turn: UInt64) {
        state.withLock { state in
            state.pending[turn, default: 0] += 1
            if turn < state.turn { settled.store(.max, ordering: .releasing) }
        }
    }

    /// - Returns: whether the last write of an older state has ended: then `settle` is to be told how far the store is.
    func end(_ turn: UInt64) -> Bool {
        state.withLock { state in
            let left = (state.pending[turn] ?? 1) - 1
            state.pending[turn] = left > 0 ? left : nil
            return turn < state.turn && Self.isQuiet(state)
        }
    }

    /// - Parameter revision: The store's, read after `end` said so. No record is trusted before.
    func settle(at revision: UInt64) {
        state.withLock { state in
            if Self.isQuiet(state) { settled.store(revision, ordering: .releasing) }
        }
    }

    private static func isQuiet(_ state: State) -> Bool { !state.pending.keys.contains { $0 < state.turn } }

    /// One write, which is under way as long as this is kept.
    final class Entry: Sendable {
        private let writes: DefinitionWrites
        private let turn: UInt64
        private let store: StoreClient
        private let workers: WorkerPool

        /// - Parameter workers: Ask the store how far it is, which whoever ends a write may not wait for.
        init(_ custom: CustomVersion, _ store: StoreClient, _ workers: WorkerPool) {
            writes = custom.writes
            turn = custom.turn
            self.store = store
            self.workers = workers
            writes.begin(turn)
        }

        deinit {
            guard writes.end(turn) else { return }
            // Where the store does not answer, or the server stops, no record is trusted, which costs time and is right.
            _ = workers.run { [writes, store] in
                if let revision = try? store.list(prefix: "nothing.hostd.dev/").revision { writes.settle(at: revision) }
            }
        }
    }
}
