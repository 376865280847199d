import PluginAPI

/// Elections over hostd.store/1: `hostd.election/1`.
public final class LeaderElection: @unchecked Sendable {  // All state is behind `lock`; candidacies have their own.
    private let workers: WorkerPool
    private let timers: Timers
    private let lock = Monitor()
    private var store: StoreCaller?
    private var candidacies: [UInt64: Candidacy] = [:]
    private var nextHandle: UInt64 = 1
    private var isClosed = false
    private var table: InterfaceTable<hostd_election_1>?

    public init(workers: WorkerPool, timers: Timers) {
        self.workers = workers
        self.timers = timers
    }

    /// Sets the store that elections are held in, before the first one: a table that stays where it is.
    public func use(store interface: UnsafePointer<hostd_interface>) {
        lock.locked { store = StoreCaller(interface) }
    }

    /// Begins to stand for election; see the header.
    func campaign(
        _ stand: Candidacy.Stand, sink: @escaping @Sendable (Int32, UnsafeBufferPointer<UInt8>) -> Void
    ) throws(StoreError) -> UInt64 {
        try stand.key.withUnsafeBufferPointer { key throws(StoreError) in
            try StoreKey.check(UnsafeRawBufferPointer(key))
        }
        try stand.index.withUnsafeBufferPointer { index throws(StoreError) in
            try StoreKey.checkIndex(UnsafeRawBufferPointer(index))
        }
        guard (100...3_600_000).contains(stand.milliseconds) else {
            throw .invalid("a term of \(stand.milliseconds) ms is not possible; allowed are 100 to 3,600,000")
        }
        let (handle, candidacy) = try lock.locked { () throws(StoreError) in
            guard !isClosed else {
                throw StoreError(HOSTD_ERROR_WRONG_STATE, "the host is stopping: no election can be held")
            }
            guard let store else {
                throw StoreError(HOSTD_ERROR_UNAVAILABLE, "no store is there yet to hold elections in", retryable: true)
            }
            let handle = nextHandle
            nextHandle += 1
            let candidacy = Candidacy(stand, store: store, workers: workers, timers: timers, sink: sink)
            candidacies[handle] = candidacy
            return (handle, candidacy)
        }
        candidacy.wake()
        return handle
    }

    func token(_ handle: UInt64) throws(StoreError) -> UInt64 {
        guard let candidacy = lock.locked({ candidacies[handle] }) else {
            throw StoreError(HOSTD_ERROR_NOT_FOUND, "candidacy \(handle) does not exist or was given up")
        }
        guard let token = candidacy.token else {
            throw StoreError(HOSTD_ERROR_WRONG_STATE, "candidacy \(handle) does not lead", retryable: true)
        }
        return token
    }

    /// Idempotent. [blocking]
    func resign(_ handle: UInt64) {
        guard let candidacy = lock.locked({ candidacies[handle] }) else { return }
        candidacy.resign()
        _ = lock.locked { candidacies.removeValue(forKey: handle) }
    }

    /// Gives up all candidacies. Before the store goes. Idempotent.
    public func close() {
        let all = lock.locked {
            isClosed = true
            return Array(candidacies.keys)
        }
        for handle in all { resign(handle) }
    }

    /// The table `hostd.election/1`: same address at each call, valid as long as this object.
    public func makeInterface() -> UnsafePointer<hostd_interface> {
        lock.locked {
            if let table { return table.interface }
            let new = InterfaceTable(id: HOSTD_ELECTION_1, slots: HOSTD_ELECTION_1_SLOTS, owner: self) {
                Self.makeTable($0)
            }
            table = new
            return new.interface
        }
    }

    private static func makeTable(_ head: hostd_interface) -> hostd_election_1 {
        hostd_election_1(
            interface: head,
            campaign: {
                this, key, keySize, value, valueSize, index, indexSize, milliseconds, sink, context, candidacy, error in
                answering(error) { () throws(StoreError) in
                    let stand = Candidacy.Stand(
                        key: Array(borrowed(key, keySize)), value: Array(borrowed(value, valueSize)),
                        index: Array(borrowed(index, indexSize)), milliseconds: milliseconds)
                    let sink = try present(sink)
                    let context = CallbackContext(pointer: context)
                    candidacy.pointee = try owner(this, as: LeaderElection.self).campaign(stand) { kind, data in
                        sink(context.pointer, UInt32(kind), data.baseAddress, UInt64(data.count))
                    }
                }
            },
            token: { this, candidacy, token, error in
                answering(error) { () throws(StoreError) in
                    token.pointee = try owner(this, as: LeaderElection.self).token(candidacy)
                }
            },
            resign: { this, candidacy, _ in
                owner(this, as: LeaderElection.self).resign(candidacy)
                return HOSTD_OK
            })
    }
}
