import PluginKit
import Synchronization

/// Tells which deprecated versions of resources have been asked for, as Kubernetes' API server does.
final class DeprecatedRequests: Sendable {
    private let metrics: Metrics?
    private let told = Mutex<Set<String>>([])

    /// Without the host's metrics nothing is told.
    init(_ host: Host) {
        do { metrics = try host.metrics() } catch {
            host.log.warning("requests of deprecated versions are not told of", ["reason": .string(error.message)])
            metrics = nil
        }
    }

    func record(_ context: RequestContext) {
        let resource = context.resource
        context.request.audit?.annotate("k8s.io/deprecated", "true")
        guard let metrics else { return }
        let subresource = resource.subresource(context.path.subresource) == nil ? "" : context.path.subresource
        let labels =
            "group=\"\(resource.group)\",removed_release=\"\",resource=\"\(resource.plural)\","
            + "subresource=\"\(subresource)\",version=\"\(resource.version)\""
        guard told.withLock({ $0.insert(labels).inserted }) else { return }
        do {
            try metrics.define(.gauge, "apiserver_requested_deprecated_apis", labels: labels).record(1)
        } catch {
            // There are as many series as the host has already; the answer's warning tells all the same.
            told.withLock { _ = $0.remove(labels) }
        }
    }
}
