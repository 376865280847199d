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
            do throws(PluginFailure) { try carryOut(request, on: entry) } catch {
                log.debug("a request failed", ["plugin": .string(entry.name), "reason": .string(error.description)])
            }
        }
        return ["plugin": .string(entry.name), "generation": .integer(generation)]
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
            try swap(entry, to: previous.settings, options)
        case .swap:
            var settings = entry.current.settings
            if let library = request.library { settings.library = library }
            if let given = request.options { settings.options = YAMLNode(given) }
            options.keepsOptions = request.options != nil
            try swap(entry, to: settings, options)
        }
    }
}
