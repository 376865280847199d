import Objects

/// Which pods of lower priority have to go so that a pod finds room on a node. Pure, and about amounts, ports, selectors and
/// taints alone: whether the pod fits then is for the scheduler to say.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/.
struct PreemptionPlan {
    struct Candidate: Equatable {
        var node: String
        var victims: [JSON]
        /// Victims that a disruption budget would keep.
        var violations: Int
    }

    /// Best first: the fewest violations, then the victims that matter least.
    private(set) var candidates: [Candidate] = []

    private let pod: JSON
    private let priority: Int64
    private let budgets: [JSON]
    private let wanted: Use

    /// - Parameters:
    ///   - placed: the pods on each node, those on their way included.
    ///   - budgets: PodDisruptionBudgets, of all namespaces.
    /// - Throws: the error of a quantity that does not parse.
    init(for pod: JSON, nodes: [JSON], placed: [String: [JSON]], budgets: [JSON]) throws {
        self.pod = pod
        self.budgets = budgets
        priority = Self.priority(of: pod)
        wanted = try Use(pod)
        candidates = try nodes.compactMap { try candidate($0, placed[$0.name] ?? []) }.sorted(by: Self.isBetter)
    }

    static func priority(of pod: JSON) -> Int64 { pod["spec"]["priority"].integerValue ?? 0 }

    /// Whether a pod may push others out.
    static func mayPreempt(_ pod: JSON) -> Bool { pod["spec"]["preemptionPolicy"].stringValue != "Never" }

    // MARK: One node

    private func candidate(_ node: JSON, _ pods: [JSON]) throws -> Candidate? {
        let lower = pods.filter { Self.priority(of: $0) < priority && !PodState($0).isTerminating }
        guard !lower.isEmpty, mayRun(on: node) else { return nil }
        let capacity = try Use(allocatable: node["status"]["allocatable"])
        var used = Use()
        let lowerUIDs = Set(lower.map(\.uid))
        for other in pods where !lowerUIDs.contains(other.uid) { used.add(try Use(other)) }
        guard wanted.fits(into: capacity, beside: used) else { return nil }
        // All of them would do: those that matter most stay where there is room, those that a budget keeps first.
        var (victims, violations): ([JSON], Int) = ([], 0)
        let kept = Self.keptByBudgets(lower, budgets)
        let ranked = lower.sorted(by: Self.mattersMore)
        for isKept in [true, false] {
            for other in ranked where kept.contains(other.uid) == isKept {
                var more = used
                more.add(try Use(other))
                if wanted.fits(into: capacity, beside: more) {
                    used = more
                } else {
                    victims.append(other)
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
        if let selector = spec["nodeSelector"].objectValue, !selector.allSatisfy({ node.labels[$0.key] == $0.value }) {
            return false
        }
        let tolerations = spec["tolerations"].arrayValue
        return node["spec"]["taints"].arrayValue.allSatisfy { taint in
            taint["effect"].stringValue == "PreferNoSchedule"
                || tolerations.contains { NodeHealth.tolerates($0, taint) }
        }
    }

    /// The uids of pods that may not go as their budgets have it: each eviction uses one that is allowed up.
    private static func keptByBudgets(_ pods: [JSON], _ budgets: [JSON]) -> Set<String> {
        var allowed = budgets.map { $0["status"]["disruptionsAllowed"].integerValue ?? 0 }
        var kept: Set<String> = []
        for pod in pods.sorted(by: mattersMore) {
            for (index, budget) in budgets.enumerated()
            where budget.namespace == pod.namespace && budget.selects(pod.labels) {
                allowed[index] -= 1
                if allowed[index] < 0 { kept.insert(pod.uid) }
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

    private static func isBetter(_ one: Candidate, _ other: Candidate) -> Bool {
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

/// What pods take of a node: amounts by resource, one of "pods" each, and ports.
private struct Use {
    var amounts: [String: Int64] = [:]
    var ports: Set<String> = []

    init() {}

    init(_ pod: JSON) throws {
        self.init(try PodRequests(pod: pod))
        amounts["pods"] = 1
        for container in pod["spec"]["containers"].arrayValue {
            for port in container["ports"].arrayValue {
                guard let number = port["hostPort"].integerValue, number > 0 else { continue }
                ports.insert("\(port["protocol"].stringValue ?? "TCP")/\(number)")
            }
        }
    }

    init(allocatable: JSON) throws {
        self.init(try PodRequests(amounts: allocatable))
        // A node that does not say how many pods it takes does not limit them.
        amounts["pods"] = Int64(allocatable["pods"].stringValue ?? "") ?? allocatable["pods"].integerValue ?? .max
    }

    private init(_ requests: PodRequests) {
        amounts = requests.extended
        amounts["cpu"] = requests.milliCPU
        amounts["memory"] = requests.memory
        amounts["ephemeral-storage"] = requests.ephemeralStorage
    }

    mutating func add(_ other: Use) {
        for (name, amount) in other.amounts { amounts[name, default: 0] += amount }
        ports.formUnion(other.ports)
    }

    func fits(into capacity: Use, beside used: Use) -> Bool {
        ports.isDisjoint(with: used.ports)
            && amounts.allSatisfy { name, amount in
                amount == 0 || amount <= (capacity.amounts[name] ?? 0) - (used.amounts[name] ?? 0)
            }
    }
}
