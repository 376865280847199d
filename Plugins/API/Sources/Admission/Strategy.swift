import Objects

/// What the server itself sees to when objects of a kind are written: which parts a request may change, what a new object
/// starts with. Pure.
enum Strategy {
    /// Which part of an object an update is about.
    enum Scope: Sendable, Equatable {
        case main
        case status
        /// A namespace's spec.finalizers.
        case finalize
        /// A pod's spec.ephemeralContainers.
        case ephemeralContainers
        /// A pod's resources.
        case resize
        /// The verdict on a certificate request.
        case approval
        /// A pod's node, with what a binding adds to its metadata: the server itself has put it into the present object.
        case binding
        /// A change that the server itself has made of the present object.
        case whole

        /// The subresource that stands for it; nil where the request says.
        var subresource: String? {
            switch self {
            case .main: ""
            case .status: "status"
            case .finalize: "finalize"
            case .ephemeralContainers: "ephemeralcontainers"
            case .resize: "resize"
            case .approval: "approval"
            case .binding, .whole: nil
            }
        }
    }

    private static let serverMetadata = [
        "uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
    ]

    // MARK: - Updates

    /// Puts the wanted object together with the parts of the present one that the request may not change.
    static func merge(_ object: inout JSON, _ present: JSON, _ resource: Resource, _ scope: Scope) {
        switch scope {
        case .main:
            if resource.hasStatus { keep("status", &object, present) }
            // What is asked for, and by whom, is settled when it is asked.
            if resource.qualified == CertificateRequest.resource { keep("spec", &object, present) }
            if resource.qualified == "namespaces" { object["spec"]["finalizers"] = present["spec"]["finalizers"] }
            if resource.qualified == "namespaces", object["spec"]["finalizers"].isNull {
                object["spec"].removeValue(forKey: "finalizers")
            }
        case .status:
            var merged = present
            merged["status"] = object["status"]
            if merged["status"].isNull { merged.removeValue(forKey: "status") }
            mergeMetadata(&merged, object, StatusMetadata.kept(resource))
            if resource.qualified == "pods" { PodStatusMerge.keep(&merged, present) }
            if resource.qualified == "persistentvolumes" { noteTransition(&merged, present, now: .now()) }
            if resource.qualified == "resourceclaims.resource.k8s.io" { forgetDevices(&merged, present) }
            object = merged
        case .finalize:
            var merged = present
            merged["spec"]["finalizers"] = object["spec"]["finalizers"]
            if merged["spec"]["finalizers"].arrayValue.isEmpty { merged["spec"].removeValue(forKey: "finalizers") }
            object = merged
        case .ephemeralContainers:
            var merged = present
            merged["spec"]["ephemeralContainers"] = object["spec"]["ephemeralContainers"]
            object = merged
        case .resize:
            object = PodResize.merged(object, present)
        case .approval:
            var merged = CertificateRequest.approved(present, as: object, now: .now())
            mergeMetadata(&merged, object, [])
            object = merged
        case .binding, .whole: break
        }
        for key in serverMetadata {
            if let value = present.metadata.objectValue?[key] {
                object["metadata"][key] = value
            } else {
                object["metadata"].removeValue(forKey: key)
            }
        }
        settle(&object, resource)
    }

    /// When a volume's phase changes, the server says since when it has the new one, unless the client does.
    private static func noteTransition(_ volume: inout JSON, _ present: JSON, now: Timestamp) {
        let time = volume["status"]["lastPhaseTransitionTime"]
        guard volume["status"]["phase"] != present["status"]["phase"],
            time.isNull || time == present["status"]["lastPhaseTransitionTime"]
        else { return }
        volume["status"]["lastPhaseTransitionTime"] = .string(now.formatted(fraction: .none))
    }

    /// What drivers said of devices goes with the devices that a claim no longer has.
    private static func forgetDevices(_ claim: inout JSON, _ present: JSON) {
        func key(_ device: JSON) -> JSON { .array(["driver", "pool", "device"].map { device[$0] }) }
        func allocated(_ claim: JSON) -> Set<JSON> {
            Set(claim["status"]["allocation"]["devices"]["results"].arrayValue.map(key))
        }
        let gone = allocated(present).subtracting(allocated(claim))
        let devices = claim["status"]["devices"].arrayValue
        guard !gone.isEmpty, devices.contains(where: { gone.contains(key($0)) }) else { return }
        let left = devices.filter { !gone.contains(key($0)) }
        claim["status"]["devices"] = .array(left)
        if left.isEmpty { claim["status"].removeValue(forKey: "devices") }
    }

    /// Takes over the parts of the metadata that clients write, but for those that are kept.
    private static func mergeMetadata(_ merged: inout JSON, _ object: JSON, _ kept: Set<String>) {
        for key in StatusMetadata.writable where !kept.contains(key) {
            if object.metadata[key].exists {
                merged["metadata"][key] = object.metadata[key]
            } else {
                merged["metadata"].removeValue(forKey: key)
            }
        }
    }

    private static func keep(_ key: String, _ object: inout JSON, _ present: JSON) {
        if let value = present.objectValue?[key] { object[key] = value } else { object.removeValue(forKey: key) }
    }

    /// Advances the generation when the spec has changed.
    static func countGeneration(
        _ object: inout JSON, _ before: JSON, _ resource: Resource, _ scope: Scope = .main
    ) {
        guard resource.hasGeneration else { return }
        // That a pod gets its node is no change of what is wanted of it.
        let isBinding = scope == .binding
        let changed =
            resource.custom == nil
            ? !isBinding && wanted(object, resource, scope) != wanted(before, resource, scope)
            : scope != .status && content(object) != content(before)
        object.generation = max(before.generation, 1) + (changed ? 1 : 0)
        if TemplateGeneration.concerns(resource) { TemplateGeneration.count(&object, from: before) }
    }

