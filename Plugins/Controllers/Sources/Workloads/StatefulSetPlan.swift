import Objects

/// What one look at a StatefulSet and its pods asks for.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/.
struct StatefulSetPlan {
    static let nameLabel = "statefulset.kubernetes.io/pod-name"
    static let indexLabel = "apps.kubernetes.io/pod-index"

    /// Ordinals of the pods to create.
    var create: [Int64] = []
    var delete: [JSON] = []
    /// When a ready pod will have been ready for minReadySeconds, in seconds; nil when none waits.
    var recheckAfter: Int64?

    /// - Parameters:
    ///   - pods: the pods that the set owns.
    ///   - labels: what pods of the present template may be labelled with.
    init(_ set: JSON, pods: [JSON], labels: Set<String>, now: Timestamp) {
        let minimum = set["spec"]["minReadySeconds"].integerValue ?? 0
        let isParallel = set["spec"]["podManagementPolicy"].stringValue == "Parallel"
        let wanted = Self.ordinals(set)
        var byOrdinal: [Int64: JSON] = [:]
        for pod in pods { if let ordinal = Self.ordinal(pod, of: set) { byOrdinal[ordinal] = pod } }
        func isHealthy(_ pod: JSON) -> Bool {
            let state = PodState(pod)
            return state.phase == "Running" && !state.isTerminating
                && state.isAvailable(minReadySeconds: minimum, now: now)
        }
        recheckAfter = Self.recheck(pods, minimum, now)
        for ordinal in wanted {
            guard let pod = byOrdinal[ordinal] else {
                create.append(ordinal)
                if isParallel { continue } else { return }
            }
            if PodState(pod).isFinished && !PodState(pod).isTerminating {
                delete.append(pod)
                if isParallel { continue } else { return }
            }
            if !isParallel && !isHealthy(pod) {
                // A pod of an old template that cannot start is replaced: it would block its own repair.
                if Self.isStuck(pod) && Self.isOutdated(pod, set, ordinal, labels) { delete = [pod] }
                return
            }
        }
        condemn(byOrdinal.filter { !wanted.contains($0.key) }, isParallel: isParallel, isHealthy)
        guard delete.isEmpty, create.isEmpty else { return }
        let outdated = wanted.reversed().compactMap { byOrdinal[$0] }.filter { pod in
            Self.ordinal(pod, of: set).map { Self.isOutdated(pod, set, $0, labels) } ?? false
        }
        let limit = Self.maximumUnavailable(set)
        if limit > 1 {
            let unavailable = wanted.count { byOrdinal[$0].map { !isHealthy($0) } ?? true }
            replace(outdated, unavailable: unavailable, limit, isHealthy)
            return
        }
        for ordinal in wanted.reversed() {
            guard let pod = byOrdinal[ordinal] else { return }
            if Self.isOutdated(pod, set, ordinal, labels) {
                if !PodState(pod).isTerminating { delete = [pod] }
                return
            }
            if !isHealthy(pod) { return }
        }
    }

    /// Deletes pods of an old template, the highest first, so that no more than so many are unavailable at once. Those that do
    /// not serve anyway cost nothing.
    private mutating func replace(
        _ outdated: [JSON], unavailable: Int, _ limit: Int64, _ isHealthy: (JSON) -> Bool
    ) {
        let staying = outdated.filter { !PodState($0).isTerminating }
        delete = staying.filter { !isHealthy($0) }
        delete += staying.filter(isHealthy).prefix(max(0, Int(limit) - unavailable))
    }

    /// How many pods may be unavailable while a new template is rolled out; at least one.
    static func maximumUnavailable(_ set: JSON) -> Int64 {
        let limit = set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"]
        guard limit.exists else { return 1 }
        return max(1, DeploymentSpec.amount(limit, of: set["spec"]["replicas"].integerValue ?? 1, roundUp: false))
    }

