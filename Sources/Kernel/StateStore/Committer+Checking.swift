import CStateStore
import PluginAPI

/// The checks of a write, against what the tree holds and what the rounds that cannot be seen yet change.
extension Committer {
    func evaluate(_ write: Write) {
        switch write.action {
        case .transaction: evaluateSteps(write)
        case .grant(let lease, let timeToLive):
            guard let mark = mark(write, kind: Record.Kind.leaseGrant, lease: lease, number: timeToLive) else { return }
            log.add(mark, revision: nextRevision)
            write.outcome.revision = lease
        case .revoke(let lease): evaluateRevoke(write, lease)
        case .compact(let revision):
            guard revision <= store.tree.revision else {
                write.outcome.error = .invalid(
                    "revision \(revision) is not reached yet; the store is at \(store.tree.revision)")
                return
            }
            guard let mark = mark(write, kind: Record.Kind.compact, lease: 0, number: 0) else { return }
            mark.head.pointee.revision = revision
            log.add(mark, revision: nextRevision)
        }
    }

    /// What a key holds after the rounds so far, and its place when none of them has changed it.
    typealias Held = (newest: Record?, place: StateTree.Place?)

    func newest(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Held {
        if !planted(.batchIgnoredInPrecondition), let record = round.changedKeys.record(of: key, hash: hash) {
            return (record, nil)
        }
        if rounds.isEmpty || planted(.roundBeforeIgnored) { return store.tree.find(key) }
        for before in rounds.reversed() {
            if let record = before.changedKeys.record(of: key, hash: hash) { return (record, nil) }
        }
        return store.tree.find(key)
    }

    func evaluateSteps(_ write: Write) {
        found.removeAll(keepingCapacity: true)
        for (position, step) in write.steps.enumerated() {
            let held = newest(step.record.key, hash: step.hash)
            let current = held.newest?.isPut == true ? held.newest : nil
            if let error = objection(to: step, current) {
                write.outcome = Outcome(revision: current?.revision ?? 0, failedStep: UInt32(position), error: error)
                return
            }
            if step.kind != HOSTD_STORE_CHECK { found.append(held) }
        }
        write.outcome.revision = found.isEmpty ? nextRevision : nextRevision + 1
        guard !found.isEmpty else { return }
        let (writer, definition) = writer(of: write)
        guard write.outcome.error == nil else { return }
        log.beginFrame()
        if let definition { log.add(definition) }
        nextRevision += 1
        var position = 0
        for step in write.steps where step.kind != HOSTD_STORE_CHECK {
            stamp(step, over: found[position], writer: writer)
            log.add(step.record)
            position += 1
        }
        log.endFrame(revision: nextRevision)
    }

    /// The number of who writes, and its definition when the log does not have it yet.
    func writer(of write: Write) -> (number: UInt32, definition: Record?) {
        guard let text = write.writer else { return (0, nil) }
        if text == lastWriter.text { return (lastWriter.number, nil) }
        let (number, isNew) = store.writers.number(of: text)
        if number == 0, !hasTooManyWriters {
            hasTooManyWriters = true
            store.options.log(
                HOSTD_LOG_WARNING,
                "the store knows \(WriterTable.limit) writers; changes of others are recorded without theirs until a restart",
                [])
        }
        lastWriter = (text, number)
        guard isNew else { return (number, nil) }
        round.newWriters.append(number)
        let bytes = Array(text.utf8)
        return (
            number, bytes.withUnsafeBytes { mark(write, kind: Record.Kind.writer, lease: UInt64(number), value: $0) }
        )
    }

    /// What speaks against a step, given what its key holds.
    func objection(to step: Step, _ current: Record?) -> StoreError? {
        let name = { step.record.key.text }
        switch step.kind {
        case HOSTD_STORE_CREATE:
            if current != nil { return StoreError(HOSTD_ERROR_ALREADY_EXISTS, "\(name()) exists") }
        case HOSTD_STORE_UPDATE, HOSTD_STORE_DELETE:
            guard let current else { return StoreError(HOSTD_ERROR_NOT_FOUND, "\(name()) does not exist") }
            if step.expected != 0 && step.expected != current.revision { return conflict(step, current.revision) }
        case HOSTD_STORE_CHECK:
            if step.expected != current?.revision ?? 0 { return conflict(step, current?.revision ?? 0) }
        default: break
        }
        if step.record.isPut && step.record.lease != 0 && !isAlive(step.record.lease) {
            return StoreError(
                HOSTD_ERROR_NOT_FOUND, "lease \(step.record.lease) of \(name()) does not exist or is over")
        }
        return nil
    }

    func conflict(_ step: Step, _ present: UInt64) -> StoreError {
        StoreError(
            HOSTD_ERROR_CONFLICT,
            "\(step.record.key.text) is at revision \(present), not \(step.expected); read it again", retryable: true)
    }

    /// Gives a record its place in history, at `nextRevision` and after what its key held, and makes it visible to the rest
    /// of the round. A transaction changes a key once, so the order of its records does not matter.
    func stamp(_ step: Step, over held: Held, writer: UInt32) {
        let record = step.record
        let head = record.head
        head.pointee.revision = nextRevision
        if let before = held.newest, before.isPut {
            head.pointee.create_revision = before.head.pointee.create_revision
            head.pointee.version = before.head.pointee.version + 1
        } else {
            head.pointee.create_revision = nextRevision
            head.pointee.version = 1
        }
        if !record.isPut { head.pointee.flags = HOSTD_STORE_RECORD_HAS_PREVIOUS }
        record.writer = writer
        record.time = roundTime
        round.changed.append((record, held.place))
        round.changedKeys.set(record, hash: step.hash)
    }

    func mark(_ write: Write, kind: UInt32, lease: UInt64, number: UInt64) -> Record? {
        withUnsafeBytes(of: number.littleEndian) { mark(write, kind: kind, lease: lease, value: $0) }
    }

    func mark(_ write: Write, kind: UInt32, lease: UInt64, value: UnsafeRawBufferPointer) -> Record? {
        do throws(StoreError) {
            let mark = try Record.make(
                kind: kind, key: UnsafeRawBufferPointer(start: nil, count: 0), value: value, lease: lease)
            round.marks.append(mark)
            return mark
        } catch {
            write.outcome.error = error
            return nil
        }
    }
}
