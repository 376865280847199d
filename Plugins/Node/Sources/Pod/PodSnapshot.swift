/// What probes and hooks say about one running container.
struct ContainerHealth: Sendable, Equatable {
    /// The startup probe succeeded, or there is none.
    var started = true
    /// The readiness probe's last verdict; true without one.
    var ready = true
    /// Why the container must be killed (a failed liveness or startup probe, a failed postStart hook).
    var killReason: StopReason?
    /// The postStart hook has not ended yet.
    var hookPending = false
    /// Grace period of the probe that failed, when it has its own.
    var killGraceSeconds: Int64?
}

/// Why a container is stopped; it decides the event and the message that users see.
enum StopReason: Sendable, Equatable {
    case podDeleted
    case podFinished
    case deadlineExceeded
    case livenessFailed
    case startupFailed
    case postStartFailed(String)
    case specificationChanged
    case resized
    /// Another container's end lets the whole pod begin anew.
    case podRestarts
    case sandboxLost

    /// The text of the "Killing" event for `container`.
    func message(container: String) -> String {
        switch self {
        case .podDeleted, .podFinished, .deadlineExceeded: return "Stopping container \(container)"
        case .livenessFailed: return "Container \(container) failed liveness probe, will be restarted"
        case .startupFailed: return "Container \(container) failed startup probe, will be restarted"
        case .postStartFailed(let why): return "FailedPostStartHook: \(why)"
        case .resized: return "Container \(container) resize requires restart"
        case .podRestarts: return "Container \(container) will be restarted with all containers of the pod"
        case .specificationChanged: return "Container \(container) definition changed, will be restarted"
        case .sandboxLost: return "Pod sandbox changed, it will be killed and re-created."
        }
    }
}

/// Why a container waits, as users know it ("ImagePullBackOff", …).
struct WaitingReason: Sendable, Equatable {
    var reason: String
    var message: String
}

/// Everything that the state machine decides from. Times are wall-clock seconds.
struct PodSnapshot: Sendable {
    let pod: Pod
    var sandboxes: [ObservedSandbox]
    var containers: [ObservedContainer]
    /// By container ID.
    var health: [String: ContainerHealth]
    /// By container name.
    var backOff: [String: CrashBackOff]
    /// Failed starts are tried again from then on, by container name.
    var retryAt: [String: Double]
    /// When the grace period of a stop in progress ends, by container ID.
    var stopping: [String: Double]
    /// Containers that are being killed.
    var killing: Set<String> = []
    var sandboxRetryAt: Double
    /// The pod is gone from the API, without a graceful deletion that was seen.
    var isOrphan: Bool
    /// When the pod was first seen here, for activeDeadlineSeconds.
    var startedAt: Double
    var now: Double
    /// Lowest attempt number that is free, by container name, from statuses whose containers are gone.
    var attemptFloor: [String: Int64]
    /// Volumes and devices were given back already.
    var isReleased: Bool
    /// The node does not take the pod.
    var isRefused = false
    /// The node ends it, without much time.
    var isEvicted = false
    var resources = PodResources()
    /// Containers that are ended to be started anew.
    var replacing: Set<String> = []
    /// When the time of preStop hooks that were begun before the container's turn to end is over, by container ID.
    var preStops: [String: Double] = [:]

    /// The newest sandbox.
    var sandbox: ObservedSandbox? {
        sandboxes.max { ($0.attempt, $0.createdAt) < ($1.attempt, $1.createdAt) }
    }

    /// The newest instance of a container in one sandbox, or in all.
    func newest(_ name: String, in sandboxID: String? = nil) -> ObservedContainer? {
        containers.filter { $0.name == name && (sandboxID == nil || $0.sandboxID == sandboxID) }
            .max { $0.attempt < $1.attempt }
    }

    /// The instance before the newest one.
    func previous(_ name: String) -> ObservedContainer? {
        guard let newest = newest(name) else { return nil }
        return containers.filter { $0.name == name && $0.attempt < newest.attempt }.max { $0.attempt < $1.attempt }
    }

    /// One that was created and never ran does not count as an attempt: the next takes its number.
    func nextAttempt(_ name: String) -> Int64 {
        if let newest = newest(name), newest.state == .created { return newest.attempt }
        return max(newest(name).map { $0.attempt + 1 } ?? 0, attemptFloor[name] ?? 0)
    }

    /// Whether a container that has ended starts again.
    func restarts(_ container: PodContainer, _ ended: ObservedContainer) -> Bool {
        replacing.contains(ended.id) || isOfFormerRound(ended) || container.restarts(afterExitCode: ended.exitCode)
    }

    /// Containers that run with other resources than they are granted.
    var outdatedInstances: [ObservedContainer] {
        let sandbox = sandbox?.id
        return containers.filter {
            $0.state == .running && $0.sandboxID == sandbox && stopping[$0.id] == nil && resources.isOutdated($0)
        }
    }

    /// Whether what has changed of a container's resources is applied by starting it anew.
    func needsRestart(_ instance: ObservedContainer) -> Bool {
        pod.container(named: instance.name).map { resources.needRestart($0, instance) } ?? false
    }

    func healthOf(_ container: ObservedContainer) -> ContainerHealth { health[container.id] ?? ContainerHealth() }
}
