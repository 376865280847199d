import CStateStore
import Glibc
import PluginAPI

// The functions of the table `hostd.store/1`.

private func raw(_ pointer: UnsafePointer<UInt8>?, _ size: UInt64) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(borrowed(pointer, size))
}

extension Record {
    /// The record as an owned buffer, without a copy: releasing the buffer gives up the reference that is passed in.
    func handedOut() -> hostd_buffer {
        hostd_buffer(
            data: UnsafePointer(bytes.assumingMemoryBound(to: UInt8.self)), size: UInt64(size),
            release: { store_block_release($0) }, context: UnsafeMutableRawPointer(block))
    }
}

extension StateStore {
    static func makeTable(_ head: hostd_interface) -> hostd_store_1 {
        hostd_store_1(
            interface: head, get: storeGet, list: storeList, create: storeCreate, update: storeUpdate,
            remove: storeRemove,
            transaction: storeTransaction, watch: storeWatch, watch_cancel: storeWatchCancel,
            lease_grant: storeLeaseGrant,
            lease_keep_alive: storeLeaseKeepAlive, lease_revoke: storeLeaseRevoke, compact: storeCompact,
            status: storeStatus, backup: storeBackup, transaction_by: storeTransactionBy, history: storeHistory,
            revision_at: storeRevisionAt, watch_promptly: storeWatchPromptly)
    }
}

private typealias This = UnsafeMutableRawPointer?
private typealias Bytes = UnsafePointer<UInt8>
private typealias BufferOut = UnsafeMutablePointer<hostd_buffer>
private typealias NumberOut = UnsafeMutablePointer<UInt64>
private typealias ErrorOut = UnsafeMutablePointer<hostd_error>

private func storeGet(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ revision: UInt64, _ record: BufferOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        record.pointee = try owner(this, as: StateStore.self).get(raw(key, keySize), revision: revision).handedOut()
    }
}

private func storeList(
    _ this: This, _ prefix: Bytes?, _ prefixSize: UInt64, _ selector: Bytes?, _ selectorSize: UInt64,
    _ revision: UInt64, _ limit: UInt64, _ after: Bytes?, _ afterSize: UInt64, _ page: BufferOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        let store = owner(this, as: StateStore.self)
        page.pointee = try store.encode(
            try store.list(
                prefix: raw(prefix, prefixSize), selector: try IndexSelector(parsing: raw(selector, selectorSize)),
                revision: revision, limit: limit, after: raw(after, afterSize)))
    }
}

private func storeCreate(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ value: Bytes, _ valueSize: UInt64, _ index: Bytes?,
    _ indexSize: UInt64, _ lease: UInt64, _ revision: NumberOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        revision.pointee = try owner(this, as: StateStore.self).perform(
            HOSTD_STORE_CREATE, key: raw(key, keySize), index: raw(index, indexSize), value: raw(value, valueSize),
            lease: lease, by: .unnamed)
    }
}

private func storeUpdate(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ value: Bytes, _ valueSize: UInt64, _ index: Bytes?,
    _ indexSize: UInt64, _ lease: UInt64, _ expected: UInt64, _ revision: NumberOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        revision.pointee = try owner(this, as: StateStore.self).perform(
            HOSTD_STORE_UPDATE, key: raw(key, keySize), index: raw(index, indexSize), value: raw(value, valueSize),
            lease: lease, expected: expected, by: .unnamed)
    }
}

private func storeRemove(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ expected: UInt64, _ revision: NumberOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        revision.pointee = try owner(this, as: StateStore.self).perform(
            HOSTD_STORE_DELETE, key: raw(key, keySize), expected: expected, by: .unnamed)
    }
}

private func storeTransaction(
    _ this: This, _ operations: Bytes, _ operationsSize: UInt64, _ completion: hostd_completion,
    _ context: UnsafeMutableRawPointer?, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        let completion = try present(completion)
        let context = CallbackContext(pointer: context)
        try owner(this, as: StateStore.self).transaction(raw(operations, operationsSize)) { outcome in
            complete(outcome, completion, context)
        }
    }
}

