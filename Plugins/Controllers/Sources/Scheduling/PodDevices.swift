import Objects

/// What a pod's resource claims mean for its placement.
enum PodDevices {
    /// It has none, or none that matter.
    case none
    /// The pod cannot be placed now, in Kubernetes' words.
    case blocked(String)
    case ready(DevicePlan)

    /// - Parameters:
    ///   - extended: what it asks for without naming a claim.
    ///   - claim: the claim of this name in the pod's namespace.
    ///   - isBeingAllocated: whether devices for a claim were chosen and are not written down yet.
    ///   - nodes: all there are.
    ///   - allocator: for claims that have no devices.
    init(
        _ pod: JSON, extended: ExtendedResources? = nil, claim: (String) -> JSON?, isBeingAllocated: (JSON) -> Bool,
        deviceClass: (String) -> JSON?, nodes: [JSON], now: Timestamp, allocator: ([JSON]) -> DeviceAllocator
    ) {
        var claims: [JSON] = []
        for entry in pod["spec"]["resourceClaims"].arrayValue {
            switch PodClaims.place(of: entry, in: pod) {
            case .needless: continue
            case .missing:
                self = .blocked("pod \"\(objectKey(pod))\": ResourceClaim not created yet")
                return
            case .named(let name, let isMade):
                guard let found = claim(name) else {
                    self = .blocked("resourceclaim.resource.k8s.io \"\(name)\" not found")
                    return
                }
                if let complaint = Self.complaint(of: found, for: pod, isMade: isMade, isBeingAllocated, deviceClass) {
                    self = .blocked(complaint)
                    return
                }
                claims.append(found)
            }
        }
        if let extended { claims.append(extended.claim) }
        guard !claims.isEmpty else {
            self = .none
            return
        }
        do throws(DeviceProblem) {
            self = .ready(try DevicePlan(claims, extended, nodes: nodes, now: now, allocator: allocator))
        } catch {
            self = .blocked("running \"DynamicResources\" filter plugin: \(error)")
        }
    }

    /// Why a pod has to wait for one of its claims.
    private static func complaint(
        of claim: JSON, for pod: JSON, isMade: Bool, _ isBeingAllocated: (JSON) -> Bool,
        _ deviceClass: (String) -> JSON?
    ) -> String? {
        if claim.deletionTimestamp != nil { return "resourceclaim \"\(claim.name)\" is being deleted" }
        if isMade, let complaint = PodClaims.complaint(of: claim, for: pod) { return complaint }
        if claim["status"]["allocation"].exists {
            let isOpen = PodClaims.mayBeReserved(claim) || PodClaims.isReserved(claim, for: pod)
            return isOpen ? nil : "resourceclaim in use"
        }
        if isBeingAllocated(claim) {
            return "resource claim \(objectKey(claim)) is in the process of being allocated"
        }
        for request in claim["spec"]["devices"]["requests"].arrayValue {
            let name = request["name"].stringValue ?? ""
            let ways =
                request["exactly"].exists
                ? [(name, request["exactly"])]
                : request["firstAvailable"].arrayValue.map { ("\(name)/\($0["name"].stringValue ?? "")", $0) }
            for (label, wish) in ways {
                let className = wish["deviceClassName"].stringValue ?? ""
                if deviceClass(className) == nil {
                    return "request \(label): device class \(className) does not exist"
                }
            }
        }
        return nil
    }
}

/// Where a pod can have all devices that it claims, and which.
struct DevicePlan: Sendable {
    /// The pod's claims.
    let claims: [JSON]
    /// What of them is not written yet.
    let extended: ExtendedResources?
    /// Those that have no devices yet.
    let open: [JSON]
    /// By the name of a node, the allocations of `open`.
    private(set) var allocations: [String: [JSON]] = [:]
    /// How many nodes do not have what is asked for, by why.
    private(set) var refusals: [String: Int] = [:]
    /// The claims that have devices where some nodes do not reach them.
    private(set) var unreached: [JSON] = []

