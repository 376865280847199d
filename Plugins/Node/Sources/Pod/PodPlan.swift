/// One step that brings a pod nearer to its specification. Steps of a plan are independent of each other's results
/// or ordered as listed.
enum PodAction: Sendable, Equatable {
    /// Prepares directories and volumes, makes a sandbox and attaches it to the network.
    case createSandbox(attempt: Int64)
    case startContainer(name: String, attempt: Int64)
    /// Runs beside the worker: preStop hook and stop signal, or SIGKILL without grace.
    case stopContainer(id: String, name: String, reason: StopReason, graceSeconds: Int64)
    /// Runs, beside the worker, the preStop hook of a sidecar whose turn to end has not come.
    case beginPreStop(id: String, name: String, reason: StopReason, graceSeconds: Int64)
    /// Brings what runs to the resources that it is granted.
    case applyResources
    /// Removes a container that never ran, or whose record is no longer needed.
    case removeContainer(id: String)
    /// Ends a sandbox and its link, beside the worker; records of its containers stay, for logs and status.
    case stopSandbox(id: String)
    /// Removes, beside the worker, a sandbox with all that belongs to it.
    case removeSandbox(id: String)
    /// Unmounts volumes and gives devices back; the pod will not run again.
    case releaseResources
    /// Removes the pod's directory and the API object.
    case finalize
}

/// What to do now, and when to look again without an event (seconds from now).
struct PodPlan: Sendable, Equatable {
    var actions: [PodAction] = []
    var wakeAfter: Double?

    mutating func wake(after seconds: Double) {
        wakeAfter = min(wakeAfter ?? seconds, max(seconds, 0.001))
    }
}
