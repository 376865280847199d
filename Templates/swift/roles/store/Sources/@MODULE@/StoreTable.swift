import PluginAPI
import PluginKit

/// The table of hostd.store/1. PluginKit has none for providers of this role, so it is made here, slot by slot.
/// `transaction_by`, `history` and `revision_at` stay empty: it does not know who wrote when, and hostd goes without. So does
/// `watch_promptly`: sinks run on a thread of their own, whatever they promise.
func storeTable(_ plugin: @MODULE@) -> UnsafePointer<hostd_interface> {
    RoleTable.make(hostd_store_1.self, id: HOSTD_STORE_1, slots: HOSTD_STORE_1_SLOTS, provider: plugin) { table in
        fillReading(table)
        fillWriting(table)
        fillWatching(table)
        fillLeases(table)
    }
}

private func plugin(_ this: UnsafeMutableRawPointer?) -> @MODULE@ { provider(of: this, as: @MODULE@.self) }

private func copy(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> [UInt8] { Array(borrowedBytes(data, size)) }

private func owned(_ bytes: [UInt8]) -> hostd_buffer { bytes.withUnsafeBytes { hostd_buffer(copying: $0) } }

private func fillReading(_ table: UnsafeMutablePointer<hostd_store_1>) {
    table.pointee.get = { this, key, keySize, revision, record, error in
        answering(error) {
            var encoded: [UInt8] = []
            let key = copy(key, keySize)
            try plugin(this).store.with { try $0.get(key, at: revision) }.encode(into: &encoded)
            record.pointee = owned(encoded)
        }
    }
    table.pointee.list = { this, prefix, prefixSize, text, textSize, revision, limit, after, afterSize, page, error in
        answering(error) {
            let (prefix, after) = (copy(prefix, prefixSize), copy(after, afterSize))
            try StoreText.checkPrefix(prefix)
            let selector = try Selector(copy(text, textSize))
            page.pointee = owned(
                try plugin(this).store.with {
                    try $0.list(prefix, selector, at: revision, limit: limit, after: after)
                })
        }
    }
    table.pointee.status = { this, json, error in
        answering(error) { json.pointee = hostd_buffer(copying: try plugin(this).status()) }
    }
    table.pointee.backup = { this, file, json, error in
        answering(error) { json.pointee = hostd_buffer(copying: try plugin(this).backup(file)) }
    }
}

private func fillWriting(_ table: UnsafeMutablePointer<hostd_store_1>) {
    table.pointee.create = { this, key, keySize, value, valueSize, index, indexSize, lease, revision, error in
        answering(error) {
            var step = Operation(HOSTD_STORE_CREATE, key: copy(key, keySize))
            (step.value, step.index, step.lease) = (copy(value, valueSize), copy(index, indexSize), lease)
            revision.pointee = try plugin(this).write(step)
        }
    }
    table.pointee.update = { this, key, keySize, value, valueSize, index, indexSize, lease, expected, revision, error in
        answering(error) {
            var step = Operation(HOSTD_STORE_UPDATE, key: copy(key, keySize))
            (step.value, step.index, step.lease) = (copy(value, valueSize), copy(index, indexSize), lease)
            step.expected = expected
            revision.pointee = try plugin(this).write(step)
        }
    }
    table.pointee.remove = { this, key, keySize, expected, revision, error in
        answering(error) {
            var step = Operation(HOSTD_STORE_DELETE, key: copy(key, keySize))
            step.expected = expected
            revision.pointee = try plugin(this).write(step)
        }
    }
    table.pointee.transaction = { this, operations, size, completion, context, error in
        answering(error) {
            guard let completion = completion as hostd_completion? else {
                throw PluginError.invalid("a transaction needs a completion")
            }
            let steps = try Operation.all(in: copy(operations, size))
            try complete(completion, context, try plugin(this).store.with { state in commit(&state, steps) })
        }
    }
}

private typealias Outcome = Result<UInt64, StoreState.Refusal>

private func commit(_ state: inout StoreState, _ steps: [Operation]) -> Outcome {
    do { return .success(try state.commit(steps)) } catch { return .failure(error) }
}

/// It is on disk already, or has failed: in both cases the operation completes, exactly once.
private func complete(_ completion: hostd_completion, _ context: UnsafeMutableRawPointer?, _ outcome: Outcome) throws {
    var commit: [UInt8] = []  // hostd_store_commit
    commit.append(UInt32(16))
    switch outcome {
    case .success(let revision):
        commit.append(UInt32.max)
        commit.append(revision)
        lend(commit) { completion(context, HOSTD_OK, $0, $1, nil) }
    case .failure(let refusal):
        commit.append(refusal.step)
        commit.append(refusal.revision)
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        let status = PluginError(refusal.failure).fill(&error)
        lend(commit) { completion(context, status, $0, $1, &error) }
        error.message.release?(error.message.context)
    }
}

private func fillWatching(_ table: UnsafeMutablePointer<hostd_store_1>) {
    table.pointee.watch = { this, prefix, prefixSize, text, textSize, from, sink, context, watch, error in
        answering(error) {
            guard let sink = sink as hostd_sink? else { throw PluginError.invalid("a watch needs a sink") }
            let prefix = copy(prefix, prefixSize)
            try StoreText.checkPrefix(prefix)
            let selector = try Selector(copy(text, textSize))
            watch.pointee = try plugin(this).store.watch(
                { StoreWatch(prefix: prefix, selector: selector, from: $0, sink: sink, context: context) }, from: from)
        }
    }
    table.pointee.watch_cancel = { this, watch, error in
        answering(error) { plugin(this).store.cancel(watch) }
    }
}

private func fillLeases(_ table: UnsafeMutablePointer<hostd_store_1>) {
    table.pointee.lease_grant = { this, milliseconds, lease, error in
        answering(error) {
            lease.pointee = try plugin(this).store.with { try $0.grant(milliseconds: milliseconds) }
        }
    }
    table.pointee.lease_keep_alive = { this, lease, error in
        answering(error) { try plugin(this).store.with { try $0.keepAlive(lease) } }
    }
    table.pointee.lease_revoke = { this, lease, error in
        answering(error) { try plugin(this).store.with { try $0.revoke(lease) } }
    }
    table.pointee.compact = { this, revision, error in
        answering(error) { try plugin(this).store.with { try $0.compact(revision) } }
    }
}
