import Glibc
import PluginAPI

/// hostd.store/1 for one plugin with grants of the store: by resource, by member, and to watches and leases of its own.
final class StoreGate: Gate<hostd_store_1>, @unchecked Sendable {
    let leases: OwnedHandles

    init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>, leases: OwnedHandles) {
        self.leases = leases
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_STORE_1, HOSTD_STORE_1_SLOTS) { head in
            hostd_store_1(
                interface: head, get: gateGet, list: gateList, create: gateCreate, update: gateUpdate,
                remove: gateRemove,
                transaction: gateTransaction, watch: gateWatch, watch_cancel: gateWatchCancel,
                lease_grant: gateLeaseGrant, lease_keep_alive: gateLeaseKeepAlive, lease_revoke: gateLeaseRevoke,
                compact: gateCompact, status: gateStatus, backup: gateBackup, transaction_by: gateTransactionBy,
                history: gateHistory, revision_at: gateRevisionAt, watch_promptly: gateWatchPromptly)
        }
    }

    /// A resource that decisions can be made about; a key without one can only be wrong.
    func resource(_ key: UnsafeRawBufferPointer) throws(StoreError) -> String {
        guard let resource = storeResource(key) else {
            throw .invalid("a key of the store has the form RESOURCE/NAMESPACE/NAME")
        }
        return resource
    }

    func refuse(_ body: () throws(GrantPolicy.Refusal) -> Void) throws(StoreError) {
        do throws(GrantPolicy.Refusal) { try body() } catch {
            throw StoreError(HOSTD_ERROR_FORBIDDEN, error.message(plugin: plugin))
        }
    }

    /// A lease that a write may hang on.
    func checkLease(_ lease: UInt64) throws(StoreError) {
        if lease == 0 { return }
        try refuse { () throws(GrantPolicy.Refusal) in try policy.checkLease() }
        guard leases.contains(lease) else {
            throw StoreError(HOSTD_ERROR_NOT_FOUND, "the plugin \(plugin) was not granted the lease \(lease)")
        }
    }

    /// Runs `check`, then `body` with the service itself.
    static func through(
        _ this: UnsafeMutableRawPointer?, _ error: UnsafeMutablePointer<hostd_error>,
        _ check: (StoreGate) throws(StoreError) -> Void,
        _ body: (StoreGate, hostd_store_1, UnsafeMutableRawPointer?) -> Int32
    ) -> Int32 {
        let gate = owner(this, as: StoreGate.self)
        do throws(StoreError) { try check(gate) } catch let failure { return report(failure, to: error) }
        return body(gate, gate.base.pointee, gate.this)
    }
}

private typealias This = UnsafeMutableRawPointer?
private typealias Bytes = UnsafePointer<UInt8>
private typealias BufferOut = UnsafeMutablePointer<hostd_buffer>
private typealias NumberOut = UnsafeMutablePointer<UInt64>
private typealias ErrorOut = UnsafeMutablePointer<hostd_error>

private func raw(_ pointer: Bytes?, _ size: UInt64) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(borrowed(pointer, size))
}

// MARK: Reading

private func gateGet(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ revision: UInt64, _ record: BufferOut, _ error: ErrorOut
) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        let resource = try gate.resource(raw(key, keySize))
        try gate.refuse { () throws(GrantPolicy.Refusal) in try gate.policy.checkStoreRead(resource) }
    } _: { _, store, this in
        store.get(this, key, keySize, revision, record, error)
    }
}

private func gateList(
    _ this: This, _ prefix: Bytes?, _ prefixSize: UInt64, _ selector: Bytes?, _ selectorSize: UInt64,
    _ revision: UInt64, _ limit: UInt64, _ after: Bytes?, _ afterSize: UInt64, _ page: BufferOut, _ error: ErrorOut
) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        try gate.refuse { () throws(GrantPolicy.Refusal) in
            try gate.policy.checkStoreRead(storeResource(raw(prefix, prefixSize)))
        }
    } _: { _, store, this in
        store.list(
            this, prefix, prefixSize, selector, selectorSize, revision, limit, after, afterSize, page, error)
    }
}

private func gateWatch(
    _ this: This, _ prefix: Bytes?, _ prefixSize: UInt64, _ selector: Bytes?, _ selectorSize: UInt64, _ from: UInt64,
    _ sink: hostd_sink, _ context: UnsafeMutableRawPointer?, _ watch: NumberOut, _ error: ErrorOut
) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        try gate.refuse { () throws(GrantPolicy.Refusal) in
            try gate.policy.checkStoreRead(storeResource(raw(prefix, prefixSize)))
        }
    } _: { gate, store, this in
        gate.beginning(watch) {
            store.watch(this, prefix, prefixSize, selector, selectorSize, from, sink, context, watch, error)
        }
    }
}