    /// What an object asks for: mostly its specification.
    private static func wanted(_ object: JSON, _ resource: Resource, _ scope: Scope) -> [JSON] {
        switch resource.qualified {
        // Some have been steered by annotations; the one that the controller writes is none of these.
        case "deployments.apps" where scope == .main:
            var annotations = object["metadata"]["annotations"]
            if annotations.exists { annotations.removeValue(forKey: "deployment.kubernetes.io/revision") }
            return [object["spec"], annotations.isEmpty ? .null : annotations]
        case "validatingwebhookconfigurations.admissionregistration.k8s.io",
            "mutatingwebhookconfigurations.admissionregistration.k8s.io":
            return [object["webhooks"]]
        case "podtemplates": return [object["template"]]
        default: return [object["spec"]]
        }
    }

    /// All of a custom object but its metadata: any part of it may be what is wanted.
    private static func content(_ object: JSON) -> JSON {
        var object = object
        for key in ["apiVersion", "kind", "metadata"] { object.removeValue(forKey: key) }
        return object
    }

    /// Whether an object that is being deleted has nothing left that keeps it.
    static func isFinished(_ object: JSON, _ resource: Resource) -> Bool {
        guard object.deletionTimestamp != nil, object.finalizers.isEmpty,
            object.metadata["deletionGracePeriodSeconds"].integerValue ?? 0 == 0
        else { return false }
        return resource.qualified != "namespaces" || object["spec"]["finalizers"].arrayValue.isEmpty
    }

    // MARK: - Creation

    /// Gives a new object what it starts with; its status is the server's.
    static func prepareForCreate(_ object: inout JSON, _ resource: Resource) {
        switch resource.qualified {
        case "pods":
            object["status"] = ["phase": "Pending", "qosClass": .string(QualityOfService.of(object["spec"]))]
            AffinityLabelKeys.merge(into: &object)
        case "namespaces":
            object["spec"]["finalizers"] = ["kubernetes"]
            object["status"] = ["phase": "Active"]
        case "services": object["status"] = ["loadBalancer": [:]]
        case "persistentvolumeclaims": object["status"] = ["phase": "Pending"]
        case "persistentvolumes":
            let now = Timestamp.now().formatted(fraction: .none)
            object["status"] = ["phase": "Pending", "lastPhaseTransitionTime": .string(now)]
        case "apiservices.apiregistration.k8s.io": APIServiceStatus.prepare(&object)
        case "daemonsets.apps":
            TemplateGeneration.begin(&object)
            object["status"] = [:]
        case "nodes": break
        case "jobs.batch":
            JobLabels.fill(&object)
            object["status"] = [:]
        case _ where resource.custom != nil:
            if resource.hasStatus { object.removeValue(forKey: "status") }
        default:
            if resource.hasStatus { object["status"] = [:] }
        }
    }

    /// Puts what a request may say in other words into those that are kept: a secret's stringData goes into its data.
    static func settle(_ object: inout JSON, _ resource: Resource) {
        if TemplateGeneration.concerns(resource) { TemplateGeneration.settle(&object) }
        guard resource.qualified == "secrets", let texts = object.removeValue(forKey: "stringData")?.objectValue else {
            return
        }
        for (key, value) in texts {
            object["data"][key] = .string(Base64.encode(Array((value.stringValue ?? "").utf8)))
        }
    }
}

/// Labels by which a job knows its pods, unless it chooses its own. Where a client has said something else, validation
/// refuses it.
enum JobLabels {
    static func fill(_ job: inout JSON) {
        guard job["spec"]["manualSelector"].boolValue != true else { return }
        let labels: [(String, String)] = [
            ("batch.kubernetes.io/controller-uid", job.uid), ("controller-uid", job.uid),
            ("batch.kubernetes.io/job-name", job.name), ("job-name", job.name),
        ]
        for (key, value) in labels where job["spec"]["template"]["metadata"]["labels"][key].isNull {
            job["spec"]["template"]["metadata"]["labels"][key] = .string(value)
        }
        let own = "batch.kubernetes.io/controller-uid"
        if job["spec"]["selector"]["matchLabels"][own].isNull {
            job["spec"]["selector"]["matchLabels"][own] = .string(job.uid)
        }
    }
}

/// The quality-of-service class of a pod.
/// See https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/.
enum QualityOfService {
    static func of(_ spec: JSON) -> String {
        var isGuaranteed = true
        var isBestEffort = true
        // Resources of the pod as a whole decide alone, where it has them.
        let containers =
            spec["resources"]["requests"].isEmpty && spec["resources"]["limits"].isEmpty
            ? spec["containers"].arrayValue + spec["initContainers"].arrayValue : [spec]
        for container in containers {
            let requests = container["resources"]["requests"]
            let limits = container["resources"]["limits"]
            for name in ["cpu", "memory"] {
                if requests[name].exists || limits[name].exists { isBestEffort = false }
                guard let limit = quantity(limits[name]), !limit.isZero else {
                    isGuaranteed = false
                    continue
                }
                if let request = quantity(requests[name]), request != limit { isGuaranteed = false }
            }
        }
        if isBestEffort { return "BestEffort" }
        return isGuaranteed ? "Guaranteed" : "Burstable"
    }

    /// Nil where there is none, and for what is no quantity, which validation refuses afterwards.
    private static func quantity(_ value: JSON) -> Quantity? {
        value.isNull ? nil : try? Quantity(value)
    }
}
