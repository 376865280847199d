import Objects
import Synchronization

/// What the node remembers about one pod beside API object and runtime state. Everything in it can be rebuilt.
struct PodMemory: Sendable {
    var pod: Pod
    /// The object is gone from the API.
    var isOrphan = false
    var waiting: [String: WaitingReason] = [:]
    var backOff: [String: CrashBackOff] = [:]
    var imageBackOff: [String: CrashBackOff] = [:]
    var retryAt: [String: Double] = [:]
    var health: [String: ContainerHealth] = [:]
    var stopping: [String: Double] = [:]
    var killing: Set<String> = []
    var terminationMessages: [String: String] = [:]
    var podIPs: [String] = []
    /// When the node took the pod up: metav1.Time, and wall-clock seconds.
    var startTime: String
    var startedAt: Double
    var volumes: [String: MountedVolume]?
    /// An object that a volume is made from has changed.
    var volumesAreStale = false
    var sandboxRetryAt = 0.0
    var sandboxFailures = 0
    var attemptFloor: [String: Int64] = [:]
    /// Containers whose image is being pulled now.
    var pulling: Set<String> = []
    /// Containers whose image was pulled for the start that is due.
    var pulled: Set<String> = []
    /// Sandboxes that are being ended.
    var ending: Set<String> = []
    var isReleased = false
    var isAttached = false
    /// Containers whose start was finished (hooks, probes) by this process.
    var supervised: Set<String> = []
    var lastStatus: JSON?
    /// Why the node did not take the pod, or has ended it.
    var failure: WaitingReason?
    /// The reason of a pod that wrote more to the disk than it may.
    static let eviction = "Evicted"
    /// Consecutive failures to create a container, by name.
    var startFailures: [String: Int] = [:]
    /// Containers whose back-off was reported as an event.
    var reportedBackOff: Set<String> = []
    var resources: PodResources
    /// What the pod keeps of the node, as granted.
    var request: PodRequest
    /// Containers that are being ended to be started anew, whatever their exit code and the restart policy say.
    var replacing: Set<String> = []
    /// When the time of preStop hooks that were begun before the container's turn to end is over.
    var preStops: [String: Double] = [:]
    /// Those of them that have run.
    var preStopped: Set<String> = []

    /// Takes over a newer version of the object; answers whether the pod must be looked at.
    mutating func take(_ newer: Pod) -> Bool {
        let old = pod
        if newer.revision != 0, newer.revision < old.revision { return false }
        pod = newer
        let described =
            old.object["metadata"]["labels"] != newer.object["metadata"]["labels"]
            || old.object["metadata"]["annotations"] != newer.object["metadata"]["annotations"]
        let isRespecified = old.specification != newer.specification
        if described || isRespecified { volumesAreStale = true }
        if described { retryConfigurations() }
        // An echo of our own status asks for nothing.
        return described || isRespecified
            || old.deletionTimestamp != newer.deletionTimestamp
            || old.deletionGraceSeconds != newer.deletionGraceSeconds || old.phase != newer.phase
            || (newer.status != old.status && newer.status != lastStatus)
    }
}

extension PodMemory {
    /// Containers that could not be configured are tried again at once: what they lacked may be there now.
    mutating func retryConfigurations() {
        for (name, waiting) in waiting where waiting.reason == "CreateContainerConfigError" { retryAt[name] = nil }
    }
}

/// One pod on this node. The worker of its key is the only one to act; others leave notes under the lock.
final class PodEntry: Sendable {
    let uid: String
    /// When this process first saw the pod, wall-clock seconds.
    let seenAt: Double
    private let memory: Mutex<PodMemory>

    init(pod: Pod, now: Double) {
        uid = pod.uid
        seenAt = now
        let started = pod.status["startTime"].stringValue
        var memory = PodMemory(
            pod: pod, startTime: started ?? WallClock.timestamp(),
            startedAt: started.flatMap(WallClock.seconds(rfc3339:)) ?? now, resources: PodResources(pod),
            request: ResourceTranslation.request(pod))
        for member in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
            for status in pod.status[member].arrayValue {
                guard let name = status["name"].stringValue, status["containerID"].exists else { continue }
                memory.attemptFloor[name] = (status["restartCount"].integerValue ?? 0) + 1
            }
        }
        if pod.status["reason"].exists, pod.isTerminal {
            memory.failure = WaitingReason(
                reason: pod.status["reason"].stringValue ?? "", message: pod.status["message"].stringValue ?? "")
        }
        self.memory = Mutex(memory)
    }

    func read<Value: Sendable>(_ body: (PodMemory) -> Value) -> Value { memory.withLock { body($0) } }

    @discardableResult
    func update<Value: Sendable>(_ body: (inout PodMemory) -> Value) -> Value { memory.withLock { body(&$0) } }

    var pod: Pod { memory.withLock { $0.pod } }

    /// Puts memory and observation together for the state machine.
    func snapshot(_ record: RuntimeState.PodRecord, now: Double) -> PodSnapshot {
        memory.withLock { memory in
            PodSnapshot(
                pod: memory.pod, sandboxes: record.sandboxes.values.sorted { $0.attempt < $1.attempt },
                containers: Array(record.containers.values), health: memory.health, backOff: memory.backOff,
                retryAt: memory.retryAt, stopping: memory.stopping, killing: memory.killing,
                sandboxRetryAt: memory.sandboxRetryAt,
                isOrphan: memory.isOrphan, startedAt: memory.startedAt, now: now, attemptFloor: memory.attemptFloor,
                isReleased: memory.isReleased, isRefused: memory.failure != nil,
                isEvicted: memory.failure?.reason == PodMemory.eviction,
                resources: memory.resources, replacing: memory.replacing, preStops: memory.preStops)
        }
    }
}
