import Objects

/// Which pods of a Job have been counted. Each carries a finalizer until the Job's status holds it, so that a pod that is
/// deleted behind the Job's back is counted all the same, and once: first the status lists it, then it loses the finalizer,
/// then it moves from the list into the count.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers.
struct JobTracking {
    static let finalizer = "batch.kubernetes.io/job-tracking"
    /// How many pods a status may list; more of them wait for the next look.
    static let limit = 500

    /// Pods that were counted and are tracked no more.
    private(set) var succeeded: Int64
    private(set) var failed: Int64
    /// Uids of pods that the status lists: they carry the finalizer still.
    private(set) var openSuccesses: [String]
    private(set) var openFailures: [String]
    /// Pods that lose the finalizer once the status is written.
    private(set) var release: [JSON] = []
    private var listed: Set<String>
    private var released: Set<String> = []

    /// - Parameters:
    ///   - status: of the Job.
    ///   - pods: all that it owns.
    init(_ status: JSON, pods: [JSON]) {
        let tracked = Set(pods.lazy.filter(Self.isTracked).map(\.uid))
        let lists = ["succeeded", "failed"].map { list in
            status["uncountedTerminatedPods"][list].arrayValue.compactMap(\.stringValue)
        }
        let open = lists.map { $0.filter(tracked.contains) }
        succeeded = (status["succeeded"].integerValue ?? 0) + Int64(lists[0].count - open[0].count)
        failed = (status["failed"].integerValue ?? 0) + Int64(lists[1].count - open[1].count)
        openSuccesses = open[0]
        openFailures = open[1]
        listed = Set(open[0] + open[1])
    }

    static func isTracked(_ pod: JSON) -> Bool { pod.finalizers.contains(finalizer) }

    /// With those that the status only lists.
    var allSuccesses: Int64 { succeeded + Int64(openSuccesses.count) }
    var allFailures: Int64 { failed + Int64(openFailures.count) }

    /// Whether every pod that ended has found its way into the counts.
    var isSettled: Bool { listed.isEmpty && release.isEmpty }

    /// Whether a pod is among those that are counted.
    func counts(_ pod: JSON) -> Bool { listed.contains(pod.uid) }

    mutating func countSuccess(_ pod: JSON) {
        guard list(pod) else { return }
        openSuccesses.append(pod.uid)
    }

    mutating func countFailure(_ pod: JSON) {
        guard list(pod) else { return }
        openFailures.append(pod.uid)
    }

    /// Lets go of a pod that counts by something else, or not at all.
    mutating func letGo(_ pod: JSON) {
        guard Self.isTracked(pod), released.insert(pod.uid).inserted else { return }
        release.append(pod)
    }

    /// True when the pod is new to the list.
    private mutating func list(_ pod: JSON) -> Bool {
        guard Self.isTracked(pod) else { return false }
        if listed.contains(pod.uid) {
            letGo(pod)
            return false
        }
        guard listed.count < Self.limit else { return false }
        listed.insert(pod.uid)
        letGo(pod)
        return true
    }

    /// The member `uncountedTerminatedPods` of the status.
    var uncounted: JSON {
        var lists: JSON = [:]
        for (list, uids) in [("succeeded", openSuccesses), ("failed", openFailures)] where !uids.isEmpty {
            lists[list] = .array(uids.map { .string($0) })
        }
        return lists
    }
}
