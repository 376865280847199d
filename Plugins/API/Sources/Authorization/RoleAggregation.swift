import Objects
import PluginKit
import Synchronization

/// Keeps the rules of ClusterRoles with an `aggregationRule` those of all roles that it selects.
/// See https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles.
final class RoleAggregation: Sendable {
    private let host: Host
    private struct State {
        var roles: [String: JSON] = [:]
        var queue: WorkQueue?
    }
    private let state = Mutex(State())

    init(host: Host) { self.host = host }

    /// The rules of a role that gathers them: of each selector's roles by name, each rule once. Pure.
    static func rules(of role: JSON, among roles: some Sequence<JSON>) -> [JSON] {
        let others = roles.filter { $0.name != role.name }.sorted { $0.name < $1.name }
        var rules: [JSON] = []
        for text in role["aggregationRule"]["clusterRoleSelectors"].arrayValue {
            // What cannot be read selects nothing; it was refused when it was written.
            guard let selector = try? LabelSelector(object: text) else { continue }
            for other in others where selector.matches(labels: other.labels) {
                for rule in other["rules"].arrayValue where !rules.contains(rule) { rules.append(rule) }
            }
        }
        return rules
    }

    /// Takes in a ClusterRole, or its end. What is known before `start` is looked at then.
    func update(_ name: String, _ object: JSON?) {
        let (queue, names) = state.withLock { state in
            state.roles[name] = object
            return (state.queue, Self.gathering(state.roles))
        }
        for name in names { queue?.add(name) }
    }

    private static func gathering(_ roles: [String: JSON]) -> [String] {
        roles.compactMap { $0.value["aggregationRule"].exists ? $0.key : nil }
    }

    func start(_ pipeline: RequestPipeline) throws(PluginError) {
        let queue = try WorkQueue(host, name: "api-role-aggregation", workers: 1) { [weak self] name in
            try self?.gather(name, pipeline)
            return .done
        }
        let names = state.withLock { state in
            state.queue = queue
            return Self.gathering(state.roles)
        }
        for name in names { queue.add(name) }
    }

    /// Idempotent. [blocking]
    func stop() { state.withLock { $0.queue }?.stop() }

    private func gather(_ name: String, _ pipeline: RequestPipeline) throws(PluginError) {
        let roles = state.withLock { $0.roles }
        guard let role = roles[name], role["aggregationRule"].exists else { return }
        let rules = Self.rules(of: role, among: roles.values)
        guard role["rules"].arrayValue != rules else { return }
        let patch: JSON = ["metadata": ["resourceVersion": .string(role.resourceVersion)], "rules": .array(rules)]
        try pipeline.perform(
            .patch("application/merge-patch+json"), "/apis/rbac.authorization.k8s.io/v1/clusterroles/\(name)", patch,
            by: "clusterrole-aggregation-controller")
    }
}
