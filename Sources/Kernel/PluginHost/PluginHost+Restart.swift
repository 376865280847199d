import PluginAPI

extension PluginHost {
    /// Replaces a generation that has failed while it was in use, such as one whose process ended: callers get UNAVAILABLE
    /// until the new one is bound. Queues and returns; `done` is called by the life-cycle thread, with the reason when the
    /// new one could not be activated or hostd ends. Nothing happens when `image` is in charge no longer.
    ///
    /// `checkpoint`: the last state that the old one exported, if there is one.
    func restart(
        _ name: String, after failure: PluginFailure, of image: any PluginImage, checkpoint: [UInt8]?,
        done: @escaping @Sendable (PluginFailure?) -> Void
    ) {
        do throws(PluginFailure) {
            try lifecycle.enqueue { [self] refusal in
                if let refusal { return done(refusal) }
                guard let entry = entry(name), entry.current.image === image else { return done(nil) }
                do throws(PluginFailure) {
                    try restart(entry, after: failure, checkpoint)
                    done(nil)
                } catch {
                    done(error)
                }
            }
        } catch {
            done(error)
        }
    }

    private func restart(
        _ entry: PluginEntry, after failure: PluginFailure, _ checkpoint: [UInt8]?
    ) throws(PluginFailure) {
        let old = entry.current
        fall(entry, after: failure)
        entry.countRestart()
        let new = PluginInstance(settings: old.settings)
        try recorded(entry, from: old, to: new, .restart) { () throws(PluginFailure) in
            do throws(PluginFailure) {
                try open(new)
                try checkOptions(of: new)
                try configure(new)
                let hasState = try restore(checkpoint, in: new)
                try begin(new)
                put(new, inPlaceOf: old, in: entry, hasState: hasState)
            } catch {
                discard(new)
                throw error
            }
            retire(old, of: entry)
            return Handover.Outcome()
        }
    }

    /// Takes the roles of a generation that has failed from it.
    func fall(_ entry: PluginEntry, after failure: PluginFailure) {
        let old = entry.current
        guard old.failure == nil else { return }
        record(failure, of: old)
        rebind(Set(old.targets.keys), of: [entry.name])
        watchers.announce(changes(of: old, isActive: false))
    }

    /// Hands the checkpoint to the new generation; one that it does not know is left out.
    private func restore(_ checkpoint: [UInt8]?, in new: PluginInstance) throws(PluginFailure) -> Bool {
        guard let checkpoint, let table = try new.stateTable else { return false }
        do throws(PluginFailure) {
            try StateTransfer.take(checkpoint, into: table)
            return true
        } catch {
            guard error.code == HOSTD_ERROR_VERSION else { throw error }
            log.warning(
                "the last state of a plugin is of no use to it",
                ["plugin": .string(new.name), "reason": .string(error.message)])
            return false
        }
    }
}
