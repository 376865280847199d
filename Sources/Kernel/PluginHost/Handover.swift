import PluginAPI

/// One generation takes over from another. Runs on the life-cycle thread, step by step; a step that fails before `commit`
/// leaves the old one in charge.
///
///     overlap              activate new ─► commit ─► end old
///     overlap with state   hold ─► drain ─► export, import ─► activate new ─► commit, release ─► end old
///     exclusive            hold ─► drain ─► export, import ─► deactivate old ─► activate new ─► commit, release
struct Handover {
    let host: PluginHost
    let old: PluginInstance
    let new: PluginInstance
    /// How long calls may take to leave the old one. Nanoseconds.
    var drainLimit = PluginHost.drainLimit
    /// The new one begins without what the old one knew.
    var discardsState = false

    struct Outcome {
        /// How long calls were held. Nanoseconds.
        var gap: UInt64 = 0
        var hasState = false
    }

    private var isExclusive: Bool {
        [old, new].contains { $0.description?.handover == .exclusive }
    }

    /// `commit` makes the new one the one in charge, in every binding.
    func run(commit: (_ hasState: Bool) -> Void) throws(PluginFailure) -> Outcome {
        let transfer = try transfer()
        guard isExclusive || transfer != nil else {
            try host.begin(new)
            commit(false)
            return Outcome()
        }
        let start = monotonicNow()
        host.setHeld(true, old)
        do throws(PluginFailure) {
            guard host.drainCalls(of: old, deadline: start + drainLimit) else {
                throw PluginFailure(
                    .drain, code: HOSTD_ERROR_DEADLINE_EXCEEDED,
                    "calls have not left the plugin within \(drainLimit / 1_000_000) ms; raise the limit with --timeout"
                )
            }
            if let transfer { try move(transfer) }
            if isExclusive { try endOld() }
            try host.begin(new)
        } catch {
            let failure = restore(after: error)
            host.setHeld(false, old)
            throw failure
        }
        old.isHeld = false
        commit(transfer != nil)
        return Outcome(gap: monotonicNow() - start, hasState: transfer != nil)
    }

    // MARK: State

    private typealias Transfer = (from: UnsafePointer<hostd_state_1>, to: UnsafePointer<hostd_state_1>)

    /// Both ends, when there is something to hand over.
    private func transfer() throws(PluginFailure) -> Transfer? {
        guard !discardsState, old.isActive, let from = try old.stateTable, let to = try new.stateTable else {
            return nil
        }
        return (from, to)
    }

    private func move(_ transfer: Transfer) throws(PluginFailure) {
        let state = try host.steps.during(.exportState, of: old.name) { () throws(PluginFailure) in
            try StateTransfer.export(transfer.from)
        }
        try host.steps.during(.importState, of: new.name) { () throws(PluginFailure) in
            try StateTransfer.take(state, into: transfer.to)
        }
    }

    // MARK: Exclusive

    private func endOld() throws(PluginFailure) {
        try host.end(old)
        guard host.drainOperations(of: old, deadline: monotonicNow() + drainLimit) else {
            throw PluginFailure(
                .drain, code: HOSTD_ERROR_DEADLINE_EXCEEDED,
                "the plugin was deactivated and has not finished its operations within \(drainLimit / 1_000_000) ms")
        }
    }

    /// Activates the old one again if it was deactivated. The failure to report.
    private func restore(after failure: PluginFailure) -> PluginFailure {
        guard !old.isActive, old.failure == nil, old.generation > 0 else { return failure }
        do throws(PluginFailure) {
            host.watchers.announce(host.changes(of: old, isActive: false))
            try host.begin(old)
            host.watchers.announce(host.changes(of: old, isActive: true))
            return failure
        } catch {
            host.record(error, of: old)
            return PluginFailure(
                failure.step, code: failure.code,
                "\(failure.message); and the plugin before it could not be activated again: \(error.message)")
        }
    }
}

/// Calls of hostd.state/1.
enum StateTransfer {
    /// Bytes of a state.
    static let limit = 256 << 20

    static func export(_ table: UnsafePointer<hostd_state_1>) throws(PluginFailure) -> [UInt8] {
        var (buffer, error) = (hostd_buffer(), ForeignBytes.emptyError())
        let status = table.pointee.export_state(table.pointee.interface.`self`, &buffer, &error)
        guard status == HOSTD_OK else {
            buffer.release?(buffer.context)
            throw failure(.exportState, status, error)
        }
        do { return try ForeignBytes.take(buffer, limit: limit) } catch {
            throw PluginFailure(
                .exportState, "the state has \(error.size) bytes; at most \(error.limit) are handed over")
        }
    }

    static func take(_ state: [UInt8], into table: UnsafePointer<hostd_state_1>) throws(PluginFailure) {
        var error = ForeignBytes.emptyError()
        let empty: UInt8 = 0
        let status = state.withUnsafeBufferPointer { bytes in
            withUnsafePointer(to: empty) { none in
                table.pointee.import_state(
                    table.pointee.interface.`self`, bytes.baseAddress ?? none, UInt64(bytes.count), &error)
            }
        }
        guard status == HOSTD_OK else { throw failure(.importState, status, error, format: formatName(of: state)) }
    }

    /// The first line of a state: the id of its format.
    static func formatName(of state: [UInt8]) -> String {
        String(decoding: state.prefix(128).prefix { $0 != 0x0A }, as: UTF8.self)
    }

    private static func failure(
        _ step: PluginFailure.Step, _ status: Int32, _ error: hostd_error, format: String? = nil
    ) -> PluginFailure {
        let message = ForeignBytes.message(of: error)
        guard status < 0 else {
            return PluginFailure(step, "the plugin returned the status \(status); allowed are 0 and negative ones")
        }
        let reason = message.isEmpty ? "the plugin failed with \(statusName(status)) and gave no reason" : message
        guard status == HOSTD_ERROR_VERSION, let format else { return PluginFailure(step, code: status, reason) }
        return PluginFailure(
            step, code: status,
            "\(reason) (the state has the format \"\(format)\"; --discard-state swaps without it)")
    }
}
