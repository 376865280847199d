import Objects

/// Which pods of lower priority have to go so that a pod finds room on a node. Pure, and about amounts, ports, selectors and
/// taints alone: whether the pod fits then is for the scheduler to say. Where it is other pods that keep it away, by affinity or
/// topology spread, the scheduler also says which of them have to go.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/.
struct PreemptionPlan {
    struct Candidate: Equatable {
        var node: String
        var victims: [JSON]
        /// Victims that a disruption budget would keep.
        var violations: Int
    }

    /// A node where any pod of lower priority may be the one in the way.
    struct Trial {
        var node: String
        /// All that might go: first those that a budget would keep, then those that matter most.
        var pods: [JSON]
        /// Uids of those that a budget would keep.
        var kept: Set<String>

        /// Gives the pods back in turn; those go that the pod does not fit beside.
        /// - Parameters:
        ///   - remove: takes a pod off the node, `putBack` puts it there again.
        ///   - fits: whether the pod fits beside those that are there.
        /// - Returns: nil when it does not fit without all of them, or fits beside all. In any case all are back then.
        func candidate(
            remove: (JSON) throws -> Void, putBack: (JSON) throws -> Void, fits: () throws -> Bool
        ) rethrows -> Candidate? {
            for pod in pods { try remove(pod) }
            guard try fits() else {
                for pod in pods { try putBack(pod) }
                return nil
            }
            var victims: [JSON] = []
            for pod in pods {
                try putBack(pod)
                if try fits() { continue }
                try remove(pod)
                victims.append(pod)
            }
            for victim in victims { try putBack(victim) }
            return victims.isEmpty
                ? nil : Candidate(node: node, victims: victims, violations: victims.count { kept.contains($0.uid) })
        }
    }

    /// Best first: the fewest violations, then the victims that matter least.
    private(set) var candidates: [Candidate] = []
    /// In place of candidates, where others keep the pod away: those with the least to lose first.
    private(set) var trials: [Trial] = []

    private let pod: JSON
    private let priority: Int64
    private let budgets: [Budget]
    private let wanted: NodeUse

    /// A pod on a node, or on its way there.
    struct Occupant {
        var pod: JSON
        var priority: Int64
        var use: NodeUse
    }

    /// A disruption budget as far as it counts here.
    private struct Budget {
        let namespace: String
        let selector: LabelSelector
        /// How many of its pods may go.
        let allowed: Int64
        /// Names of pods that were counted off already.
        let granted: JSON

        /// Nil when its selector does not parse: its own controller says so, and it keeps no pod.
        init?(_ budget: JSON) {
            guard let selector = try? LabelSelector(object: budget["spec"]["selector"]) else { return nil }
            self.selector = selector
            namespace = budget.namespace
            allowed = budget["status"]["disruptionsAllowed"].integerValue ?? 0
            granted = budget["status"]["disruptedPods"]
        }

        func covers(_ pod: JSON) -> Bool {
            namespace == pod.namespace && !granted[pod.name].exists && selector.matches(labels: pod.labels)
        }
    }

    /// - Parameters:
    ///   - placed: the pods on a node, those on their way included; asked for nodes that the pod may run on.
    ///   - budgets: PodDisruptionBudgets, of all namespaces.
    ///   - isKeptAway: whether other pods keep it away, by what they are and not by what they use.
    /// - Throws: the error of a quantity that does not parse, or of `placed`.
    init(
        for pod: JSON, nodes: [JSON], placed: (_ node: String) throws -> [Occupant], budgets: [JSON],
        isKeptAway: Bool = false
    ) throws {
        self.pod = pod
        self.budgets = budgets.compactMap(Budget.init)
        priority = Self.priority(of: pod)
        wanted = try NodeUse(pod)
        let open = nodes.filter(mayRun)
        if isKeptAway {
            trials = try open.compactMap { try trial($0, try placed($0.name)) }.sorted {
                let (first, second) = (Self.priorities($0.pods), Self.priorities($1.pods))
                return first == second ? $0.pods.count < $1.pods.count : first.lexicographicallyPrecedes(second)
            }
        } else {
            candidates = try open.compactMap { try candidate($0, try placed($0.name)) }.sorted(by: Self.isBetter)
        }
    }

    private static func priorities(_ pods: [JSON]) -> [Int64] { pods.map(priority(of:)).sorted(by: >) }

    /// Whether a scheduler's words mean that it is other pods that keep a pod away.
    static func isKeptAway(_ reasons: [String]) -> Bool {
        reasons.contains {
            $0.hasSuffix("anti-affinity rules") || $0 == "node(s) didn't match pod topology spread constraints"
        }
    }

