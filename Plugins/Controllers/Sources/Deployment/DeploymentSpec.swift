import Objects

/// Names of the annotations and condition reasons that kubectl and other clients read.
enum DeploymentNames {
    static let revision = "deployment.kubernetes.io/revision"
    static let revisionHistory = "deployment.kubernetes.io/revision-history"
    static let desiredReplicas = "deployment.kubernetes.io/desired-replicas"
    static let maximumReplicas = "deployment.kubernetes.io/max-replicas"
    /// The revision to return to; "0" for the last one.
    static let rollback = "deprecated.deployment.rollback.to"
    /// Annotations of a Deployment that its ReplicaSets do not inherit.
    static let notInherited: Set<String> = [
        "kubectl.kubernetes.io/last-applied-configuration", revision, revisionHistory, desiredReplicas, maximumReplicas,
        rollback,
    ]
}

/// The parts of a Deployment that its plan decides by, with defaults filled in.
struct DeploymentSpec {
    let object: JSON
    let replicas: Int64
    let isRolling: Bool
    let isPaused: Bool
    /// Pods above `replicas` during a rolling update.
    let maximumSurge: Int64
    /// Pods below `replicas` that may be unavailable during a rolling update.
    let maximumUnavailable: Int64
    let minReadySeconds: Int64
    let revisionHistoryLimit: Int64
    /// Nil: progress is not watched.
    let progressDeadline: Int64?

    init(_ deployment: JSON) {
        object = deployment
        let spec = deployment["spec"]
        replicas = spec["replicas"].integerValue ?? 1
        isRolling = spec["strategy"]["type"].stringValue != "Recreate"
        isPaused = spec["paused"].boolValue ?? false
        minReadySeconds = spec["minReadySeconds"].integerValue ?? 0
        revisionHistoryLimit = spec["revisionHistoryLimit"].integerValue ?? 10
        let deadline = spec["progressDeadlineSeconds"].integerValue ?? 600
        progressDeadline = deadline == Int64(Int32.max) ? nil : deadline
        let rolling = spec["strategy"]["rollingUpdate"]
        let surge = Self.amount(rolling["maxSurge"], of: replicas, roundUp: true)
        var unavailable = Self.amount(rolling["maxUnavailable"], of: replicas, roundUp: false)
        // Both zero would never move: Kubernetes lets one be unavailable then.
        if surge == 0 && unavailable == 0 { unavailable = 1 }
        maximumSurge = isRolling ? surge : 0
        maximumUnavailable = isRolling && replicas > 0 ? min(unavailable, replicas) : 0
    }

    /// A number, or a percentage of `total`; absent means 25 %.
    static func amount(_ value: JSON, of total: Int64, roundUp: Bool) -> Int64 {
        if let number = value.integerValue { return max(0, number) }
        let text = value.stringValue ?? "25%"
        guard text.hasSuffix("%"), let percent = Int64(text.dropLast()) else { return Int64(text) ?? 0 }
        return max(0, roundUp ? (total * percent + 99) / 100 : total * percent / 100)
    }
}

/// The numbers of a ReplicaSet that a Deployment decides by.
struct ReplicaSetState {
    let object: JSON

    init(_ object: JSON) { self.object = object }

    var name: String { object.name }
    var replicas: Int64 { object["spec"]["replicas"].integerValue ?? 1 }
    var existing: Int64 { object["status"]["replicas"].integerValue ?? 0 }
    var ready: Int64 { object["status"]["readyReplicas"].integerValue ?? 0 }
    var available: Int64 { object["status"]["availableReplicas"].integerValue ?? 0 }
    var revision: Int64 { Int64(object.annotations[DeploymentNames.revision].stringValue ?? "") ?? 0 }
    var desired: Int64? { Int64(object.annotations[DeploymentNames.desiredReplicas].stringValue ?? "") }
    var maximum: Int64? { Int64(object.annotations[DeploymentNames.maximumReplicas].stringValue ?? "") }

    /// Older first, then by name.
    static func isOlder(_ one: ReplicaSetState, _ other: ReplicaSetState) -> Bool {
        let (first, second) = (one.object.creationTimestamp ?? "", other.object.creationTimestamp ?? "")
        return first == second ? one.name < other.name : first < second
    }
}
