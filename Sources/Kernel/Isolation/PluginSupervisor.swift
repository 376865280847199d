import CIsolation
import Glibc
import Objects
import PluginAPI
import Synchronization

/// What isolated generations of one entry of `plugins:` have in common: how their processes are started, how they are started
/// again, and the state that the next one takes over.
final class PluginSupervisor: @unchecked Sendable {
    // SAFETY: what changes is under `monitor`; `host` is written once and weak.
    /// Directories that exist from `configure` on.
    struct Places: Equatable, Sendable {
        var data: String
        var directory: String
    }

    /// What the start of a process depends on.
    struct Setting: Sendable {
        var name: String
        var isolation: IsolationSettings
        /// The user, unless `user:root` is granted.
        var user: UInt32
        var program: String
        var groupParent: String
    }

    private let log: Log
    private weak let host: PluginHost?
    private let monitor = Monitor()
    private var setting: Setting
    private var knownPlaces: Places?
    private var backOff: RestartBackOff
    private var failure: PluginFailure?
    private var checkpoint: [UInt8]?
    private var checkpointPath = ""
    private var callsAtCheckpoint: UInt64 = .max
    private var isTakingCheckpoint = false
    private let leases = OwnedHandles()
    /// Gates of generations that are gone, with the time of their end: a late call may still be inside.
    private var retired: [(time: UInt64, gates: PluginGates)] = []

    private static let layout = Mutex<ControlGroupLayout?>(nil)
    private static let number = Atomic<UInt64>(0)

    init(_ setting: Setting, backOff: RestartBackOff, host: PluginHost) {
        self.setting = setting
        self.backOff = backOff
        self.host = host
        log = host.log
        if geteuid() == 0 {
            PluginGroup.removeStale(
                layout: Self.groups, files: KernelControlGroupFiles(), parent: setting.groupParent, plugin: setting.name
            )
        } else {
            warn("the plugin has hostd's own user and no limits", "hostd does not run as root")
        }
    }

    /// For generations from now on.
    func update(_ setting: Setting) { monitor.locked { self.setting = setting } }

    var places: Places? {
        get { monitor.locked { knownPlaces } }
        set { monitor.locked { knownPlaces = newValue } }
    }

    /// The state that the next process would get.
    var lastCheckpoint: [UInt8]? { monitor.locked { checkpoint } }
    /// Why the last process ended that was in charge; nil when none has.
    var lastFailure: PluginFailure? { monitor.locked { failure } }

    func makeGates() -> PluginGates {
        let setting = monitor.locked { self.setting }
        return PluginGates(plugin: setting.name, policy: setting.isolation.policy, leases: leases)
    }

    func keep(_ gates: PluginGates) {
        let now = monotonicNow()
        monitor.locked {
            retired.removeAll { now - $0.time > backOff.retention }
            retired.append((now, gates))
        }
    }

    func warn(_ message: String, _ reason: String) {
        log.warning(message, ["plugin": .string(monitor.locked { setting.name }), "reason": .string(reason)])
    }

    func warn(ofMissingGrants missing: [String]) {
        if !missing.isEmpty {
            warn("a plugin requires what it may not use", "its `grants` lack \(list(missing))")
        }
    }

    // MARK: Starting

    func startSession(
        library: String, places: Places?, resolve: @escaping IsolatedSession.Resolve,
        onEnd: @escaping IsolatedSession.OnEnd
    ) throws(PluginFailure) -> IsolatedSession {
        let setting = monitor.locked { self.setting }
        let isRoot = geteuid() == 0
        let group = isRoot ? makeGroup(setting) : nil
        let user = setting.isolation.grants.contains(.userRoot) ? 0 : setting.user
        do throws(PluginFailure) {
            if isRoot, let places { try FileOwner.give(places.directory, to: user) }
            let settings = try Self.sandbox(
                setting, user: user, library: library, places: places, hasGroup: group != nil)
            return try IsolatedSession(
                order: PluginProcess.Order(
                    plugin: setting.name, program: setting.program, settings: settings, memory: -1, socket: -1,
                    group: group, memoryLimit: setting.isolation.limits.memory),
                callTimeout: setting.isolation.callTimeout, log: log, resolve: resolve, onEnd: onEnd)
        } catch {
            group?.remove()
            throw error
        }
    }

    private static var groups: ControlGroupLayout {
        layout.withLock { layout in
            if let known = layout { return known }
            let text = KernelControlGroupFiles().read("/proc/self/mountinfo") ?? ""
            let found = ControlGroupLayout(mountInformation: text)
            layout = found
            return found
        }
    }

