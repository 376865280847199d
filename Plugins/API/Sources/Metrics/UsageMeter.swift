import Glibc
import Objects
import PluginKit
import Synchronization

/// Measures the use of CPU and memory of the nodes that plugins serve, when somebody asks for it. Nothing runs in between.
final class UsageMeter: Sendable {
    private let extensions: ExtensionRoutes
    /// By the names of nodes. One caller at a time looks; others wait and find what was measured.
    private let histories = Mutex<[String: UsageHistory]>([:])

    init(_ extensions: ExtensionRoutes) { self.extensions = extensions }

    /// What was measured of each node. [blocking]: a second when nobody has asked for two minutes.
    func measure() throws(APIStatus) -> [String: UsageHistory] {
        let outcome = histories.withLock { histories -> Result<[String: UsageHistory], APIStatus> in
            do throws(APIStatus) {
                try look(&histories)
                return .success(histories)
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    private func look(_ histories: inout [String: UsageHistory]) throws(APIStatus) {
        let now = monotonicNanoseconds()
        let needs = histories.values.map { $0.need(now: now) }
        if !needs.isEmpty, needs.allSatisfy({ $0 == .nothing }) { return }
        try add(to: &histories)
        // A node that was not looked at before, or not lately, has only this look.
        let isFirst = needs.isEmpty || needs.contains(.twoLooks) || histories.values.contains { $0.older == nil }
        guard isFirst, !histories.isEmpty else { return }
        // The time that is measured: use of CPU is told by two looks, and an earlier one is not there.
        Self.pause(nanoseconds: UsageHistory.shortestWindow)
        try add(to: &histories)
    }

    private static func pause(nanoseconds: UInt64) {
        let end = monotonicNanoseconds() + nanoseconds
        while case let now = monotonicNanoseconds(), now < end {
            var left = timespec(tv_sec: Int((end - now) / 1_000_000_000), tv_nsec: Int((end - now) % 1_000_000_000))
            nanosleep(&left, nil)
        }
    }

    private func add(to histories: inout [String: UsageHistory]) throws(APIStatus) {
        let taken = monotonicNanoseconds()
        let summaries = try extensions.nodeDocuments("stats/summary").compactMap { UsageSummary($0, taken: taken) }
        let known = Set(summaries.map(\.node))
        histories = histories.filter { known.contains($0.key) }
        for summary in summaries { histories[summary.node, default: UsageHistory()].add(summary) }
    }
}
