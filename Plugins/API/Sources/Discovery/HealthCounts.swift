import Synchronization

/// How the checks of health ended, for those who were asked: `kubernetes_healthcheck` and `kubernetes_healthchecks_total`.
final class HealthCounts: Sendable {
    private struct Key: Hashable {
        /// "livez", "readyz" or "healthz".
        var kind: String
        var name: String
    }
    private struct Count {
        var succeeded = 0
        var failed = 0
        var holds = false
    }
    private let counts = Mutex<[Key: Count]>([:])

    /// - Parameter only: The one check that was asked for; empty: all were.
    func record(_ kind: Substring, _ checks: [(String, Bool)], only: String) {
        counts.withLock { counts in
            for (name, holds) in checks where only.isEmpty || name == only {
                let key = Key(kind: String(kind), name: name)
                var count = counts[key] ?? Count()
                count.holds = holds
                if holds { count.succeeded += 1 } else { count.failed += 1 }
                counts[key] = count
            }
        }
    }

    /// As Prometheus' text.
    var text: String {
        let all = counts.withLock { $0 }.sorted { ($0.key.name, $0.key.kind) < ($1.key.name, $1.key.kind) }
        guard !all.isEmpty else { return "" }
        var text = "# TYPE kubernetes_healthcheck gauge\n"
        for (key, count) in all {
            text += "kubernetes_healthcheck{name=\"\(key.name)\",type=\"\(key.kind)\"} \(count.holds ? 1 : 0)\n"
        }
        text += "# TYPE kubernetes_healthchecks_total counter\n"
        for (key, count) in all {
            for (status, number) in [("error", count.failed), ("success", count.succeeded)] where number > 0 {
                text += "kubernetes_healthchecks_total{name=\"\(key.name)\",status=\"\(status)\",type=\"\(key.kind)\"} "
                text += "\(number)\n"
            }
        }
        return text
    }
}