    private func makeGroup(_ setting: Setting) -> PluginGroup? {
        let group = PluginGroup(
            layout: Self.groups, files: KernelControlGroupFiles(), parent: setting.groupParent, plugin: setting.name,
            number: Self.number.wrappingAdd(1, ordering: .relaxed).newValue)
        do throws(PluginGroup.Failure) {
            try group.create(setting.isolation.limits)
            return group
        } catch {
            warn("a plugin's process runs without limits of memory and processors", error.message)
            return nil
        }
    }

    /// The options of the sandbox (Sources/PluginProcess/sandbox.h), one a line.
    static func sandbox(
        _ setting: Setting, user: UInt32, library: String, places: Places?, hasGroup: Bool
    ) throws(PluginFailure) -> String {
        let policy = setting.isolation.policy
        var lines = [
            "parent=\(getpid())", "user=\(user)", "capabilities=\(String(policy.capabilities, radix: 16))",
            "network=\(policy.grants.contains(.network) ? 1 : 0)", "exec=\(policy.grants.contains(.exec) ? 1 : 0)",
            "files=\(setting.isolation.limits.files)", "library=\(library)",
        ]
        // Counts all processes of the user: of use where a user is one plugin.
        if !hasGroup, user != 0, geteuid() == 0 { lines.append("processes=\(setting.isolation.limits.processes)") }
        if let places, geteuid() == 0 { lines += ["data=\(places.data)", "directory=\(places.directory)"] }
        guard !lines.contains(where: { $0.contains("\n") }) else {
            throw PluginFailure(
                .open, code: HOSTD_ERROR_INVALID_ARGUMENT, "the paths of an isolated plugin may have no line breaks")
        }
        return lines.map { $0 + "\n" }.joined()
    }

    // MARK: Falling and rising

    /// The process of a generation that is in charge has ended. Returns when another one is up, or none is wanted.
    func fell(_ image: IsolatedPlugin, _ failure: PluginFailure, _ uptime: UInt64, wasKilled: Bool) {
        var (failure, uptime, wasKilled) = (failure, uptime, wasKilled)
        while true {
            let (name, state, delay) = monitor.locked {
                self.failure = failure
                let delay = backOff.delay(afterUptime: uptime, wasKilled: wasKilled, chance: .random(in: 0..<1))
                return (setting.name, checkpointPath == image.path ? checkpoint : nil, delay)
            }
            log.error(
                "the process of plugin \(name) has ended and is started again",
                [
                    "plugin": .string(name), "reason": .string(failure.message),
                    "uptimeMilliseconds": JSON(uptime / 1_000_000),
                    "delayMilliseconds": JSON(delay / 1_000_000),
                ])
            guard let host else { return }
            host.markFallen(name, failure, of: image)
            wait(delay)
            guard let next = Self.restart(host, name, failure, image, state), !image.isDestroyed else { return }
            // One that could not even be activated was up for no time.
            if next != LifecycleThread.refusal { (failure, uptime, wasKilled) = (next, 0, false) }
        }
    }

    private func wait(_ delay: UInt64) {
        let pause = Monitor()
        let end = monotonicNow() + delay
        pause.locked { while pause.wait(until: end) {} }
    }

    /// Why there is no new generation yet; nil when there is, or when none is to be.
    private static func restart(
        _ host: PluginHost, _ name: String, _ failure: PluginFailure, _ image: IsolatedPlugin, _ checkpoint: [UInt8]?
    ) -> PluginFailure? {
        let done = Monitor()
        nonisolated(unsafe) var outcome: PluginFailure??  // Under `done`.
        host.restart(name, after: failure, of: image, checkpoint: checkpoint) { failure in
            done.locked {
                outcome = .some(failure)
                done.broadcast()
            }
        }
        return done.locked { () -> PluginFailure? in
            while true {
                if let outcome { return outcome }
                done.wait()
            }
        }
    }

    // MARK: Checkpoints

    /// A generation is in charge from now on, or soon.
    func activated(_ image: IsolatedPlugin) {
        monitor.locked {
            if checkpointPath != image.path { checkpoint = nil }
            checkpointPath = image.path
            callsAtCheckpoint = .max
        }
        tick(image)
    }

    /// Asks for a checkpoint, when there is something new since the last one.
    func tick(_ image: IsolatedPlugin) {
        guard let host else { return }
        let name = monitor.locked { setting.name }
        guard let calls = host.callsSinceActivation(of: name, image) else { return }
        let isWanted = monitor.locked {
            guard !isTakingCheckpoint, calls != callsAtCheckpoint else { return false }
            isTakingCheckpoint = true
            return true
        }
        guard isWanted else { return }
        host.takeCheckpoint(name, of: image) { [self] state in
            monitor.locked {
                isTakingCheckpoint = false
                guard let state, checkpointPath == image.path else { return }
                checkpoint = state
                callsAtCheckpoint = calls
            }
        }
    }
}
