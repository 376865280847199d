import Objects

/// Works out, from policies, pods and namespaces, what the network has to enforce: message policy_rules_set of
/// hostd/roles/network.h. Pure, and incremental: a change costs what it touches, times the number of different selectors
/// where it is a pod's or a namespace's.
struct PolicyTables: Sendable {
    private var namespaces: [String: JSON] = [:]
    private var pods: [String: PolicyPod] = [:]
    private var podsOfNamespace: [String: Set<String>] = [:]
    /// Pods by address: the last one that came with it. The one before has lost it, whatever its status goes on to say.
    private var owners: [String: String] = [:]
    private var lost: [String: String] = [:]
    /// Addresses that the network gave to pods, before their status tells.
    private var given: [String: String] = [:]
    private var policies: [String: PolicySource] = [:]
    private var policiesOfNamespace: [String: Set<String>] = [:]
    private var groups: [PolicyGroup.Key: PolicyGroup] = [:]
    private var dns: [String: Set<PolicyGroup.Member>] = [:]

    private var dirtyPolicies: Set<String> = []
    private var dirtyGroups: Set<PolicyGroup.Key> = []
    private var removedGroups: Set<String> = []
    private var dirtyAddresses: Set<String> = []
    /// What the network has of each isolated pod.
    private var told: [String: Subject] = [:]
    private var toldPolicies: Set<String> = []

    private struct Subject: Equatable, Sendable {
        var ingress: [String]?
        var egress: [String]?
        var isIsolated: Bool { ingress != nil || egress != nil }
    }

    static let dnsNamespace = "kube-system"
    static let dnsService = "kube-dns"
    /// The cluster's DNS has no pods. Rules that name those that it has elsewhere mean it all the same.
    private static let dnsLabels: JSON = ["k8s-app": .string(dnsService)]

    var hasPolicies: Bool { !policies.isEmpty }
    var policyKeys: [String] { policies.keys.sorted() }

    /// Whether a policy isolates the pod.
    func isIsolated(_ uid: String) -> Bool { pods[uid].map { subject($0).isIsolated } ?? false }

    // MARK: - Pods

    mutating func setPod(_ pod: PolicyPod) {
        var pod = pod
        if let address = pod.address, lost[pod.uid] == address { pod.address = nil }
        if pod.address == nil { pod.address = given[pod.uid] } else { given[pod.uid] = nil }
        guard pods[pod.uid] != pod else { return }
        if let address = pod.address, let other = owners[address], other != pod.uid { dispossess(other, of: address) }
        replace(pods[pod.uid], by: pod)
    }

    /// The network gave a pod an address: it is the pod's from now on.
    mutating func give(_ address: String, to pod: PolicyPod) {
        given[pod.uid] = address
        lost[pod.uid] = nil
        var pod = pod
        pod.address = nil
        setPod(pod)
    }

    mutating func removePod(_ uid: String) {
        given[uid] = nil
        lost[uid] = nil
        if let pod = pods[uid] { replace(pod, by: nil) }
    }

    private mutating func dispossess(_ uid: String, of address: String) {
        lost[uid] = address
        given[uid] = nil
        guard var pod = pods[uid] else { return }
        let old = pod
        pod.address = nil
        replace(old, by: pod)
    }

    private mutating func replace(_ old: PolicyPod?, by new: PolicyPod?) {
        guard let pod = new ?? old else { return }
        for key in groups.keys {
            let (before, after) = (old.map { members(of: key, $0) } ?? [], new.map { members(of: key, $0) } ?? [])
            if before != after { change(key, removing: before.subtracting(after), adding: after.subtracting(before)) }
        }
        pods[pod.uid] = new
        if new == nil {
            podsOfNamespace[pod.namespace]?.remove(pod.uid)
        } else {
            podsOfNamespace[pod.namespace, default: []].insert(pod.uid)
        }
        if let address = old?.address, owners[address] == pod.uid { owners[address] = nil }
        if let address = new?.address { owners[address] = pod.uid }
        dirtyAddresses.formUnion([old?.address, new?.address].compactMap { $0 })
    }

    // MARK: - Namespaces

    mutating func setNamespace(_ name: String, labels: JSON) {
        let old = namespaces[name] ?? [:]
        namespaces[name] = labels
        if old == labels { return }
        for case .peers(let selector) in groups.keys {
            let after = selector.matchesNamespace(name, labels: labels)
            if selector.matchesNamespace(name, labels: old) == after { continue }
            let members = podsOfNamespace[name, default: []].compactMap { pods[$0] }.filter {
                selector.pods.matches(labels: $0.labels)
            }.compactMap { $0.address.map(PolicyGroup.Member.address) }
            change(.peers(selector), removing: after ? [] : Set(members), adding: after ? Set(members) : [])
        }
        if name == Self.dnsNamespace { dirtyPolicies.formUnion(policies.keys) }
    }

