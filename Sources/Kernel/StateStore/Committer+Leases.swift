import PluginAPI

/// The end of leases, and of the keys under them.
extension Committer {
    /// Puts the end of those leases whose time is over before the other writes.
    func endLeases(in batch: Batch) {
        let over = store.leases.expired(monotonicNow())
        for lease in over.prefix(64).reversed() {
            let write = Write(.revoke(lease: lease))
            write.writer = Writer.leaseExpiry.text
            batch.addFirst(write)
        }
        if over.count > 64 { store.leases.retry(at: 0) }
    }

    func evaluateRevoke(_ write: Write, _ lease: UInt64) {
        guard isAlive(lease), let held = store.leases.keys(of: lease) else {
            write.outcome.error = StoreError(HOSTD_ERROR_NOT_FOUND, "lease \(lease) does not exist or is over")
            return
        }
        guard let mark = mark(write, kind: Record.Kind.leaseRevoke, lease: lease, number: 0) else { return }
        var records: [(step: Step, held: Held)] = []
        var keys = Set(held)
        // Of this round and those before too, whose records the table does not know yet.
        for round in planted(.leasedKeysUnseen) ? [round] : rounds + [round] {
            for (record, _) in round.changed where record.isPut && record.lease == lease {
                keys.insert(Array(record.key))
            }
        }
        for key in keys.dropFirst(planted(.leaseKeysStay) ? 1 : 0) {
            key.withUnsafeBytes { key in
                let held = newest(key, hash: ChangedKeys.hash(key))
                guard let current = held.newest, current.isPut, current.lease == lease else { return }
                do throws(StoreError) {
                    let record = try Record.make(kind: Record.Kind.delete, key: key)
                    let step = Step(kind: HOSTD_STORE_DELETE, expected: 0, record: record)
                    write.steps.append(step)
                    records.append((step, held))
                } catch {
                    write.outcome.error = error
                }
            }
        }
        let (writer, definition) = records.isEmpty ? (0, nil) : writer(of: write)
        guard write.outcome.error == nil else { return }
        log.beginFrame()
        if let definition { log.add(definition) }
        if !records.isEmpty { nextRevision += 1 }
        for (step, held) in records {
            stamp(step, over: held, writer: writer)
            log.add(step.record)
        }
        log.add(mark)
        log.endFrame(revision: nextRevision)
        write.outcome.revision = nextRevision
        round.endedLeases.insert(lease)
    }

    /// Whether a lease exists after the rounds so far.
    func isAlive(_ lease: UInt64) -> Bool {
        guard store.leases.contains(lease), !round.endedLeases.contains(lease) else { return false }
        return planted(.endedLeaseUnseen) || !rounds.contains { $0.endedLeases.contains(lease) }
    }

    func followAction(_ action: Write.Action) {
        switch action {
        case .grant(let lease, let timeToLive): store.leases.insert(lease, timeToLive: timeToLive, now: monotonicNow())
        case .revoke(let lease): store.leases.remove(lease)
        case .compact(let revision): store.lock.writing { _ = store.tree.compact(to: unpinned(revision)) }
        case .transaction: break
        }
    }
}
