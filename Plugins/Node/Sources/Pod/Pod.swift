import Objects

/// What part a container plays in its pod; it decides order, restarts and termination.
enum ContainerKind: Sendable, Hashable {
    /// Runs to completion before the next one starts.
    case initialization
    /// An init container with `restartPolicy: Always`: starts in order, then runs beside the regular ones.
    case sidecar
    case regular
    /// Added to a running pod for debugging; started once, never restarted.
    case ephemeral
}

/// When a container is started again after it ended.
enum RestartPolicy: String, Sendable {
    case always = "Always"
    case onFailure = "OnFailure"
    case never = "Never"
}

/// What a container's own rules do when it has ended.
enum RestartRule: String, Sendable {
    case container = "Restart"
    /// The pod begins anew, in the same sandbox with the same volumes: all containers end, and start in order.
    case allContainers = "RestartAllContainers"
}

/// One container of a pod's specification, with the members that the state machine reads; the rest stays in `object`.
struct PodContainer: Sendable {
    private(set) var object: JSON
    let name: String
    let image: String
    let kind: ContainerKind
    let restartPolicy: RestartPolicy

    init(object: JSON, kind: ContainerKind, podPolicy: RestartPolicy) {
        self.object = object
        name = object["name"].stringValue ?? ""
        image = object["image"].stringValue ?? ""
        let own = object["restartPolicy"].stringValue.flatMap(RestartPolicy.init(rawValue:))
        switch kind {
        case .initialization where own == .always: self.kind = .sidecar
        default: self.kind = kind
        }
        switch self.kind {
        case .sidecar: restartPolicy = .always
        case .ephemeral: restartPolicy = .never
        case .initialization: restartPolicy = own ?? (podPolicy == .always ? .onFailure : podPolicy)
        case .regular: restartPolicy = own ?? podPolicy
        }
    }

    /// The container with other resources than the specification's.
    func with(resources: JSON) -> PodContainer {
        var copy = self
        copy.object["resources"] = resources
        return copy
    }

    /// What the first of the container's own rules that is about an end with `exitCode` does; nil when none is.
    func rule(forExitCode exitCode: Int64) -> RestartRule? {
        for rule in object["restartPolicyRules"].arrayValue {
            guard let action = rule["action"].stringValue.flatMap(RestartRule.init(rawValue:)) else { continue }
            let codes = rule["exitCodes"]
            let contained = codes["values"].arrayValue.contains { $0.integerValue == exitCode }
            if codes["operator"].stringValue == "NotIn" ? !contained : contained { return action }
        }
        return nil
    }

    /// Whether some end of it lets the whole pod begin anew.
    var mayRestartPod: Bool {
        object["restartPolicyRules"].arrayValue.contains {
            $0["action"].stringValue == RestartRule.allContainers.rawValue
        }
    }

    /// Whether the container starts again after it ended with `exitCode`, first by its own rules, then by the policy.
    func restarts(afterExitCode exitCode: Int64) -> Bool {
        if rule(forExitCode: exitCode) != nil { return true }
        switch restartPolicy {
        case .always: return true
        case .onFailure: return exitCode != 0
        case .never: return false
        }
    }

    var hasStartupProbe: Bool { object["startupProbe"].exists }
    var hasReadinessProbe: Bool { object["readinessProbe"].exists }
    var hasLivenessProbe: Bool { object["livenessProbe"].exists }
    var hasPostStart: Bool { object["lifecycle"]["postStart"].exists }
    var hasPreStop: Bool { object["lifecycle"]["preStop"].exists }

    /// The number of a named or numbered port; nil when no port has that name.
    func port(_ reference: JSON) -> Int? {
        if let number = reference.integerValue { return Int(number) }
        guard let name = reference.stringValue else { return nil }
        for port in object["ports"].arrayValue where port["name"].stringValue == name {
            return port["containerPort"].integerValue.map(Int.init)
        }
        return Int(name)
    }
}

