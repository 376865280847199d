import Objects
import PluginKit

/// Holds pods to the Pod Security Standards that the labels of their namespace ask for, and warns of what workloads would make.
/// See https://kubernetes.io/docs/concepts/security/pod-security-admission/.
struct PodSecurityAdmission: AdmissionPlugin {
    let name = "PodSecurity"
    /// The namespaces that ask for something.
    let policies: AdmissionCache<PodSecurityPolicy>
    private let store: StoreClient

    /// Pods that a changed namespace is checked for, at most.
    private static let checkedPods: UInt64 = 3000

    init(host: Host, store: StoreClient) {
        self.store = store
        policies = AdmissionCache(host, resource: "namespaces") { PodSecurityPolicy(labels: $0.labels) }
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.operation != .delete else { return }
        if request.resource.qualified == "namespaces" { return try checkNamespace(&request) }
        guard request.resource.isNamespaced, let subject = Self.subject(request) else { return }
        let policy = policies.value(named: request.namespace) ?? PodSecurityPolicy(labels: .null)
        guard !policy.isPrivileged else { return }
        let audit = request.context.request.audit
        if request.resource.qualified == "pods" {
            audit?.annotate(PodSecurityPolicy.prefix + "enforce-policy", policy.enforce.description)
        }
        // The audit log tells of what is refused as well.
        if let audit {
            let violations = PodSecurityChecks.violations(subject, policy.audit)
            if !violations.isEmpty {
                audit.annotate(
                    PodSecurityPolicy.prefix + "audit-violations",
                    "would violate PodSecurity \"\(policy.audit)\": \(PodSecurityChecks.detail(violations))")
            }
        }
        if request.resource.qualified == "pods" {
            let violations = PodSecurityChecks.violations(subject, policy.enforce)
            guard violations.isEmpty else {
                throw request.forbidden(
                    "violates PodSecurity \"\(policy.enforce)\": \(PodSecurityChecks.detail(violations))")
            }
        }
        let violations = PodSecurityChecks.violations(subject, policy.warn)
        if !violations.isEmpty {
            request.warnings.append(
                "would violate PodSecurity \"\(policy.warn)\": \(PodSecurityChecks.detail(violations))")
        }
    }

    // MARK: - What is looked at

    private static let workloads: Set = [
        "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch",
        "replicationcontrollers",
    ]
    private static let ignoredSubresources: Set = ["binding", "eviction", "status"]

    /// The pod, or the template of one, of a write that matters; nil for all others.
    private static func subject(_ request: AdmissionRequest) -> PodSecuritySubject? {
        let object = request.object
        let template: JSON
        switch request.resource.qualified {
        case "pods":
            guard !ignoredSubresources.contains(request.subresource),
                request.operation == .create || isSignificant(object, request.old)
            else { return nil }
            return PodSecuritySubject(metadata: object.metadata, spec: object["spec"])
        case let workload where workloads.contains(workload): template = object["spec"]["template"]
        case "cronjobs.batch": template = object["spec"]["jobTemplate"]["spec"]["template"]
        case "podtemplates": template = object["template"]
        default: return nil
        }
        guard request.subresource.isEmpty, template.exists else { return nil }
        return PodSecuritySubject(metadata: template["metadata"], spec: template["spec"])
    }

    /// Whether an update of a pod changes something that the rules look at.
    static func isSignificant(_ pod: JSON, _ old: JSON) -> Bool {
        let seccomp = ["seccomp.security.alpha.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/"]
        func notes(_ pod: JSON) -> [String: JSON] {
            var notes: [String: JSON] = [:]
            for (key, value) in pod.annotations.objectValue ?? [:] where seccomp.contains(where: key.hasPrefix) {
                notes[key] = value
            }
            return notes
        }
        func images(_ pod: JSON, _ list: String) -> [JSON] { pod["spec"][list].arrayValue.map { $0["image"] } }
        let (added, present) = (pod["spec"]["ephemeralContainers"], old["spec"]["ephemeralContainers"])
        return notes(pod) != notes(old) || added != present
            || ["containers", "initContainers"].contains { images(pod, $0) != images(old, $0) }
    }

    // MARK: - Namespaces

    private func checkNamespace(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.subresource.isEmpty else { return }
        let policy = PodSecurityPolicy(labels: request.object.labels)
        let before = PodSecurityPolicy(labels: request.old.labels)
        guard policy.mistakes.isEmpty || policy.mistakes == before.mistakes else {
            throw .invalid(request.resource, request.name, policy.mistakes.map(\.cause))
        }
        guard request.operation == .update, policy.enforce != before.enforce, policy.enforce.level != .privileged else {
            return
        }
        if policy.enforce.minor == before.enforce.minor, policy.enforce.level < before.enforce.level { return }
        request.warnings += try existing(in: request.name, policy.enforce)
    }

    /// What the pods of a namespace break of a level that it will have.
    private func existing(in namespace: String, _ level: PodSecurityLevel) throws(APIStatus) -> [String] {
        let page: StorePage
        var pods: [JSON] = []
        do {
            page = try store.list(prefix: "pods/\(namespace)/", limit: Self.checkedPods)
            for record in page.records { pods.append(try record.object()) }
        } catch {
            return ["failed to list pods while checking new PodSecurity enforce level"]
        }
        var warnings: [String] = []
        if page.hasMore {
            let total = UInt64(pods.count) + page.remaining
            warnings.append(
                "new PodSecurity enforce level only checked against the first \(pods.count) of \(total) existing pods")
        }
        return warnings + Self.warnings(pods, namespace, level)
    }

    /// One warning for all pods that break the same, each named by the first.
    static func warnings(_ pods: [JSON], _ namespace: String, _ level: PodSecurityLevel) -> [String] {
        var broken: [String: (first: String, count: Int)] = [:]
        for pod in pods {
            let violations = PodSecurityChecks.violations(
                PodSecuritySubject(metadata: pod.metadata, spec: pod["spec"]), level)
            guard !violations.isEmpty else { continue }
            let reason = violations.map(\.reason).joined(separator: ", ")
            let known = broken[reason]
            broken[reason] = (min(known?.first ?? pod.name, pod.name), (known?.count ?? 0) + 1)
        }
        guard !broken.isEmpty else { return [] }
        let lines = broken.map { reason, pods in
            switch pods.count {
            case 1: "\(pods.first): \(reason)"
            case 2: "\(pods.first) (and 1 other pod): \(reason)"
            default: "\(pods.first) (and \(pods.count - 1) other pods): \(reason)"
            }
        }
        return ["existing pods in namespace \"\(namespace)\" violate the new PodSecurity enforce level \"\(level)\""]
            + lines.sorted()
    }
}
