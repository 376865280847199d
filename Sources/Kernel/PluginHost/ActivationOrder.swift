/// The order in which plugins are configured and activated: providers before those who require them.
enum ActivationOrder {
    struct Node {
        let name: String
        let provides: [String]
        let requires: [String]
        let optional: [String]
    }

    struct Plan: Equatable {
        /// Names in order; ties are broken by the order given.
        var order: [String] = []
        /// Plugins that can never start, with the reason.
        var refused: [String: String] = [:]
    }

    /// `available`: roles and services that exist without any plugin.
    static func plan(_ nodes: [Node], available: Set<String>) -> Plan {
        var plan = Plan()
        var waiting = refuseUnprovided(nodes, available, &plan)
        while !waiting.isEmpty {
            // What a plugin uses when it is there comes first too, unless that would be a circle.
            let ready =
                waiting.firstIndex { node in !isBlocked(node, by: waiting, node.requires + node.optional) }
                ?? waiting.firstIndex { node in !isBlocked(node, by: waiting, node.requires) }
            guard let ready else {
                refuseCircles(waiting, &plan)
                break
            }
            plan.order.append(waiting.remove(at: ready).name)
        }
        return plan
    }

    private static func isBlocked(_ node: Node, by waiting: [Node], _ roles: [String]) -> Bool {
        roles.contains { role in
            !node.provides.contains(role) && waiting.contains { $0.name != node.name && $0.provides.contains(role) }
        }
    }

    /// Takes out, again and again, those who require what none of the rest provides.
    private static func refuseUnprovided(_ nodes: [Node], _ available: Set<String>, _ plan: inout Plan) -> [Node] {
        var left = nodes
        while true {
            let provided = left.reduce(into: available) { $0.formUnion($1.provides) }
            guard let index = left.firstIndex(where: { !provided.isSuperset(of: $0.requires) }) else { return left }
            let node = left.remove(at: index)
            let missing = node.requires.filter { !provided.contains($0) }
            plan.refused[node.name] = reason(missing: missing, nodes: nodes, refused: plan.refused)
        }
    }

    private static func reason(missing: [String], nodes: [Node], refused: [String: String]) -> String {
        let parts = missing.map { role in
            let providers = nodes.filter { $0.provides.contains(role) && refused[$0.name] != nil }.map(\.name)
            return providers.isEmpty
                ? "\(role), which no plugin provides: add one that does to `plugins:`"
                : "\(role), whose provider \(list(providers)) cannot start"
        }
        return "requires " + list(parts)
    }

    /// Whoever is left requires, directly or not, something in a circle.
    private static func refuseCircles(_ waiting: [Node], _ plan: inout Plan) {
        for node in waiting {
            let circle = circle(from: node, waiting)
            plan.refused[node.name] = "plugins require each other in a circle: \(circle.joined(separator: " → "))"
        }
    }

    /// Follows requirements from `start` until a plugin comes up again.
    private static func circle(from start: Node, _ waiting: [Node]) -> [String] {
        var path = [start.name]
        var node = start
        while let next = waiting.first(where: { candidate in
            candidate.name != node.name && node.requires.contains { candidate.provides.contains($0) }
        }) {
            if let first = path.firstIndex(of: next.name) { return Array(path[first...]) + [next.name] }
            path.append(next.name)
            node = next
        }
        return path
    }
}