    mutating func removeNamespace(_ name: String) {
        setNamespace(name, labels: [:])
        namespaces[name] = nil
    }

    // MARK: - DNS

    /// What one slice of the DNS service says.
    mutating func setDNS(slice: String, _ endpoints: Set<PolicyGroup.Member>) {
        let before = dnsEndpoints
        dns[slice] = endpoints.isEmpty ? nil : endpoints
        let after = dnsEndpoints
        change(.dns, removing: before.subtracting(after), adding: after.subtracting(before))
    }

    private var dnsEndpoints: Set<PolicyGroup.Member> { dns.values.reduce(into: []) { $0.formUnion($1) } }

    private func meansDNS(_ selector: PeerSelector) -> Bool {
        selector.matchesNamespace(Self.dnsNamespace, labels: namespaces[Self.dnsNamespace] ?? [:])
            && selector.pods.matches(labels: Self.dnsLabels)
    }

    // MARK: - Policies

    mutating func setPolicy(_ policy: PolicySource) {
        guard policies[policy.key] != policy else { return }
        let old = policies[policy.key]
        // The new groups first: those that both name are kept.
        for key in Self.groupKeys(policy) { use(key) }
        if let old { for key in Self.groupKeys(old) { release(key) } }
        policies[policy.key] = policy
        policiesOfNamespace[policy.namespace, default: []].insert(policy.key)
        dirtyPolicies.insert(policy.key)
        if old?.subjects != policy.subjects || (old?.ingress == nil) != (policy.ingress == nil)
            || (old?.egress == nil) != (policy.egress == nil)
        {
            markPods(of: policy.namespace)
        }
    }

    mutating func removePolicy(_ key: String) {
        guard let old = policies.removeValue(forKey: key) else { return }
        policiesOfNamespace[old.namespace]?.remove(key)
        for group in Self.groupKeys(old) { release(group) }
        dirtyPolicies.insert(key)
        markPods(of: old.namespace)
    }

    private mutating func markPods(of namespace: String) {
        dirtyAddresses.formUnion(podsOfNamespace[namespace, default: []].compactMap { pods[$0]?.address })
    }

    /// The groups that a policy's rules name, each as often as it is named.
    private static func groupKeys(_ policy: PolicySource) -> [PolicyGroup.Key] {
        var keys: [PolicyGroup.Key] = policy.egress?.contains { $0.peers != nil } == true ? [.dns] : []
        for rule in policy.rules {
            for case .pods(let selector) in rule.peers ?? [] { keys.append(.peers(selector)) }
            for case .named(let port) in rule.ports ?? [] { keys.append(.port(port)) }
        }
        return keys
    }

    // MARK: - Groups

    private mutating func use(_ key: PolicyGroup.Key) {
        if groups[key] == nil {
            var group = PolicyGroup(key)
            let found = key == .dns ? dnsEndpoints : pods.values.reduce(into: []) { $0.formUnion(members(of: key, $1)) }
            for member in found { group.insert(member) }
            groups[key] = group
            dirtyGroups.insert(key)
            removedGroups.remove(key.name)
        }
        groups[key]?.uses += 1
    }

    private mutating func release(_ key: PolicyGroup.Key) {
        guard let uses = groups[key]?.uses else { return }
        if uses > 1 {
            groups[key]?.uses -= 1
        } else {
            groups[key] = nil
            dirtyGroups.remove(key)
            removedGroups.insert(key.name)
        }
    }

    private mutating func change(
        _ key: PolicyGroup.Key, removing: Set<PolicyGroup.Member>, adding: Set<PolicyGroup.Member>
    ) {
        guard groups[key] != nil else { return }
        for member in removing { groups[key]?.remove(member) }
        for member in adding { groups[key]?.insert(member) }
        dirtyGroups.insert(key)
    }

    /// What a pod is in a group.
    private func members(of key: PolicyGroup.Key, _ pod: PolicyPod) -> Set<PolicyGroup.Member> {
        guard let address = pod.address else { return [] }
        switch key {
        case .peers(let selector):
            let matches =
                selector.matchesNamespace(pod.namespace, labels: namespaces[pod.namespace] ?? [:])
                && selector.pods.matches(labels: pod.labels)
            return matches ? [.address(address)] : []
        case .port(let name):
            let ports = pod.ports.filter { $0.name == name }
            return Set(
                ports.map { .endpoint(address: address, transport: name.transport, port: $0.number) })
        case .dns: return []
        }
    }