/// A pod as the node reads it: the API object, and the members that decisions depend on, read once.
struct Pod: Sendable {
    let object: JSON
    let uid: String
    let namespace: String
    let name: String
    let restartPolicy: RestartPolicy
    /// Init containers and sidecars in order, then regular ones, then ephemeral ones.
    let containers: [PodContainer]
    /// Set when the API was asked to delete the pod.
    let deletionTimestamp: String?
    let deletionGraceSeconds: Int64
    let terminationGraceSeconds: Int64
    let activeDeadlineSeconds: Int64?
    let hostNetwork: Bool
    /// The phase that the API shows.
    let phase: String
    /// Some container's end may let the whole pod begin anew.
    let mayBeginAnew: Bool

    /// Nil when the object lacks what identifies a pod.
    init?(object: JSON) {
        let metadata = object["metadata"]
        let specification = object["spec"]
        guard let uid = metadata["uid"].stringValue, !uid.isEmpty, let name = metadata["name"].stringValue else {
            return nil
        }
        self.object = object
        self.uid = uid
        self.name = name
        namespace = metadata["namespace"].stringValue ?? "default"
        let policy = specification["restartPolicy"].stringValue.flatMap(RestartPolicy.init(rawValue:)) ?? .always
        restartPolicy = policy
        containers =
            specification["initContainers"].arrayValue.map {
                PodContainer(object: $0, kind: .initialization, podPolicy: policy)
            }
            + specification["containers"].arrayValue.map { PodContainer(object: $0, kind: .regular, podPolicy: policy) }
            + specification["ephemeralContainers"].arrayValue.map {
                PodContainer(object: $0, kind: .ephemeral, podPolicy: policy)
            }
        deletionTimestamp = metadata["deletionTimestamp"].stringValue
        // What is below 0 is treated as 1.
        let wanted = specification["terminationGracePeriodSeconds"].integerValue ?? 30
        let grace = wanted < 0 ? 1 : wanted
        terminationGraceSeconds = grace
        deletionGraceSeconds = metadata["deletionGracePeriodSeconds"].integerValue ?? grace
        activeDeadlineSeconds = specification["activeDeadlineSeconds"].integerValue
        hostNetwork = specification["hostNetwork"].boolValue ?? false
        phase = object["status"]["phase"].stringValue ?? "Pending"
        mayBeginAnew = containers.contains(where: \.mayRestartPod)
    }

    /// The store revision of this version of the object; 0 when it is not known.
    var revision: UInt64 { UInt64(object["metadata"]["resourceVersion"].stringValue ?? "") ?? 0 }

    var specification: JSON { object["spec"] }
    var status: JSON { object["status"] }

    /// Init containers and sidecars, in order.
    var initContainers: [PodContainer] { containers.filter { $0.kind == .initialization || $0.kind == .sidecar } }
    var regularContainers: [PodContainer] { containers.filter { $0.kind == .regular } }
    var ephemeralContainers: [PodContainer] { containers.filter { $0.kind == .ephemeral } }

    func container(named name: String) -> PodContainer? { containers.first { $0.name == name } }

    /// The pod with other resources of its containers, by name.
    func with(resources: [String: JSON]) -> Pod {
        var object = object
        if let own = resources[PodResources.pod] { object["spec"]["resources"] = own }
        for list in ["initContainers", "containers"] {
            object["spec"][list].updateElements { _, container in
                if let other = resources[container["name"].stringValue ?? ""] { container["resources"] = other }
            }
        }
        return Pod(object: object) ?? self
    }

    /// Whether the API already shows an end state, which never changes again.
    var isTerminal: Bool { phase == "Succeeded" || phase == "Failed" }

    /// How the node names the pod in messages: "web-1_default(uid)".
    var fullName: String { "\(name)_\(namespace)(\(uid))" }

    /// The host name that stands in for all others, with what DNS says of the pod left as it is; nil without one.
    var hostnameOverride: String? {
        specification["hostnameOverride"].stringValue.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The host name inside the pod; at most 63 characters, as the kernel and DNS labels allow.
    var hostname: String {
        if let override = hostnameOverride { return override }
        let wanted = specification["hostname"].stringValue ?? ""
        var label = String((wanted.isEmpty ? name : wanted).prefix(63))
        while let last = label.last, last == "-" || last == "." { label.removeLast() }
        return label
    }
}
