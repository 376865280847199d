import Objects

/// What one look at a Deployment and its ReplicaSets asks for. Pure: the same snapshot gives the same plan.
struct DeploymentPlan {
    /// A change of an existing ReplicaSet; nil members stay as they are.
    struct Change {
        var replicaSet: JSON
        var replicas: Int64?
        var annotations: [String: String]?
        var minReadySeconds: Int64?

        /// "up" or "down" with both sizes, for the event; nil when the size stays.
        var scaling: (direction: String, from: Int64, to: Int64)? {
            let from = ReplicaSetState(replicaSet).replicas
            guard let replicas, replicas != from else { return nil }
            return (replicas > from ? "up" : "down", from, replicas)
        }
    }

    var changes: [Change] = []
    var create: JSON?
    var delete: [JSON] = []
    /// The revision that the Deployment's annotation must show; nil when it shows it.
    var revision: String?
    var status: JSON = .null
    /// Seconds until progress must be judged again; nil when nothing waits on time.
    var recheckAfter: Int64?

    let spec: DeploymentSpec
    let now: Timestamp
    private(set) var newSet: ReplicaSetState?
    private(set) var oldSets: [ReplicaSetState] = []
    var conditions: JSON

    /// - Parameters:
    ///   - replicaSets: those that the Deployment owns.
    ///   - oldPodsRemain: whether pods of old ReplicaSets have not ended; a Recreate waits for them.
    init(_ deployment: JSON, replicaSets: [JSON], oldPodsRemain: Bool, now: Timestamp) {
        spec = DeploymentSpec(deployment)
        self.now = now
        conditions = deployment["status"]["conditions"]
        let sets = replicaSets.map(ReplicaSetState.init).sorted(by: ReplicaSetState.isOlder)
        let template = PodTemplate.normalized(deployment["spec"]["template"])
        let index = sets.firstIndex { PodTemplate.normalized($0.object["spec"]["template"]) == template }
        newSet = index.map { sets[$0] }
        oldSets = sets.indices.filter { $0 != index }.map { sets[$0] }
        if deployment["metadata"]["deletionTimestamp"].exists {
            status = makeStatus()
            return
        }
        notePause()
        if spec.isPaused {
            syncRevision(createIfAbsent: false)
            scaleProportionally()
            cleanUpHistory()
            status = makeStatus()
        } else if isScaling {
            syncRevision(createIfAbsent: false)
            scaleProportionally()
            status = makeStatus()
        } else {
            if spec.isRolling { roll() } else { recreate(oldPodsRemain: oldPodsRemain) }
            if isComplete(deployment["status"]) { cleanUpHistory() }
            status = makeStatus()
            noteProgress()
        }
    }

    var allSets: [ReplicaSetState] { oldSets + (newSet.map { [$0] } ?? []) }

    private func size(_ set: ReplicaSetState) -> Int64 {
        changes.last { $0.replicaSet.uid == set.object.uid }?.replicas ?? set.replicas
    }

    func total(_ sets: [ReplicaSetState]) -> Int64 { sets.reduce(0) { $0 + size($1) } }

    // MARK: Revisions

    /// Finds or makes the ReplicaSet of the present template and gives it the newest revision.
    private mutating func syncRevision(createIfAbsent: Bool) {
        let next = (oldSets.map(\.revision).max() ?? 0) + 1
        guard let set = newSet else {
            if createIfAbsent {
                create = makeReplicaSet(revision: next)
                setRevision("\(next)")
            }
            return
        }
        var annotations = set.object.annotations.stringDictionary
        let inherited = inheritedAnnotations
        for name in annotations.keys where inherited[name] == nil && !DeploymentNames.notInherited.contains(name) {
            annotations[name] = nil
        }
        annotations.merge(inherited) { $1 }
        if set.revision < next {
            if set.revision > 0 {
                let history = annotations[DeploymentNames.revisionHistory].map { $0 + "," } ?? ""
                annotations[DeploymentNames.revisionHistory] = history + "\(set.revision)"
            }
            annotations[DeploymentNames.revision] = "\(next)"
        }
        let minimum = set.object["spec"]["minReadySeconds"].integerValue ?? 0
        if annotations != set.object.annotations.stringDictionary || minimum != spec.minReadySeconds {
            note(set, annotations: annotations, minReadySeconds: spec.minReadySeconds)
        }
        setRevision(annotations[DeploymentNames.revision] ?? "\(next)")
        if spec.progressDeadline != nil && !conditions.condition("Progressing").exists {
            setProgressing("True", "FoundNewReplicaSet", "Found new replica set \"\(set.name)\"")
        }
    }

