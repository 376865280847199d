import PluginAPI

extension StoreGate {
    /// A write to one key.
    struct Change {
        let key: UnsafeRawBufferPointer
        let value: UnsafeRawBufferPointer
        let index: UnsafeRawBufferPointer
        let lease: UInt64
        var expected: UInt64
    }

    /// Checks a change of an object that exists; the revision that the write has to expect, so that nothing gets between the
    /// comparison and the write.
    func pin(_ change: Change) throws(StoreError) -> UInt64 {
        let resource = try resource(change.key)
        var scope = GrantPolicy.WriteScope.whole
        try refuse { () throws(GrantPolicy.Refusal) in scope = try policy.checkStoreUpdate(resource) }
        switch scope {
        case .whole:
            try checkLease(change.lease)
            return change.expected
        case .members(let members):
            return try compare(change, members, resource)
        }
    }

    private func compare(
        _ change: Change, _ members: Set<String>, _ resource: String
    ) throws(StoreError) -> UInt64 {
        let record = try present(change.key)
        defer { record.release?(record.context) }
        let bytes = UnsafeRawBufferPointer(start: record.data, count: Int(clamping: record.size))
        let head = try Self.head(of: bytes)
        guard change.expected == 0 || change.expected == head.revision else {
            throw StoreError(
                HOSTD_ERROR_CONFLICT,
                "\(change.key.text) is at revision \(head.revision), not \(change.expected): read it again",
                retryable: true)
        }
        let indexStart = Int(head.struct_size) + Int(head.key_size)
        let valueStart = indexStart + Int(head.index_size)
        let difference = StoredMembers.difference(
            old: .init(rebasing: bytes[valueStart..<valueStart + Int(head.value_size)]), new: change.value,
            oldIndex: .init(rebasing: bytes[indexStart..<valueStart]), newIndex: change.index, allowed: members)
        if let difference = head.lease == change.lease ? difference : "the lease" {
            throw StoreError(
                HOSTD_ERROR_FORBIDDEN,
                "the plugin \(plugin) may change only \(list(members.sorted())) of \(resource), and \(change.key.text) differs "
                    + "in \(difference): leave that as it is, or add \(Grant.storeWrite(resource, member: nil)) to its "
                    + "`grants` in the configuration")
        }
        return head.revision
    }

    /// The record of a key as it is now; the caller releases it.
    private func present(_ key: UnsafeRawBufferPointer) throws(StoreError) -> hostd_buffer {
        var record = hostd_buffer()
        var error = ForeignBytes.emptyError()
        guard let base = key.baseAddress else { throw .invalid("a key of the store is empty") }
        let status = self.base.pointee.get(
            this, base.assumingMemoryBound(to: UInt8.self), UInt64(key.count), 0, &record, &error)
        guard status == HOSTD_OK else {
            throw StoreError(
                status, ForeignBytes.message(of: error), retryable: error.retryable != 0,
                retryDelay: error.retry_delay_ms)
        }
        return record
    }

    private static func head(of bytes: UnsafeRawBufferPointer) throws(StoreError) -> hostd_store_record {
        let size = MemoryLayout<hostd_store_record>.size
        if bytes.count >= size {
            let head = bytes.loadUnaligned(as: hostd_store_record.self)
            let used = Int(head.struct_size) + Int(head.key_size) + Int(head.index_size) + Int(head.value_size)
            if Int(head.struct_size) >= size, used <= bytes.count { return head }
        }
        throw StoreError(HOSTD_ERROR_INTERNAL, "the store returned a record that cannot be read")
    }

    /// Checks every step of a transaction and pins what was compared.
    func checkTransaction(_ operations: UnsafeMutableRawBufferPointer) throws(StoreError) {
        var offset = 0
        var position = 0
        while offset < operations.count {
            let (pinned, size) = try checkStep(
                UnsafeRawBufferPointer(UnsafeMutableRawBufferPointer(rebasing: operations[offset...])), position)
            if let pinned, let place = MemoryLayout<hostd_store_operation>.offset(of: \.expected_revision) {
                operations.storeBytes(of: pinned, toByteOffset: offset + place, as: UInt64.self)
            }
            // Its completion waits for another process, whatever the plugin promises.
            if position == 0, let place = MemoryLayout<hostd_store_operation>.offset(of: \.flags) {
                operations.storeBytes(of: 0, toByteOffset: offset + place, as: UInt32.self)
            }
            offset += size
            position += 1
        }
    }

    /// The revision to expect, where there is one, and the size of the step.
    private func checkStep(
        _ bytes: UnsafeRawBufferPointer, _ position: Int
    ) throws(StoreError) -> (UInt64?, Int) {
        let headSize = MemoryLayout<hostd_store_operation>.size
        guard bytes.count >= headSize else { throw .invalid("step \(position) of the transaction is cut off") }
        let head = bytes.loadUnaligned(as: hostd_store_operation.self)
        let (start, size) = (Int(head.struct_size), Int(head.operation_size))
        let used = start + Int(head.key_size) + Int(head.index_size) + Int(head.value_size)
        guard start >= headSize, size >= used, size <= bytes.count, size % 8 == 0 else {
            throw .invalid("step \(position) of the transaction has sizes that contradict each other")
        }
        func part(_ offset: Int, _ size: UInt32) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(size)])
        }
        let change = Change(
            key: part(start, head.key_size),
            value: part(start + Int(head.key_size) + Int(head.index_size), head.value_size),
            index: part(start + Int(head.key_size), head.index_size), lease: head.lease,
            expected: head.expected_revision)
        return (try pin(change, kind: Int32(clamping: head.kind), position), size)
    }

    private func pin(_ change: Change, kind: Int32, _ position: Int) throws(StoreError) -> UInt64? {
        let resource = try resource(change.key)
        switch kind {
        case HOSTD_STORE_UPDATE: return try pin(change)
        case HOSTD_STORE_CHECK:
            try refuse { () throws(GrantPolicy.Refusal) in try policy.checkStoreLook(resource) }
        case HOSTD_STORE_CREATE, HOSTD_STORE_PUT, HOSTD_STORE_DELETE:
            let verb = kind == HOSTD_STORE_CREATE ? "create" : kind == HOSTD_STORE_PUT ? "replace" : "delete"
            try refuse { () throws(GrantPolicy.Refusal) in try policy.checkStoreWhole(resource, verb) }
            try checkLease(change.lease)
        default: throw .invalid("step \(position) of the transaction has the unknown kind \(kind)")
        }
        return nil
    }
}
