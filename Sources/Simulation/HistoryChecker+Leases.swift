import PluginAPI

extension HistoryChecker {
    /// What is known of a lease at some time: until when it cannot have ended by itself, and whether it may be revoked.
    private func bounds(of lease: UInt64, at time: UInt64) -> (earliestEnd: UInt64, mayBeRevoked: Bool, isGranted: Bool)
    {
        var timeToLive: UInt64 = 0
        var earliestEnd: UInt64 = 0
        var mayBeRevoked = false
        var epochs = history.epochs.map(\.beginTime)[...]
        // A lease that cannot be over when the store is opened has its whole time again.
        func open(until limit: UInt64) {
            while let epoch = epochs.first, epoch < limit {
                epochs.removeFirst()
                if earliestEnd > epoch { earliestEnd = epoch + timeToLive }
            }
        }
        for operation in history.operations where operation.beginTime < time {
            open(until: operation.beginTime)
            switch (operation.request, operation.response) {
            case (.grant(let milliseconds), .lease(lease)?):
                timeToLive = milliseconds * 1_000_000
                earliestEnd = operation.beginTime + timeToLive
            case (.keepAlive(lease), .done?): earliestEnd = max(earliestEnd, operation.beginTime + timeToLive)
            case (.revoke(lease), _): mayBeRevoked = true
            default: break
            }
        }
        open(until: time)
        return (earliestEnd, mayBeRevoked, timeToLive > 0)
    }

    /// Leases end late rather than early, and for good.
    mutating func checkLeases() {
        var ended: [UInt64: UInt64] = [:]
        for (index, transaction) in model.transactions.enumerated() where makers[index] == nil {
            let leases = Set(transaction.changes.map { model.value($0.key, at: UInt64(index))?.lease ?? 0 })
            guard leases.count == 1, let lease = leases.first, lease != 0 else { continue }
            let time = seenTimes[index]
            let bounds = bounds(of: lease, at: time)
            if time > 0, bounds.isGranted, !bounds.mayBeRevoked, time < bounds.earliestEnd,
                !isDeletedOtherwise(transaction)
            {
                fail("lease \(lease) ends \((bounds.earliestEnd - time) / 1000) µs early, at revision \(index + 1)")
            }
            ended[lease] = UInt64(index + 1)
        }
        for (position, operation) in history.operations.enumerated() {
            guard case .keepAlive(let lease) = operation.request, case .failed(let code, _, _, _)? = operation.response,
                code == HOSTD_ERROR_NOT_FOUND
            else { continue }
            let bounds = bounds(of: lease, at: operation.endTime)
            if bounds.isGranted, !bounds.mayBeRevoked, operation.endTime < bounds.earliestEnd {
                fail("operation \(position) does not find lease \(lease), which cannot be over yet")
            }
        }
    }

    /// Whether a request without an answer asked for just these deletions.
    private func isDeletedOtherwise(_ transaction: Transaction) -> Bool {
        history.operations.contains { operation in
            guard case .write(let steps) = operation.request, operation.isOpen else { return false }
            let wanted = steps.filter { $0.kind != .check }
            return wanted.allSatisfy { $0.kind == .delete } && wanted.map(\.key) == transaction.changes.map(\.key)
        }
    }

    /// A write under a lease that had been revoked before it began must be refused.
    mutating func checkLease(of steps: [WriteStep], _ maker: Int, at revision: UInt64) {
        for step in steps where step.isPut && step.lease != 0 {
            let isOver = history.operations.contains { operation in
                guard operation.request == .revoke(step.lease), case .done? = operation.response,
                    let end = operation.end
                else { return false }
                return end < history.operations[maker].begin
            }
            if isOver { fail("revision \(revision) is under lease \(step.lease), which had been revoked before") }
        }
    }

    /// A lease that cannot be over must not be refused.
    mutating func checkLeaseRefusal(_ position: Int, _ steps: [WriteStep]) {
        let time = history.operations[position].endTime
        let mayBeOver = steps.contains { step in
            guard step.isPut, step.lease != 0 else { return false }
            let bounds = bounds(of: step.lease, at: time)
            return !bounds.isGranted || bounds.mayBeRevoked || time >= bounds.earliestEnd
        }
        if !mayBeOver { fail("operation \(position) was refused for a lease that cannot be over yet") }
    }
}