private func gateWatchCancel(_ this: This, _ watch: UInt64, _ error: ErrorOut) -> Int32 {
    let gate = owner(this, as: StoreGate.self)
    return gate.using(watch, error, ends: true) { gate.base.pointee.watch_cancel(gate.this, watch, error) }
}

/// What runs in another process waits for that: no promise of it makes the committer run it.
private func gateWatchPromptly(_: This, _: UInt64, _ error: ErrorOut) -> Int32 {
    report(
        StoreError(HOSTD_ERROR_NOT_SUPPORTED, "sinks of a plugin in a process of its own have a thread of their own"),
        to: error)
}

private func gateStatus(_ this: This, _ json: BufferOut, _ error: ErrorOut) -> Int32 {
    let gate = owner(this, as: StoreGate.self)
    return gate.base.pointee.status(gate.this, json, error)
}

/// The descriptor is given away: whoever answers closes it.
private func gateBackup(_ this: This, _ descriptor: Int32, _ json: BufferOut, _ error: ErrorOut) -> Int32 {
    let gate = owner(this, as: StoreGate.self)
    do throws(StoreError) {
        try gate.refuse { () throws(GrantPolicy.Refusal) in try gate.policy.checkStoreRead(nil) }
    } catch let failure {
        close(descriptor)
        return report(failure, to: error)
    }
    return gate.base.pointee.backup(gate.this, descriptor, json, error)
}

private func gateHistory(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ limit: UInt64, _ json: BufferOut, _ error: ErrorOut
) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        let resource = try gate.resource(raw(key, keySize))
        try gate.refuse { () throws(GrantPolicy.Refusal) in try gate.policy.checkStoreRead(resource) }
    } _: { _, store, this in
        store.history(this, key, keySize, limit, json, error)
    }
}

private func gateRevisionAt(_ this: This, _ time: UInt64, _ revision: NumberOut, _ error: ErrorOut) -> Int32 {
    let gate = owner(this, as: StoreGate.self)
    return gate.base.pointee.revision_at(gate.this, time, revision, error)
}

// MARK: Writing

private func gateCreate(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ value: Bytes, _ valueSize: UInt64, _ index: Bytes?,
    _ indexSize: UInt64, _ lease: UInt64, _ revision: NumberOut, _ error: ErrorOut
) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        let resource = try gate.resource(raw(key, keySize))
        try gate.refuse { () throws(GrantPolicy.Refusal) in try gate.policy.checkStoreWhole(resource, "create") }
        try gate.checkLease(lease)
    } _: { gate, store, this in
        let change = StoreGate.Change(
            key: raw(key, keySize), value: raw(value, valueSize), index: raw(index, indexSize), lease: lease,
            expected: 0)
        return gate.write(HOSTD_STORE_CREATE, change, revision, error)
            ?? store.create(this, key, keySize, value, valueSize, index, indexSize, lease, revision, error)
    }
}

private func gateUpdate(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ value: Bytes, _ valueSize: UInt64, _ index: Bytes?,
    _ indexSize: UInt64, _ lease: UInt64, _ expected: UInt64, _ revision: NumberOut, _ errorOut: ErrorOut
) -> Int32 {
    let gate = owner(this, as: StoreGate.self)
    var change = StoreGate.Change(
        key: raw(key, keySize), value: raw(value, valueSize), index: raw(index, indexSize), lease: lease,
        expected: expected)
    do throws(StoreError) {
        // What was compared is what has to be replaced; a caller to whom any version was right gets another try.
        for _ in 0..<8 {
            change.expected = expected
            let pinned = try gate.pin(change)
            change.expected = pinned
            let status =
                gate.write(HOSTD_STORE_UPDATE, change, revision, errorOut)
                ?? gate.base.pointee.update(
                    gate.this, key, keySize, value, valueSize, index, indexSize, lease, pinned, revision, errorOut)
            guard status == HOSTD_ERROR_CONFLICT, expected == 0, pinned != 0 else { return status }
            errorOut.pointee.message.release?(errorOut.pointee.message.context)
            errorOut.pointee.message = hostd_buffer()
        }
        throw StoreError(HOSTD_ERROR_CONFLICT, "\(change.key.text) changes too often to be compared", retryable: true)
    } catch {
        return report(error, to: errorOut)
    }
}