    private mutating func setRevision(_ text: String) {
        if spec.object.annotations[DeploymentNames.revision].stringValue != text { revision = text }
    }

    private var inheritedAnnotations: [String: String] {
        spec.object.annotations.stringDictionary.filter { !DeploymentNames.notInherited.contains($0.key) }
    }

    private var sizeAnnotations: [String: String] {
        [
            DeploymentNames.desiredReplicas: "\(spec.replicas)",
            DeploymentNames.maximumReplicas: "\(spec.replicas + spec.maximumSurge)",
        ]
    }

    private mutating func makeReplicaSet(revision: Int64) -> JSON {
        let deployment = spec.object
        let template = deployment["spec"]["template"]
        let hash = PodTemplate.hash(template, collisions: deployment["status"]["collisionCount"].integerValue)
        let name = "\(deployment.name)-\(hash)"
        var labelled = template
        labelled["metadata"]["labels"][PodTemplate.hashLabel] = .string(hash)
        var selector = deployment["spec"]["selector"]
        selector["matchLabels"][PodTemplate.hashLabel] = .string(hash)
        var annotations = inheritedAnnotations.merging(sizeAnnotations) { $1 }
        annotations[DeploymentNames.revision] = "\(revision)"
        if spec.progressDeadline != nil {
            setProgressing("True", "NewReplicaSetCreated", "Created new replica set \"\(name)\"")
        }
        let sorted = annotations.sorted { $0.key < $1.key }.map { ($0.key, JSON.string($0.value)) }
        var body: JSON = [
            "replicas": .integer(newSetSize(current: 0)), "selector": selector, "template": labelled,
        ]
        if spec.minReadySeconds > 0 { body["minReadySeconds"] = .integer(spec.minReadySeconds) }
        return [
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": [
                "name": .string(name), "namespace": .string(deployment.namespace),
                "labels": labelled["metadata"]["labels"], "annotations": .object(JSONObject(sorted)),
                "ownerReferences": .array([ControllerReference(.deployments, deployment).json]),
            ],
            "spec": body,
        ]
    }

    private mutating func cleanUpHistory() {
        let candidates = oldSets.filter { !$0.object["metadata"]["deletionTimestamp"].exists }
        let surplus = candidates.count - Int(spec.revisionHistoryLimit)
        guard surplus > 0 else { return }
        let oldest = candidates.sorted {
            $0.revision == $1.revision ? ReplicaSetState.isOlder($0, $1) : $0.revision < $1.revision
        }
        delete = oldest.prefix(surplus).filter { set in
            set.existing == 0 && size(set) == 0
                && set.object.generation <= (set.object["status"]["observedGeneration"].integerValue ?? 0)
        }.map(\.object)
    }

    // MARK: Rollout

    private mutating func roll() {
        syncRevision(createIfAbsent: true)
        guard let newSet else { return }
        let wanted = size(newSet) > spec.replicas ? spec.replicas : newSetSize(current: size(newSet))
        if scale(newSet, to: wanted) { return }
        reduceOldSets(newSet)
    }

    /// How large the new ReplicaSet may be now.
    private func newSetSize(current: Int64) -> Int64 {
        guard spec.isRolling else { return spec.replicas }
        let room = spec.replicas + spec.maximumSurge - total(allSets)
        return room <= 0 ? current : current + max(0, min(room, spec.replicas - current))
    }

    private mutating func reduceOldSets(_ newSet: ReplicaSetState) {
        guard total(oldSets) > 0 else { return }
        let minimum = spec.replicas - spec.maximumUnavailable
        let newUnavailable = size(newSet) - newSet.available
        let most = total(allSets) - minimum - newUnavailable
        guard most > 0 else { return }
        // Pods that do not serve go first: they cost nothing.
        var gone: Int64 = 0
        for set in oldSets where gone < most && size(set) > 0 && size(set) > set.available {
            let cut = min(most - gone, size(set) - set.available)
            scale(set, to: size(set) - cut)
            gone += cut
        }
        var spare = allSets.reduce(0) { $0 + $1.available } - minimum
        for set in oldSets where spare > 0 && size(set) > 0 {
            let cut = min(size(set), spare)
            scale(set, to: size(set) - cut)
            spare -= cut
        }
    }

    private mutating func recreate(oldPodsRemain: Bool) {
        syncRevision(createIfAbsent: false)
        var reduced = false
        for set in oldSets where size(set) > 0 {
            scale(set, to: 0)
            reduced = true
        }
        if reduced || oldPodsRemain { return }
        syncRevision(createIfAbsent: true)
        if let newSet { scale(newSet, to: spec.replicas) }
    }

    // MARK: Scaling

    /// Whether the Deployment's size changed since its ReplicaSets were sized.
    private var isScaling: Bool {
        allSets.contains { $0.replicas > 0 && $0.desired != nil && $0.desired != spec.replicas }
    }

    /// Gives each active ReplicaSet its share of a new size, so that a half-done rollout stays half done.
    private mutating func scaleProportionally() {
        let active = allSets.filter { $0.replicas > 0 }
        if active.count <= 1 {
            let latest = oldSets.max { $0.revision < $1.revision }
            if let set = active.first ?? newSet ?? latest { scale(set, to: spec.replicas) }
            return
        }
        if let newSet, newSet.desired == spec.replicas, newSet.replicas == spec.replicas,
            newSet.available == spec.replicas
        {
            for set in oldSets where set.replicas > 0 { scale(set, to: 0) }
            return
        }
        guard spec.isRolling else { return }
        let present = active.reduce(0) { $0 + $1.replicas }
        let allowed = spec.replicas > 0 ? spec.replicas + spec.maximumSurge : 0
        let change = allowed - present
        let ordered = active.sorted { one, other in
            if one.replicas != other.replicas { return one.replicas > other.replicas }
            return change > 0 ? ReplicaSetState.isOlder(other, one) : ReplicaSetState.isOlder(one, other)
        }
        var sizes = ordered.map(\.replicas)
        var given: Int64 = 0
        for (index, set) in ordered.enumerated() where change != 0 && change != given {
            let share = fraction(of: set)
            let part = change > 0 ? min(share, change - given) : max(share, change - given)
            sizes[index] += part
            given += part
        }
        sizes[0] = max(0, sizes[0] + change - given)
        for (set, size) in zip(ordered, sizes) { scale(set, to: size) }
    }

    /// By how much a ReplicaSet grows or shrinks with the Deployment.
    private func fraction(of set: ReplicaSetState) -> Int64 {
        if spec.replicas == 0 { return -set.replicas }
        let before = set.maximum ?? spec.object["status"]["replicas"].integerValue ?? 0
        guard before > 0 else { return 0 }
        let exact = Double(set.replicas * (spec.replicas + spec.maximumSurge)) / Double(before)
        return Int64(exact.rounded()) - set.replicas
    }

    /// Plans a size, and the annotations that record what it was sized for. True when the size changes.
    @discardableResult
    private mutating func scale(_ set: ReplicaSetState, to wanted: Int64) -> Bool {
        var annotations =
            changes.last { $0.replicaSet.uid == set.object.uid }?.annotations
            ?? set.object.annotations.stringDictionary
        let before = annotations
        annotations.merge(sizeAnnotations) { $1 }
        let isResized = wanted != size(set)
        guard isResized || annotations != before else { return false }
        note(set, replicas: wanted, annotations: annotations)
        return isResized
    }

    private mutating func note(
        _ set: ReplicaSetState, replicas: Int64? = nil, annotations: [String: String]? = nil,
        minReadySeconds: Int64? = nil
    ) {
        let index = changes.firstIndex { $0.replicaSet.uid == set.object.uid } ?? changes.count
        if index == changes.count { changes.append(Change(replicaSet: set.object)) }
        if let replicas { changes[index].replicas = replicas }
        if let annotations { changes[index].annotations = annotations }
        if let minReadySeconds { changes[index].minReadySeconds = minReadySeconds }
    }
}