    /// Deletes pods above the set's size: the highest first and, in order, none that is unwell before the lowest of those is
    /// well again or gone.
    private mutating func condemn(_ pods: [Int64: JSON], isParallel: Bool, _ isHealthy: (JSON) -> Bool) {
        let ascending = pods.sorted { $0.key < $1.key }
        let lowestUnwell = ascending.first { !isHealthy($0.value) }?.key
        for (ordinal, pod) in ascending.reversed() {
            let isGoing = PodState(pod).isTerminating
            if isParallel {
                if !isGoing { delete.append(pod) }
                continue
            }
            if !isGoing && (isHealthy(pod) || ordinal == lowestUnwell) { delete.append(pod) }
            return
        }
    }

    /// The numbers of the pods that a set is to have.
    static func ordinals(_ set: JSON) -> Range<Int64> {
        let first = set["spec"]["ordinals"]["start"].integerValue ?? 0
        return first..<(first + (set["spec"]["replicas"].integerValue ?? 1))
    }

    /// Whether a pod's containers cannot start, or end again and again.
    private static func isStuck(_ pod: JSON) -> Bool {
        let state = PodState(pod)
        if state.isTerminating || state.isReady { return false }
        return state.phase != "Running"
            || pod["status"]["containerStatuses"].arrayValue.contains { $0["state"]["waiting"].exists }
    }

    private static func recheck(_ pods: [JSON], _ minimum: Int64, _ now: Timestamp) -> Int64? {
        guard minimum > 0 else { return nil }
        return pods.compactMap { pod -> Int64? in
            guard let since = PodState(pod).readySince else { return nil }
            let left = since.seconds + minimum - now.seconds
            return left > 0 ? left : nil
        }.min()
    }

    private static func isOutdated(_ pod: JSON, _ set: JSON, _ ordinal: Int64, _ labels: Set<String>) -> Bool {
        guard set["spec"]["updateStrategy"]["type"].stringValue != "OnDelete", ordinal >= partition(set) else {
            return false
        }
        return !labels.contains(pod.labels[ControllerHistory.podLabel].stringValue ?? "")
    }