    // MARK: - Messages

    /// Everything is to be told again.
    mutating func forget() {
        dirtyPolicies = Set(policies.keys)
        dirtyGroups = Set(groups.keys)
        for key in groups.keys { groups[key]?.forget() }
        removedGroups = []
        dirtyAddresses = Set(owners.keys)
        told = [:]
        toldPolicies = []
    }

    /// What the network has to be told, which is taken to be told from here on; nil when there is nothing.
    mutating func take(full: Bool) -> JSON? {
        if full { forget() }
        var request: JSONObject = full ? ["full": true] : [:]
        let changedGroups = dirtyGroups.filter { groups[$0]?.isDirty ?? false }.sorted { $0.name < $1.name }
        request["groups"] = .array(changedGroups.compactMap { groups[$0]?.take() })
        let known = dirtyPolicies.sorted().compactMap { policies[$0] }
        request["policies"] = .array(known.map(message))
        let gone = dirtyPolicies.filter { policies[$0] == nil && toldPolicies.contains($0) }.sorted()
        toldPolicies.formUnion(known.map(\.key))
        toldPolicies.subtract(gone)
        let (subjects, freed) = takeSubjects()
        request["subjects"] = .array(subjects)
        let removed: JSONObject = [
            "groups": JSON(removedGroups.sorted()), "policies": JSON(gone), "subjects": JSON(freed),
        ]
        let isEmpty =
            !full && changedGroups.isEmpty && known.isEmpty && subjects.isEmpty
            && removedGroups.isEmpty && gone.isEmpty && freed.isEmpty
        if !full { request["removed"] = .object(removed) }
        dirtyPolicies = []
        dirtyGroups = []
        removedGroups = []
        dirtyAddresses = []
        return isEmpty ? nil : .object(request)
    }

    private mutating func takeSubjects() -> (changed: [JSON], freed: [String]) {
        var changed: [JSON] = []
        var freed: [String] = []
        for address in dirtyAddresses.sorted() {
            let wanted = owners[address].flatMap { pods[$0] }.map(subject) ?? Subject()
            if wanted == told[address] ?? Subject() { continue }
            told[address] = wanted.isIsolated ? wanted : nil
            if wanted.isIsolated {
                var entry: JSONObject = ["address": .string(address)]
                if let ingress = wanted.ingress { entry["ingress"] = JSON(ingress) }
                if let egress = wanted.egress { entry["egress"] = JSON(egress) }
                changed.append(.object(entry))
            } else {
                freed.append(address)
            }
        }
        return (changed, freed)
    }

    private func subject(_ pod: PolicyPod) -> Subject {
        var subject = Subject()
        for key in policiesOfNamespace[pod.namespace, default: []].sorted() {
            guard let policy = policies[key], policy.subjects.matches(labels: pod.labels) else { continue }
            if policy.ingress != nil { subject.ingress = (subject.ingress ?? []) + [key] }
            if policy.egress != nil { subject.egress = (subject.egress ?? []) + [key] }
        }
        return subject
    }

    private func message(_ policy: PolicySource) -> JSON {
        var json: JSONObject = ["name": .string(policy.key)]
        if let rules = policy.ingress { json["ingress"] = .array(rules.map { message($0, isEgress: false) }) }
        if let rules = policy.egress { json["egress"] = .array(rules.map { message($0, isEgress: true) }) }
        return .object(json)
    }

    private func message(_ rule: PolicySource.Rule, isEgress: Bool) -> JSON {
        var json: JSONObject = [:]
        if let peers = rule.peers { json["peers"] = .array(peers.flatMap { message($0, isEgress: isEgress) }) }
        if let ports = rule.ports { json["ports"] = .array(ports.map(message)) }
        return .object(json)
    }

    private func message(_ peer: PolicySource.Peer, isEgress: Bool) -> [JSON] {
        func group(_ key: PolicyGroup.Key) -> JSON { ["group": .string(key.name)] }
        switch peer {
        case .block(let cidr, let except): return [["cidr": .string(cidr), "except": JSON(except)]]
        case .pods(let selector):
            return [group(.peers(selector))] + (isEgress && meansDNS(selector) ? [group(.dns)] : [])
        }
    }

    private func message(_ port: PolicySource.Port) -> JSON {
        switch port {
        case .named(let name): return ["group": .string(PolicyGroup.Key.port(name).name)]
        case .number(let transport, let port, let endPort):
            var json: JSONObject = ["protocol": .string(transport)]
            if let port { json["port"] = .integer(port) }
            if let endPort { json["endPort"] = .integer(endPort) }
            return .object(json)
        }
    }
}