    static func priority(of pod: JSON) -> Int64 { pod["spec"]["priority"].integerValue ?? 0 }

    /// Whether a pod may push others out.
    static func mayPreempt(_ pod: JSON) -> Bool { pod["spec"]["preemptionPolicy"].stringValue != "Never" }

    // MARK: One node

    /// The pods that may go, those that matter most first, and what the others use; nil when that is too much.
    private func room(
        _ node: JSON, _ pods: [Occupant]
    ) throws -> (ranked: [Occupant], capacity: NodeUse, used: NodeUse)? {
        let lower = pods.filter { $0.priority < priority && !PodState($0.pod).isTerminating }
        guard !lower.isEmpty else { return nil }
        let capacity = try NodeUse(allocatable: node["status"]["allocatable"])
        var used = NodeUse()
        for other in pods where other.priority >= priority || PodState(other.pod).isTerminating { used.add(other.use) }
        guard wanted.fits(into: capacity, beside: used) else { return nil }
        return (lower.sorted { Self.mattersMore($0.pod, $1.pod) }, capacity, used)
    }

    private func trial(_ node: JSON, _ pods: [Occupant]) throws -> Trial? {
        guard let ranked = try room(node, pods)?.ranked.map(\.pod) else { return nil }
        let kept = keptByBudgets(ranked)
        let ordered = ranked.filter { kept.contains($0.uid) } + ranked.filter { !kept.contains($0.uid) }
        return Trial(node: node.name, pods: ordered, kept: kept)
    }

    private func candidate(_ node: JSON, _ pods: [Occupant]) throws -> Candidate? {
        guard case (let ranked, let capacity, var used)? = try room(node, pods) else { return nil }
        // All of them would do: those that matter most stay where there is room, those that a budget keeps first.
        var (victims, violations): ([JSON], Int) = ([], 0)
        let kept = keptByBudgets(ranked.map(\.pod))
        for isKept in [true, false] {
            for other in ranked where kept.contains(other.pod.uid) == isKept {
                var more = used
                more.add(other.use)
                if wanted.fits(into: capacity, beside: more) {
                    used = more
                } else {
                    victims.append(other.pod)
                    if isKept { violations += 1 }
                }
            }
        }
        return victims.isEmpty ? nil : Candidate(node: node.name, victims: victims, violations: violations)
    }

    private func mayRun(on node: JSON) -> Bool {
        let spec = pod["spec"]
        let only = DaemonPlan.node(of: pod)
        guard only.isEmpty || only == node.name else { return false }
        guard NodeSelector.accepts(podSpec: spec, node: node) else { return false }
        let tolerations = spec["tolerations"].arrayValue
        return node["spec"]["taints"].arrayValue.allSatisfy { taint in
            taint["effect"].stringValue == "PreferNoSchedule"
                || tolerations.contains { TolerationMatch.covers($0, taint) }
        }
    }

    /// The uids of pods that may not go as their budgets have it: each eviction uses one that is allowed up.
    /// - Parameter pods: those that matter most first.
    private func keptByBudgets(_ pods: [JSON]) -> Set<String> {
        var left = budgets.map(\.allowed)
        var kept: Set<String> = []
        for pod in pods {
            for (index, budget) in budgets.enumerated() where budget.covers(pod) {
                left[index] -= 1
                if left[index] < 0 { kept.insert(pod.uid) }
            }
        }
        return kept
    }

    /// Of a higher priority, or longer there.
    private static func mattersMore(_ one: JSON, _ other: JSON) -> Bool {
        let (first, second) = (priority(of: one), priority(of: other))
        return first == second ? start(one) < start(other) : first > second
    }

    private static func start(_ pod: JSON) -> String {
        pod["status"]["startTime"].stringValue ?? pod.creationTimestamp ?? ""
    }

    static func isBetter(_ one: Candidate, _ other: Candidate) -> Bool {
        if one.violations != other.violations { return one.violations < other.violations }
        let (first, second) = (one.victims.map(priority(of:)), other.victims.map(priority(of:)))
        if first.max() != second.max() { return (first.max() ?? 0) < (second.max() ?? 0) }
        let sums = (first.reduce(0, +), second.reduce(0, +))
        if sums.0 != sums.1 { return sums.0 < sums.1 }
        if first.count != second.count { return first.count < second.count }
        // The youngest of what matters most has done the least.
        return (one.victims.map(start).max() ?? "") > (other.victims.map(start).max() ?? "")
    }
}
