import Objects
import PluginAPI
import PluginKit

/// The parts of the control plane as ComponentStatus shows them, by the names that clients of Kubernetes look for.
/// See https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/component-status-v1/.
enum ComponentStatuses {
    static let resource = "componentstatuses"
    static let names = ["controller-manager", "etcd-0", "scheduler"]

    /// What is known of one part: nil when it works, else why it does not.
    typealias Finding = String?

    static func object(_ name: String, _ problem: Finding) -> JSON {
        var condition: JSON = ["type": "Healthy", "status": problem == nil ? "True" : "False"]
        if let problem { condition["error"] = .string(problem) } else { condition["message"] = "ok" }
        return [
            "kind": "ComponentStatus", "apiVersion": "v1",
            "metadata": ["name": .string(name), "creationTimestamp": .null], "conditions": [condition],
        ]
    }

    /// Whether a Lease of kube-system says that somebody holds it now.
    /// - Parameter now: Seconds since 1970.
    static func isHeld(_ lease: JSON, now: Int64) -> Bool {
        let spec = lease["spec"]
        guard !(spec["holderIdentity"].stringValue ?? "").isEmpty,
            let renewed = try? Timestamp(parsing: spec["renewTime"].stringValue ?? "")
        else { return false }
        return renewed.seconds + (spec["leaseDurationSeconds"].integerValue ?? 15) >= now
    }
}

extension ComponentStatuses {
    /// Whether this hostd's controllers work without having been elected, as they do over a store that no other hostd can open.
    /// - Parameters:
    ///   - plugins: what the host tells of them.
    ///   - store: what the store tells of itself.
    static func workUnelected(_ plugins: JSON, store: JSON) -> Bool {
        plugins["plugins"].arrayValue.contains { plugin in
            guard plugin["name"] == "controllers", plugin["state"] == "active" else { return false }
            switch plugin["options"]["leaderElection"].stringValue ?? "auto" {
            case "never": return true
            case "always": return false
            default: return store["engine"] == "embedded"
            }
        }
    }
}

extension RequestPipeline {
    /// Lists the parts, or shows one. They are looked at when somebody asks.
    func componentStatuses(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.request.method == .get, !context.path.isWatch, !context.query.flag("watch") else {
            throw .methodNotAllowed
        }
        let form = try context.form
        let name = context.path.name
        guard name.isEmpty || ComponentStatuses.names.contains(name) else {
            throw APIStatus(code: 500, reason: "", message: "Component not found: \(name)")
        }
        let selection = try Selection(context.query, context.resource)
        // The store's state is asked for, which may take its time.
        onWorker(respond) { [self] () throws(APIStatus) in
            guard name.isEmpty else {
                return respond(try Self.show(ComponentStatuses.object(name, problem(of: name)), context, form))
            }
            let objects = ComponentStatuses.names.filter { selection.matches(name: $0) }.map {
                ComponentStatuses.object($0, problem(of: $0))
            }
            respond(Self.show(list: objects, context, form))
        }
    }

    /// Why a part does not work; nil when it does.
    private func problem(of component: String) -> ComponentStatuses.Finding {
        switch component {
        case "etcd-0": health.isStoreWell ? nil : "the state store is not healthy"
        case "scheduler":
            isProvided(HOSTD_SCHEDULER_1) || isLed("kube-scheduler")
                ? nil
                : "no plugin is active that provides \(HOSTD_SCHEDULER_1), and nobody holds the lease kube-scheduler"
        default:
            isPresent("hostd-controllers") || isLed("kube-controller-manager") || areControllersAlone
                ? nil : "nobody holds the lease hostd-controllers or kube-controller-manager in kube-system"
        }
    }

    private func isProvided(_ role: String) -> Bool {
        do { return try !host.roles().providers(of: role).isEmpty } catch {
            host.log.warning("the active plugins are not known", ["reason": .string("\(error)")])
            return false
        }
    }

    private var areControllersAlone: Bool {
        do { return try ComponentStatuses.workUnelected(host.roles().describe(), store: host.store().status()) } catch {
            host.log.warning("the controllers' state is not known", ["reason": .string("\(error)")])
            return false
        }
    }

    /// hostd's own leases are in the store as long as they are held, and no longer.
    private func isPresent(_ lease: String) -> Bool { self.lease(lease) != nil }

    /// Those of Kubernetes' components stay, and are renewed.
    private func isLed(_ lease: String) -> Bool {
        self.lease(lease).map { ComponentStatuses.isHeld($0, now: Timestamp.now().seconds) } ?? false
    }

    private func lease(_ name: String) -> JSON? {
        do { return try store.object("leases.coordination.k8s.io/kube-system/\(name)") } catch {
            host.log.warning("a lease cannot be read", ["name": .string(name), "reason": .string("\(error)")])
            return nil
        }
    }
}