    /// Pods below this ordinal keep their template.
    static func partition(_ set: JSON) -> Int64 {
        ordinals(set).lowerBound + (set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].integerValue ?? 0)
    }

    /// The number in a pod's name; nil for a pod whose name is not the set's.
    static func ordinal(_ pod: JSON, of set: JSON) -> Int64? {
        let prefix = set.name + "-"
        guard pod.name.hasPrefix(prefix) else { return nil }
        return Int64(pod.name.dropFirst(prefix.count))
    }

    /// The number in the name of a claim that the set makes; nil for any other claim.
    static func ordinal(ofClaim name: String, of set: JSON) -> Int64? {
        for template in set["spec"]["volumeClaimTemplates"].arrayValue {
            let prefix = "\(template.name)-\(set.name)-"
            if name.hasPrefix(prefix), let ordinal = Int64(name.dropFirst(prefix.count)) { return ordinal }
        }
        return nil
    }

    /// The ordinals of pods that have not started, and whose claims may have gone meanwhile.
    static func pending(_ set: JSON, pods: [JSON]) -> [Int64] {
        let wanted = ordinals(set)
        return pods.filter { ["", "Pending"].contains(PodState($0).phase) && !PodState($0).isTerminating }
            .compactMap { ordinal($0, of: set) }.filter(wanted.contains).sorted()
    }

    static func claimName(_ template: JSON, set: JSON, ordinal: Int64) -> String {
        "\(template.name)-\(set.name)-\(ordinal)"
    }

    /// - Parameters:
    ///   - template: of the revision that the pod is made from.
    ///   - label: what tells this revision.
    static func pod(_ set: JSON, ordinal: Int64, template: JSON, label: String) -> JSON {
        let owner = ControllerReference(.statefulSets, set)
        var pod = ReplicaSetPlan.pod(from: template, owner: owner, namespace: set.namespace)
        let name = "\(set.name)-\(ordinal)"
        pod["metadata"].removeValue(forKey: "generateName")
        pod["metadata"]["name"] = .string(name)
        pod["metadata"]["labels"][nameLabel] = .string(name)
        pod["metadata"]["labels"][indexLabel] = .string("\(ordinal)")
        pod["metadata"]["labels"][ControllerHistory.podLabel] = .string(label)
        pod["spec"]["hostname"] = .string(name)
        if set["spec"]["serviceName"].exists { pod["spec"]["subdomain"] = set["spec"]["serviceName"] }
        let claims = set["spec"]["volumeClaimTemplates"].arrayValue
        let names = Set(claims.map(\.name))
        var volumes = pod["spec"]["volumes"].arrayValue.filter { !names.contains($0["name"].stringValue ?? "") }
        for claim in claims {
            let claimName = JSON.string(claimName(claim, set: set, ordinal: ordinal))
            volumes.append(["name": .string(claim.name), "persistentVolumeClaim": ["claimName": claimName]])
        }
        if !volumes.isEmpty { pod["spec"]["volumes"] = .array(volumes) }
        return pod
    }

    /// The claims of one ordinal. They outlive their pod and the set, unless `ClaimRetention` says otherwise.
    static func claims(_ set: JSON, ordinal: Int64) -> [JSON] {
        set["spec"]["volumeClaimTemplates"].arrayValue.map { template in
            var labels = set["spec"]["selector"]["matchLabels"]
            for (key, value) in template.labels.objectValue ?? [:] { labels[key] = value }
            var metadata: JSON = [
                "name": .string(claimName(template, set: set, ordinal: ordinal)), "namespace": .string(set.namespace),
                "labels": labels,
            ]
            if template.annotations.exists { metadata["annotations"] = template.annotations }
            return [
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"],
            ]
        }
    }

    static func status(_ set: JSON, pods: [JSON], revisions: ControllerHistory.Revisions, now: Timestamp) -> JSON {
        let minimum = set["spec"]["minReadySeconds"].integerValue ?? 0
        let live = pods.filter { !PodState($0).isFinished }
        func isOf(_ labels: Set<String>, _ pod: JSON) -> Bool {
            labels.contains(pod.labels[ControllerHistory.podLabel].stringValue ?? "")
        }
        let staying = live.filter { !PodState($0).isTerminating }
        let updated = staying.filter { isOf(revisions.labels, $0) }
        let ready = live.count { PodState($0).isReady && !PodState($0).isTerminating }
        let replicas = set["spec"]["replicas"].integerValue ?? 1
        var current = set["status"]["currentRevision"].stringValue ?? revisions.update
        // Whoever replaces the pods by hand is not told that all are.
        let isRolling = set["spec"]["updateStrategy"]["type"].stringValue != "OnDelete"
        let isDone =
            isRolling && Int64(updated.count) == replicas && live.count == updated.count && Int64(ready) == replicas
        if isDone { current = revisions.update }
        let currentLabels: Set = [current, String(current.dropFirst(set.name.count + 1))]
        var status: JSON = [
            "replicas": .integer(Int64(live.count)),
            "availableReplicas": .integer(
                Int64(
                    live.count {
                        PodState($0).isAvailable(minReadySeconds: minimum, now: now) && !PodState($0).isTerminating
                    })),
            "currentRevision": .string(current), "updateRevision": .string(revisions.update),
            "observedGeneration": .integer(set.generation),
            "collisionCount": .integer(set["status"]["collisionCount"].integerValue ?? 0),
        ]
        let currents =
            current == revisions.update ? updated.count : staying.count { isOf(currentLabels, $0) }
        for (member, count) in [
            ("readyReplicas", ready), ("currentReplicas", currents), ("updatedReplicas", updated.count),
        ]
        where count > 0 { status[member] = .integer(Int64(count)) }
        if set["status"]["conditions"].exists { status["conditions"] = set["status"]["conditions"] }
        return status
    }
}
