import PluginKit
import Synchronization

/// Whether the server lives and is ready, check by check.
/// See https://kubernetes.io/docs/reference/using-api/health-checks/.
final class Health: Sendable {
    private let store: StoreClient
    private let log: Log
    private let ready = Atomic<Bool>(false)

    init(store: StoreClient, log: Log) {
        self.store = store
        self.log = log
    }

    var isReady: Bool {
        get { ready.load(ordering: .acquiring) }
        set { ready.store(newValue, ordering: .releasing) }
    }

    /// The answer for /livez, /readyz, /healthz and the checks below them; nil for other paths.
    func response(_ path: String, _ query: Query) -> HTTPResponse? {
        let parts = path.split(separator: "/")
        guard let kind = parts.first, ["livez", "readyz", "healthz"].contains(kind), parts.count <= 2 else {
            return nil
        }
        let isStoreHealthy = isStoreWell
        // Clients of Kubernetes know the store by the name etcd.
        var checks = [("ping", true), ("store", isStoreHealthy), ("etcd", isStoreHealthy)]
        if kind == "readyz" { checks += [("bootstrap", isReady), ("informer-sync", isReady)] }
        if parts.count == 2 {
            guard let check = checks.first(where: { $0.0 == parts[1] }) else { return nil }
            return .text(check.1 ? 200 : 500, check.1 ? "ok" : "internal server error: \(check.0) failed\n")
        }
        var unknown = Set(query.all("exclude"))
        var lines = ""
        var isHealthy = true
        for (name, holds) in checks {
            if unknown.remove(name) != nil {
                lines += "[+]\(name) excluded: ok\n"
            } else {
                lines += holds ? "[+]\(name) ok\n" : "[-]\(name) failed: reason withheld\n"
                isHealthy = isHealthy && holds
            }
        }
        if !unknown.isEmpty {
            let names = unknown.sorted().map { "\"\($0)\"" }.joined(separator: ",")
            lines += "warn: some health checks cannot be excluded: no matches for \(names)\n"
        }
        guard query["verbose"] != nil || !isHealthy else { return .text(200, "ok") }
        return .text(isHealthy ? 200 : 500, lines + "\(kind) check \(isHealthy ? "passed" : "failed")\n")
    }

    /// Whether the store says that it works.
    var isStoreWell: Bool {
        do {
            return try store.status()["healthy"].boolValue ?? true
        } catch {
            log.warning("the store does not tell its state", ["reason": .string("\(error)")])
            return false
        }
    }
}