private func complete(_ outcome: Outcome, _ completion: hostd_completion, _ context: CallbackContext) {
    let size = MemoryLayout<hostd_store_commit>.size
    let commit = hostd_store_commit(
        struct_size: UInt32(size), failed_operation: outcome.failedStep, revision: outcome.revision)
    withUnsafePointer(to: commit) { commit in
        commit.withMemoryRebound(to: UInt8.self, capacity: size) { bytes in
            guard let failure = outcome.error else {
                return completion(context.pointer, HOSTD_OK, bytes, UInt64(size), nil)
            }
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            let status = report(failure, to: &error)
            completion(context.pointer, status, bytes, UInt64(size), &error)
            error.message.release?(error.message.context)
        }
    }
}

private func storeWatch(
    _ this: This, _ prefix: Bytes?, _ prefixSize: UInt64, _ selector: Bytes?, _ selectorSize: UInt64, _ from: UInt64,
    _ sink: hostd_sink, _ context: UnsafeMutableRawPointer?, _ watch: NumberOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        let sink = try present(sink)
        let context = CallbackContext(pointer: context)
        let prefix = raw(prefix, prefixSize)
        try StoreKey.checkPrefix(prefix)
        watch.pointee = try owner(this, as: StateStore.self).parts.hub.watch(
            prefix: prefix, selector: try IndexSelector(parsing: raw(selector, selectorSize)), from: from
        ) { kind, data in
            sink(
                context.pointer, UInt32(kind), data.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(data.count)
            )
        }
    }
}

private func storeWatchCancel(
    _ this: This, _ watch: UInt64, _: ErrorOut
) -> Int32 {
    owner(this, as: StateStore.self).parts.hub.cancel(watch)
    return HOSTD_OK
}

private func storeWatchPromptly(_ this: This, _ watch: UInt64, _: ErrorOut) -> Int32 {
    owner(this, as: StateStore.self).parts.hub.setPrompt(watch)
    return HOSTD_OK
}

private func storeLeaseGrant(
    _ this: This, _ timeToLive: UInt64, _ lease: NumberOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        lease.pointee = try owner(this, as: StateStore.self).grantLease(timeToLive: timeToLive)
    }
}

private func storeLeaseKeepAlive(
    _ this: This, _ lease: UInt64, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in try owner(this, as: StateStore.self).keepAlive(lease: lease) }
}

private func storeLeaseRevoke(
    _ this: This, _ lease: UInt64, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        try owner(this, as: StateStore.self).revokeLease(lease, by: .unnamed)
    }
}

private func storeCompact(
    _ this: This, _ revision: UInt64, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in try owner(this, as: StateStore.self).compact(to: revision) }
}

private func storeStatus(
    _ this: This, _ json: BufferOut, _: ErrorOut
) -> Int32 {
    json.pointee = ownedBuffer(owner(this, as: StateStore.self).status().utf8)
    return HOSTD_OK
}

private func storeBackup(
    _ this: This, _ descriptor: Int32, _ json: BufferOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        let (revision, bytes) = try owner(this, as: StateStore.self).backup(to: descriptor)
        json.pointee = ownedBuffer("{\"revision\":\(revision),\"bytes\":\(bytes)}".utf8)
    }
}

private func storeTransactionBy(
    _ this: This, _ writer: Bytes, _ writerSize: UInt64, _ operations: Bytes, _ operationsSize: UInt64,
    _ completion: hostd_completion, _ context: UnsafeMutableRawPointer?, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        let completion = try present(completion)
        let context = CallbackContext(pointer: context)
        let writer = try Writer(raw(writer, writerSize))
        try owner(this, as: StateStore.self).transaction(raw(operations, operationsSize), by: writer) { outcome in
            complete(outcome, completion, context)
        }
    }
}

private func storeHistory(
    _ this: This, _ key: Bytes, _ keySize: UInt64, _ limit: UInt64, _ json: BufferOut, _ error: ErrorOut
) -> Int32 {
    answering(error) { () throws(StoreError) in
        let history = try owner(this, as: StateStore.self).history(of: raw(key, keySize), limit: Int(clamping: limit))
        json.pointee = ownedBuffer(history.serialized())
    }
}

private func storeRevisionAt(_ this: This, _ time: UInt64, _ revision: NumberOut, _ error: ErrorOut) -> Int32 {
    answering(error) { () throws(StoreError) in
        revision.pointee = try owner(this, as: StateStore.self).revision(at: time)
    }
}
