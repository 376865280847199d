import Objects

/// Whether a GPU can be given to a pod, and what a critical event says about that.
struct GPUHealth: Sendable, Equatable {
    var isHealthy = true
    var reason = ""

    /// Xid errors that a faulty application causes and that leave the GPU usable (NVIDIA, "Xid Errors"): 13 graphics
    /// engine exception, 31 memory page fault, 43 stopped processing, 45 preemptive cleanup, 68 video processor exception,
    /// 109 context switch time-out.
    static let applicationErrors: Set<UInt64> = [13, 31, 43, 45, 68, 109]

    /// - Returns: nil when the event leaves the GPU healthy.
    static func after(event type: UInt64, data: UInt64) -> GPUHealth? {
        if type == NVML.xidEvent {
            if applicationErrors.contains(data) { return nil }
            return GPUHealth(isHealthy: false, reason: "Xid \(data)")
        }
        return GPUHealth(isHealthy: false, reason: "uncorrectable ECC error")
    }
}
