import Objects
import PluginKit
import Synchronization

/// Fills the runtime state: events first, then one full list, so that nothing falls between.
final class RuntimeWatcher: Sendable {
    private let runtime: any PodRuntime
    private let state: RuntimeState
    private let onChange: @Sendable (_ podUID: String) -> Void
    private let onOutOfMemory: @Sendable (_ podUID: String, _ containerID: String) -> Void
    private let watch = Mutex<UInt64?>(nil)

    init(
        runtime: any PodRuntime, state: RuntimeState, onChange: @escaping @Sendable (String) -> Void,
        onOutOfMemory: @escaping @Sendable (String, String) -> Void = { _, _ in }
    ) {
        self.runtime = runtime
        self.state = state
        self.onChange = onChange
        self.onOutOfMemory = onOutOfMemory
    }

    /// Answers the sandboxes that were there.
    func start() throws -> [ObservedSandbox] {
        let handle = try runtime.watch { [weak self] event in self?.handle(event) }
        watch.withLock { $0 = handle }
        return try list()
    }

    func stop() throws {
        let handle = watch.withLock { watch in
            defer { watch = nil }
            return watch
        }
        if let handle { try runtime.watchCancel(handle) }
    }

    /// Watches and lists once more, after a provider came or was replaced. What its provider does not know any more is
    /// forgotten; what belongs to one that is not active is kept.
    func restart() throws {
        try stop()
        let known = Set(state.sandboxIDs)
        let present = Set(try start().map(\.id))
        for id in known.subtracting(present) where runtime.vouches(forSandbox: id) { state.removeSandbox(id) }
    }

    private func list() throws -> [ObservedSandbox] {
        let deadline = WallClock.deadline(seconds: 60)
        let sandboxes = try runtime.listSandboxes([:], deadline: deadline)["sandboxes"].arrayValue
            .compactMap(ObservedSandbox.init)
        for sandbox in sandboxes { state.apply(sandbox) }
        for json in try runtime.listContainers([:], deadline: deadline)["containers"].arrayValue {
            if let container = ObservedContainer(json) { state.apply(container) }
        }
        return sandboxes
    }

    private func handle(_ event: JSON) {
        let type = event["type"].stringValue ?? ""
        if type == "removed" {
            let id = event["containerID"].stringValue ?? ""
            if let uid = state.removeContainer(id, sandboxID: event["sandboxID"].stringValue ?? "") { onChange(uid) }
            return
        }
        guard let container = ObservedContainer(event["container"]) else { return }
        guard let uid = state.apply(container) else { return }
        if type == "oom" { onOutOfMemory(uid, container.id) }
        // The worker knows what it creates and starts itself; what it does not know is how things end.
        if type == "exited" || type == "oom" { onChange(uid) }
    }
}
