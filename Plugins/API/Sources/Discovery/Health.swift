import PluginKit
import Synchronization

/// Whether the server lives and is ready, check by check.
/// See https://kubernetes.io/docs/reference/using-api/health-checks/.
final class Health: Sendable {
    private let store: StoreClient
    private let log: Log
    private let ready = Atomic<Bool>(false)
    private let started = Atomic<Bool>(false)
    let counts = HealthCounts()

    init(store: StoreClient, log: Log) {
        self.store = store
        self.log = log
    }

    var isReady: Bool {
        get { ready.load(ordering: .acquiring) }
        set {
            ready.store(newValue, ordering: .releasing)
            if newValue { started.store(true, ordering: .releasing) }
        }
    }

    /// What is done before the server is ready for the first time, by the names that Kubernetes has for its parts: probes and
    /// dashboards ask for them. They are done together, so they hold together.
    private static let startup =
        """
        start-apiserver-admission-initializer start-kube-apiserver-admission-initializer generic-apiserver-start-informers
        priority-and-fairness-config-consumer priority-and-fairness-filter storage-object-count-tracker-hook
        start-apiextensions-informers start-apiextensions-controllers crd-informer-synced
        start-system-namespaces-controller start-cluster-authentication-info-controller
        start-kube-apiserver-identity-lease-controller start-kube-apiserver-identity-lease-garbage-collector
        start-legacy-token-tracking-controller start-service-ip-repair-controllers rbac/bootstrap-roles
        scheduling/bootstrap-system-priority-classes priority-and-fairness-config-producer bootstrap-controller
        start-kubernetes-service-cidr-controller aggregator-reload-proxy-client-cert start-kube-aggregator-informers
        apiservice-status-local-available-controller apiservice-status-remote-available-controller
        apiservice-status-available-controller apiservice-registration-controller apiservice-discovery-controller
        kube-apiserver-autoregistration apiservice-openapi-controller apiservice-openapiv3-controller
        """.split(whereSeparator: \.isWhitespace).map { "poststarthook/" + $0 } + ["autoregister-completion"]

    /// The answer for /livez, /readyz, /healthz and the checks below them; nil for other paths.
    func response(_ path: String, _ query: Query) -> HTTPResponse? {
        let parts = path.split(separator: "/")
        guard let kind = parts.first, ["livez", "readyz", "healthz"].contains(kind) else { return nil }
        let only = parts.dropFirst().joined(separator: "/")
        let isStoreHealthy = isStoreWell
        // Clients of Kubernetes know the store by the name etcd.
        // The host takes what is logged as it comes: whoever answers can log.
        var checks = [("ping", true), ("store", isStoreHealthy), ("etcd", isStoreHealthy), ("log", true)]
        if kind == "readyz" { checks += [("bootstrap", isReady), ("informer-sync", isReady)] }
        defer { counts.record(kind, checks, only: only) }
        let hasStarted = started.load(ordering: .acquiring)
        checks += Self.startup.map { ($0, hasStarted) }
        if !only.isEmpty {
            guard let check = checks.first(where: { $0.0 == only }) else { return nil }
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
