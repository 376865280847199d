import Objects
import PluginAPI

/// What callers from outside the life-cycle thread may ask for.
extension PluginHost {
    /// Carries out a request and waits for its end: {"plugin", "generation", "lastSwap"}. Any thread but those of plugins'
    /// life-cycle functions.
    public func perform(_ request: SwapRequest) throws(PluginFailure) -> JSON {
        try lifecycle.perform { [self] () throws(PluginFailure) in
            let entry = try entry(for: request)
            try carryOut(request, on: entry)
            let current = selectedEntry(request, otherwise: entry)
            return [
                "plugin": .string(current.name), "generation": .integer(current.current.generation),
                "lastSwap": current.lastSwap?.json ?? .null,
            ]
        }
    }

    /// Checks and queues a request: {"plugin", "generation" of now}. What becomes of it is kept in `lastSwap`.
    func enqueue(_ request: SwapRequest) throws(PluginFailure) -> JSON {
        let entry = try entry(for: request)
        let generation = entry.current.generation
        try lifecycle.enqueue { [self] refusal in
            guard refusal == nil else { return }
            do throws(PluginFailure) { try carryOut(request, on: entry) } catch { keep(error, of: request, on: entry) }
        }
        return ["plugin": .string(entry.name), "generation": .integer(generation)]
    }

    /// Lets `lastSwap` tell of a request that failed before its swap began.
    private func keep(_ failure: PluginFailure, of request: SwapRequest, on entry: PluginEntry) {
        guard entry.lastSwap?.failure != failure else { return }
        let (current, version) = (entry.current.settings, entry.current.description?.version ?? "")
        entry.lastSwap = SwapRecord(
            time: .now(), failure: failure, from: .init(library: current.library, version: version),
            to: .init(library: request.library ?? current.library, version: ""), trigger: request.trigger,
            nanoseconds: 0, gapNanoseconds: 0)
        changed(entry.name)
    }

    /// The plugin that a request means: by name, or by a role that it is selected for or, failing that, provides.
    private func entry(for request: SwapRequest) throws(PluginFailure) -> PluginEntry {
        let subject = request.subject
        let name =
            subject.contains("/")
            ? selected(subject)?.name ?? instances.first { $0.provides(subject) && !$0.isStandby }?.name : subject
        if let entry = name.flatMap({ entry($0) }) { return entry }
        let known = subject.contains("/") ? instances.flatMap { $0.description?.provides ?? [] } : entries.map(\.name)
        throw PluginFailure(
            .request, code: HOSTD_ERROR_NOT_FOUND,
            (subject.contains("/") ? "no plugin provides \(subject)" : "no plugin is named \(subject)")
                + suggestion(for: subject, among: known))
    }

    /// Who serves the role of a request after it was carried out.
    private func selectedEntry(_ request: SwapRequest, otherwise entry: PluginEntry) -> PluginEntry {
        guard request.subject.contains("/"), let name = selected(request.subject)?.name else { return entry }
        return self.entry(name) ?? entry
    }

    private func carryOut(_ request: SwapRequest, on entry: PluginEntry) throws(PluginFailure) {
        var options = SwapOptions(
            trigger: request.trigger, discardsState: request.discardsState, drainLimit: request.drainLimit)
        switch request.action {
        case .rollback:
            guard let previous = entry.previous else {
                throw PluginFailure(
                    .request, code: HOSTD_ERROR_WRONG_STATE,
                    "plugin \(entry.name) has not been swapped: there is nothing to return to")
            }
            switch previous {
            case .generation(let settings, _): try swap(entry, to: settings, options)
            case .plugin(let name): try handOver(entry, to: try known(name), role: request.role, options)
            }
        case .swap:
            if let library = request.library, library != entry.name, let other = self.entry(library) {
                return try handOver(entry, to: other, role: request.role, options)
            }
            guard !entry.current.isStandby else {
                throw PluginFailure(
                    .request, code: HOSTD_ERROR_WRONG_STATE,
                    "plugin \(entry.name) is on standby: name a role, and --to \(entry.name) to let it take over")
            }
            options.keepsOptions = request.changes["options"].exists
            let settings: HostConfiguration.PluginSettings
            do throws(ConfigurationError) { settings = try entry.current.settings.applying(request.changes) } catch {
                throw PluginFailure(
                    .request, code: HOSTD_ERROR_INVALID_ARGUMENT, "\(error.keyPath): \(error.message)")
            }
            try swap(entry, to: settings, options)
        }
    }

    private func known(_ name: String) throws(PluginFailure) -> PluginEntry {
        if let entry = entry(name) { return entry }
        throw PluginFailure(
            .request, code: HOSTD_ERROR_NOT_FOUND, "plugin \(name), which was there before, is not configured any more")
    }
}
