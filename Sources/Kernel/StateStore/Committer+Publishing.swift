import PluginAPI

/// What comes after the disk: letting rounds be seen, and telling their writers.
extension Committer {
    /// The rounds up to this log batch are on disk: lets them be seen, by reads first, and then by those who wrote them.
    func publish(upTo serial: UInt64) {
        while !logBatches.isEmpty, logBatches[0].serial <= serial, let batch = logBatches.popFirst() {
            store.numbers?.committed(batch.writes, nanoseconds: batch.ended - batch.taken)
        }
        if let lastBatch, lastBatch.serial <= serial { self.lastBatch = nil }
        let done = rounds.prefix { $0.serial <= serial }
        var events: [Event] = []
        events.reserveCapacity(done.reduce(0) { $0 + $1.changed.count })
        let now = UInt32(truncatingIfNeeded: monotonicNow() / 1_000_000_000)
        store.lock.writing {
            for round in done {
                for (record, place) in round.changed {
                    record.retain()
                    events.append(store.tree.apply(record, now: now, at: place))
                }
            }
            compact(now: now)
        }
        for event in events where event.record.lease != 0 || event.previous?.lease ?? 0 != 0 {
            store.leases.follow(event)
        }
        for round in done {
            for write in round.batch.writes where write.outcome.error == nil { followAction(write.action) }
        }
        var undelivered = WatchHub.Undelivered.nothing
        if !events.isEmpty {
            undelivered = store.hub.publish(events, upTo: store.tree.revision)
            if progressDue == .max { progressDue = monotonicNow() + WatchHub.progressNanoseconds }
        }
        if nextHousekeeping == .max { planHousekeeping() }
        rounds.removeFirst(done.count)
        for round in done { complete(round) }
        store.hub.deliver(undelivered)
    }

    /// Nothing of the round happened.
    func refuse(_ round: Round, _ error: StoreError) {
        for writer in round.newWriters { store.writers.forget(writer) }
        lastWriter = ("", 0)
        let writes = round.batch.writes
        for write in writes { write.outcome = Outcome(error: error) }
        if writes.contains(where: { if case .none = $0.completion { true } else { false } }) {
            store.leases.retry(at: failure == nil ? monotonicNow() + 1_000_000_000 : .max)
        }
        complete(round)
    }

    private func complete(_ round: Round) {
        let batch = round.batch
        keep(round)
        var sleepers = 0
        var calls = 0
        for write in batch.writes {
            switch write.completion {
            case .wake: sleepers += 1
            case .call: calls += 1
            case .callPromptly(let completion): completion(write.outcome)
            case .none: break
            }
        }
        if calls > 0 { store.completions.add(batch.writes) }
        batch.clear()  // Before their callers wake, and would count references to the same writes at the same time.
        if sleepers > 0 { batch.end.fire(for: sleepers) }
        give(precedence: sleepers > 0 ? .first : .some)
    }

    /// Writers that sleep can do nothing else, so the committer goes before everybody. Those that are called make the next writes
    /// meanwhile: where the processors are busy they are let make more of them, which then go to disk together.
    private func give(precedence wanted: ThreadPriority.Precedence) {
        if wanted == precedence { return }
        precedence = wanted
        ThreadPriority.change(to: wanted, from: niceness)
    }
}