private func gateRemove(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ expected: UInt64, _ revision: NumberOut, _ error: ErrorOut
) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        let resource = try gate.resource(raw(key, keySize))
        try gate.refuse { () throws(GrantPolicy.Refusal) in try gate.policy.checkStoreWhole(resource, "delete") }
    } _: { gate, store, this in
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        let change = StoreGate.Change(
            key: raw(key, keySize), value: none, index: none, lease: 0, expected: expected)
        return gate.write(HOSTD_STORE_DELETE, change, revision, error)
            ?? store.remove(this, key, keySize, expected, revision, error)
    }
}

private func gateTransaction(
    _ this: This, _ operations: Bytes, _ operationsSize: UInt64, _ completion: hostd_completion,
    _ context: UnsafeMutableRawPointer?, _ error: ErrorOut
) -> Int32 {
    commit(this, nil, operations, operationsSize, completion, context, error)
}

/// The plugin's name stands beside the writer that it names, so that nobody writes in somebody else's name unseen.
private func gateTransactionBy(
    _ this: This, _ writer: Bytes, _ writerSize: UInt64, _ operations: Bytes, _ operationsSize: UInt64,
    _ completion: hostd_completion, _ context: UnsafeMutableRawPointer?, _ error: ErrorOut
) -> Int32 {
    let named: Writer?
    do throws(StoreError) { named = try Writer(raw(writer, writerSize)) } catch let failure {
        return report(failure, to: error)
    }
    return commit(this, named, operations, operationsSize, completion, context, error)
}

private func commit(
    _ this: This, _ named: Writer?, _ operations: Bytes, _ operationsSize: UInt64, _ completion: hostd_completion,
    _ context: UnsafeMutableRawPointer?, _ error: ErrorOut
) -> Int32 {
    let gate = owner(this, as: StoreGate.self)
    // A copy of its own, in which compared versions are pinned.
    let given = raw(operations, operationsSize)
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(given.count, 1), alignment: 8)
    defer { copy.deallocate() }
    copy.copyMemory(from: given)
    do throws(StoreError) {
        try gate.checkTransaction(UnsafeMutableRawBufferPointer(rebasing: copy[..<given.count]))
    } catch let failure {
        return report(failure, to: error)
    }
    // SAFETY: the allocation is not empty.
    let bytes = copy.baseAddress!.assumingMemoryBound(to: UInt8.self)
    let writer = Array(Writer.of(plugin: gate.plugin, for: named).text.utf8)
    let status = writer.withUnsafeBufferPointer { writer in
        // SAFETY: the text is not empty.
        gate.base.pointee.transaction_by(
            gate.this, writer.baseAddress!, UInt64(writer.count), bytes, UInt64(given.count), completion, context, error
        )
    }
    guard status == HOSTD_ERROR_NOT_SUPPORTED else { return status }
    error.pointee.message.release?(error.pointee.message.context)
    error.pointee.message = hostd_buffer()
    return gate.base.pointee.transaction(gate.this, bytes, UInt64(given.count), completion, context, error)
}

// MARK: Leases and upkeep

private func gateLeaseGrant(_ this: This, _ timeToLive: UInt64, _ lease: NumberOut, _ error: ErrorOut) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        try gate.refuse { () throws(GrantPolicy.Refusal) in try gate.policy.checkLease() }
    } _: { gate, store, this in
        let status = store.lease_grant(this, timeToLive, lease, error)
        if status == HOSTD_OK { gate.leases.insert(lease.pointee) }
        return status
    }
}

private func gateLeaseKeepAlive(_ this: This, _ lease: UInt64, _ error: ErrorOut) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        try gate.checkLease(lease)
    } _: { _, store, this in
        store.lease_keep_alive(this, lease, error)
    }
}

private func gateLeaseRevoke(_ this: This, _ lease: UInt64, _ error: ErrorOut) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        try gate.checkLease(lease)
    } _: { gate, store, this in
        let status = store.lease_revoke(this, lease, error)
        if status == HOSTD_OK { gate.leases.remove(lease) }
        return status
    }
}

private func gateCompact(_ this: This, _ revision: UInt64, _ error: ErrorOut) -> Int32 {
    StoreGate.through(this, error) { gate throws(StoreError) in
        try gate.refuse { () throws(GrantPolicy.Refusal) in try gate.policy.checkStoreUpkeep("compact") }
    } _: { _, store, this in
        store.compact(this, revision, error)
    }
}
