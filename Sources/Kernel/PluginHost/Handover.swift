import PluginAPI

/// One generation takes over from another. Runs on the life-cycle thread, step by step; a step that fails before `commit`
/// leaves the old one in charge. Calls wait between `hold` and `commit`.
///
///     overlap       activate new ─► commit ─► end old
///       with state  hold ─► drain ─► export, import ─► activate new ─► commit ─► end old
///       live        copy ─► activate new ─► catch up ─► hold ─► drain ─► catch up ─► commit ─► end old
///     exclusive     hold ─► drain ─► export, import ─► end old ─► activate new ─► commit
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

    /// `commit` makes the new one the one in charge, in every binding, and ends the hold.
    func run(commit: (_ hasState: Bool) -> Void) throws(PluginFailure) -> Outcome {
        let transfer = try transfer()
        guard !isExclusive else {
            return try held(commit, hasState: transfer != nil) { () throws(PluginFailure) in
                if let transfer { try move(transfer) }
                try endOld()
                try host.begin(new)
            }
        }
        guard let transfer else {
            try host.begin(new)
            commit(false)
            return Outcome()
        }
        if let live = try host.steps.during(
            .exportState, of: old.name,
            { () throws(PluginFailure) in
                try LiveTransfer(from: transfer.from, to: transfer.to)
            })
        {
            return try follow(live, transfer.to, commit)
        }
        return try held(commit, hasState: true) { () throws(PluginFailure) in
            try move(transfer)
            try host.begin(new)
        }
    }

    /// Runs `body` while calls wait and none is inside the old one, and then commits. Whoever waits for these calls waits for
    /// this thread.
    private func held(
        _ commit: (_ hasState: Bool) -> Void, hasState: Bool, _ body: () throws(PluginFailure) -> Void
    ) throws(PluginFailure) -> Outcome {
        try ThreadPriority.preferred { () throws(PluginFailure) in
            try holdAndCommit(commit, hasState: hasState, body)
        }
    }

    private func holdAndCommit(
        _ commit: (_ hasState: Bool) -> Void, hasState: Bool, _ body: () throws(PluginFailure) -> Void
    ) throws(PluginFailure) -> Outcome {
        let start = monotonicNow()
        host.setHeld(true, old)
        do throws(PluginFailure) {
            guard host.drainCalls(of: old, deadline: start + drainLimit) else {
                throw PluginFailure(
                    .drain, code: HOSTD_ERROR_DEADLINE_EXCEEDED,
                    "calls have not left the plugin within \(drainLimit / 1_000_000) ms; raise the limit with --timeout"
                )
            }
            try body()
        } catch {
            let failure = restore(after: error)
            host.setHeld(false, old)
            throw failure
        }
        old.isHeld = false
        commit(hasState)
        return Outcome(gap: monotonicNow() - start, hasState: hasState)
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

    /// Lets the new one follow the old one that works, until little is left to tell it.
    private func follow(
        _ live: LiveTransfer, _ table: LiveTransfer.Table, _ commit: (_ hasState: Bool) -> Void
    ) throws(PluginFailure) -> Outcome {
        defer { live.end() }
        try host.steps.during(.importState, of: new.name) { () throws(PluginFailure) in
            try StateTransfer.take(live.base, into: table)
        }
        try host.begin(new)
        try catchUp(live)
        return try held(commit, hasState: true) { () throws(PluginFailure) in try catchUp(live) }
    }

    private func catchUp(_ live: LiveTransfer) throws(PluginFailure) {
        let changes = try host.steps.during(.exportState, of: old.name) { () throws(PluginFailure) in
            try live.changes()
        }
        try host.steps.during(.importState, of: new.name) { () throws(PluginFailure) in try live.take(changes) }
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