    /// - Throws: what is wrong with a claim or a class.
    init(
        _ claims: [JSON], _ extended: ExtendedResources?, nodes: [JSON], now: Timestamp,
        allocator: ([JSON]) -> DeviceAllocator
    ) throws(DeviceProblem) {
        (self.claims, self.extended) = (claims, extended)
        open = claims.filter { !$0["status"]["allocation"].exists }
        let allocator = open.isEmpty ? nil : allocator(open)
        // What does not get ready is of no use anywhere.
        let broken = claims.filter { if case .failed = BindingConditions([$0], now: now) { true } else { false } }
        for node in nodes {
            let away = claims.filter { claim in
                let selector = claim["status"]["allocation"]["nodeSelector"]
                return broken.contains { $0.uid == claim.uid }
                    || selector.exists && !NodeSelector.matches(selector["nodeSelectorTerms"].arrayValue, node: node)
            }
            guard away.isEmpty else {
                for claim in away where !unreached.contains(where: { $0.uid == claim.uid }) { unreached.append(claim) }
                refusals["resourceclaim not available on the node", default: 0] += 1
                continue
            }
            guard let allocator else {
                allocations[node.name] = []
                continue
            }
            if let found = try allocator.allocations(on: node) {
                allocations[node.name] = found
            } else {
                refusals["cannot allocate all claims", default: 0] += 1
            }
        }
    }

    /// Node selector terms of which one must hold; nil where every node will do.
    var terms: [JSON]? { refusals.isEmpty ? nil : allocations.keys.sorted().map(NodeNames.term) }

    /// Why no node will do, in Kubernetes' words; nil where one will.
    var refusal: String? {
        guard allocations.isEmpty else { return nil }
        return refusals.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }

    /// A claim whose devices are where the pod cannot be, and that nobody uses: without them the pod may find a place.
    func useless(for pod: JSON) -> JSON? {
        unreached.first { claim in
            let consumers = claim["status"]["reservedFor"].arrayValue
            return consumers.allSatisfy { $0["uid"].stringValue == pod.uid }
        }
    }

    /// Whether some of the devices have to get ready for the node first.
    func areAwaited(on node: String) -> Bool {
        claims.contains { claim in
            guard let allocation = allocation(of: claim, on: node) else {
                return BindingConditions.areAwaited(by: claim)
            }
            return BindingConditions.areAwaited(by: ["status": ["allocation": allocation]])
        }
    }

    /// The allocation that a claim gets on a node; nil for one that has its devices.
    func allocation(of claim: JSON, on node: String) -> JSON? {
        guard let index = open.firstIndex(where: { $0.uid == claim.uid }) else { return nil }
        return allocations[node]?[index]
    }
}

/// Devices that were chosen for claims whose status does not tell of it yet.
struct HeldDevices {
    private struct Entry {
        var pod: String
        var namespace: String
        var name: String
        var allocation: JSON
        /// It is on its way: the outcome tells what becomes of it.
        var isWriting = false
    }

    /// By uids of claims.
    private var entries: [String: Entry] = [:]

    mutating func hold(_ plan: DevicePlan, for pod: JSON, on node: String) {
        for claim in plan.open {
            guard let allocation = plan.allocation(of: claim, on: node) else { continue }
            entries[claim.uid] = Entry(
                pod: pod.uid, namespace: claim.namespace, name: claim.name, allocation: allocation)
        }
    }

    mutating func beginWriting(for pod: String) {
        for (uid, entry) in entries where entry.pod == pod { entries[uid]?.isWriting = true }
    }

    /// The pod does not get them; what is on its way is left to its outcome, unless that is what is told.
    mutating func release(pod: String, isOutcome: Bool) {
        entries = entries.filter { $0.value.pod != pod || $0.value.isWriting && !isOutcome }
    }

    /// Forgets what claims tell of by now, and claims that are gone.
    /// - Parameters:
    ///   - claim: the claim of this name; for a name that none has, the one that was written for the pod.
    mutating func settle(claim: (_ namespace: String, _ name: String, _ pod: String) -> JSON?) {
        entries = entries.filter { uid, entry in
            guard let current = claim(entry.namespace, entry.name, entry.pod),
                current.uid == uid || entry.name == ExtendedResources.unwrittenName
            else { return entry.isWriting }
            return !current["status"]["allocation"].exists
        }
    }

    func contains(_ claim: JSON) -> Bool { entries[claim.uid] != nil }
    var allocations: [JSON] { entries.values.map(\.allocation) }
}
