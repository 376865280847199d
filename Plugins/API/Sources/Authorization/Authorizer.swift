import Objects
import PluginKit
import Synchronization

/// Who may do what: role-based access control by the stored roles and bindings, indexed by subject, and the authorizers
/// before and behind it.
/// See https://kubernetes.io/docs/reference/access-authn-authz/rbac/.
final class Authorizer: Sendable {
    /// What somebody wants to do.
    struct Attributes: Sendable, Hashable {
        var verb: String
        var group = ""
        /// Of the API; no stored rule looks at it.
        var version = ""
        var resource = ""
        var subresource = ""
        var namespace = ""
        var name = ""
        /// Of a request that is not about a resource; then the others are empty.
        var path = ""
        /// What a list, a watch or a deletion of a collection selects.
        var fields = AccessSelector()
        var labels = AccessSelector()
    }

    struct Rule: Sendable, Equatable {
        var verbs: [String]
        var groups: [String]
        var resources: [String]
        var names: [String]
        var paths: [String]

        init(_ json: JSON) {
            func strings(_ key: String) -> [String] { json[key].arrayValue.compactMap(\.stringValue) }
            verbs = strings("verbs")
            groups = strings("apiGroups")
            resources = strings("resources")
            names = strings("resourceNames")
            paths = strings("nonResourceURLs")
        }

        /// What those may who may do everything.
        static let everything = [
            Rule(["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]),
            Rule(["verbs": ["*"], "nonResourceURLs": ["*"]]),
        ]

        func allows(_ wanted: Attributes) -> Bool {
            guard verbs.contains("*") || verbs.contains(wanted.verb) else { return false }
            if !wanted.path.isEmpty {
                return paths.contains {
                    $0 == wanted.path || ($0.hasSuffix("*") && wanted.path.hasPrefix($0.dropLast()))
                }
            }
            guard groups.contains("*") || groups.contains(wanted.group) else { return false }
            guard names.isEmpty || names.contains(wanted.name) else { return false }
            let resource = wanted.subresource.isEmpty ? wanted.resource : "\(wanted.resource)/\(wanted.subresource)"
            return resources.contains {
                $0 == "*" || $0 == resource || (!wanted.subresource.isEmpty && $0 == "*/\(wanted.subresource)")
            }
        }
    }

    private struct Binding: Sendable {
        /// Empty for a ClusterRoleBinding.
        var namespace: String
        /// "ClusterRole/NAME" or "Role/NAMESPACE/NAME".
        var role: String
        /// "ClusterRoleBinding "NAME" of ClusterRole "NAME"".
        var description: String
    }

    private struct State {
        var rules: [String: [Rule]] = [:]
        var bindings: [String: Binding] = [:]
        /// Binding keys by subject: "User/NAME", "Group/NAME".
        var bySubject: [String: Set<String>] = [:]
        var subjects: [String: [String]] = [:]
        /// What holds for whom, as long as nothing of all this changes.
        var granted: [Subject: [Grant]] = [:]
    }

    /// A user as bindings see it.
    private struct Subject: Hashable {
        var name: String
        var groups: [String]

        // Names tell users apart, and most have the same groups.
        func hash(into hasher: inout Hasher) { hasher.combine(name) }
    }

    /// Rules, and the namespace that they hold in; empty for everywhere.
    private struct Grant: Sendable {
        var namespace: String
        var rules: [Rule]
        /// Which binding it is, in Kubernetes' words.
        var reason: String
    }

    private static let cacheLimit = 4096

    private let state = Mutex(State())

    enum Step: Sendable {
        /// The stored roles.
        case roles
        case other(any AccessAuthorizer)
    }

    private struct Order: Sendable {
        let steps: [Step]
        let mayWait: Bool

        init(_ steps: [Step]) {
            self.steps = steps
            mayWait = steps.contains { if case .other(let authorizer) = $0 { authorizer.asksOthers } else { false } }
        }
    }
    private let order: Replaceable<Order>

    /// - Parameter steps: Those who decide, in their order.
    init(_ steps: [Step] = [.roles]) { order = Replaceable(Order(steps)) }

    /// Whether others may have to be asked, so that requests may have to wait.
    var mayWait: Bool { order.current.mayWait }

    /// Has others decide from now on. What is being decided is decided by those before.
    func replace(_ steps: [Step]) { order.replace(with: Order(steps)) }

    // MARK: - What is stored

    /// Takes in an object of the RBAC group, or its end.
    func update(resource: String, key: String, object: JSON?) {
        state.withLock { state in
            state.granted.removeAll()
            switch resource {
            case "clusterroles.rbac.authorization.k8s.io":
                state.rules["ClusterRole/" + key.split(separator: "/").last!] =
                    object.map { $0["rules"].arrayValue.map(Rule.init) }
            case "roles.rbac.authorization.k8s.io":
                state.rules["Role/" + key.split(separator: "/").suffix(2).joined(separator: "/")] =
                    object.map { $0["rules"].arrayValue.map(Rule.init) }
            default: Self.bind(&state, key, object)
            }
        }
    }

    private static func bind(_ state: inout State, _ key: String, _ object: JSON?) {
        for subject in state.subjects.removeValue(forKey: key) ?? [] { state.bySubject[subject]?.remove(key) }
        state.bindings[key] = nil
        guard let object else { return }
        let reference = object["roleRef"]
        let name = reference["name"].stringValue ?? ""
        let namespace = object.namespace
        let role = reference["kind"].stringValue == "ClusterRole" ? "ClusterRole/\(name)" : "Role/\(namespace)/\(name)"
        let place =
            namespace.isEmpty
            ? "ClusterRoleBinding \"\(object.name)\"" : "RoleBinding \"\(object.name)/\(namespace)\""
        state.bindings[key] = Binding(
            namespace: namespace, role: role,
            description: "\(place) of \(reference["kind"].stringValue ?? "") \"\(name)\"")
        let subjects = object["subjects"].arrayValue.compactMap { subject -> String? in
            let name = subject["name"].stringValue ?? ""
            switch subject["kind"].stringValue {
            case "User": return "User/\(name)"
            case "Group": return "Group/\(name)"
            case "ServiceAccount":
                return "User/system:serviceaccount:\(subject["namespace"].stringValue ?? namespace):\(name)"
            default: return nil
            }
        }
        state.subjects[key] = subjects
        for subject in subjects { state.bySubject[subject, default: []].insert(key) }
    }

    // MARK: - Decisions

    /// What all authorizers say in their order: the first that allows or denies decides.
    /// - Parameter mayWait: Whether others may be asked. [blocking] then, and only then.
    func decide(_ user: UserInfo, _ wanted: Attributes, mayWait: Bool) -> AccessDecision {
        if user.isMaster { return .allowed(reason: "") }
        var reasons: [String] = []
        for step in order.current.steps {
            switch step {
            case .roles: if let reason = rolesAllow(user, wanted) { return .allowed(reason: reason) }
            case .other(let authorizer):
                switch authorizer.decide(user, wanted, mayWait: mayWait) {
                case .noOpinion(let reason): if !reason.isEmpty { reasons.append(reason) }
                case let decision: return decision
                }
            }
        }
        return .noOpinion(reason: reasons.joined(separator: "\n"))
    }

    /// [blocking] when others may have to be asked.
    func allows(_ user: UserInfo, _ wanted: Attributes) -> Bool {
        if case .allowed = decide(user, wanted, mayWait: true) { true } else { false }
    }

    /// By which binding the stored roles allow it; nil when they do not.
    private func rolesAllow(_ user: UserInfo, _ wanted: Attributes) -> String? {
        state.withLock { state in
            Self.grants(of: user, &state).first { grant in
                guard grant.namespace.isEmpty || (grant.namespace == wanted.namespace && wanted.path.isEmpty) else {
                    return false
                }
                return grant.rules.contains { $0.allows(wanted) }
            }?.reason
        }
    }

    /// All rules that hold for a user in a namespace by the stored roles, each once.
    func rules(of user: UserInfo, namespace: String) -> [Rule] {
        let granted = state.withLock { state in
            Self.grants(of: user, &state).flatMap { grant -> [Rule] in
                grant.namespace.isEmpty || grant.namespace == namespace ? grant.rules : []
            }
        }
        var rules: [Rule] = []
        for rule in (user.isMaster ? Rule.everything : []) + granted where !rules.contains(rule) { rules.append(rule) }
        return rules
    }

    /// All that can be listed of what a user may do in a namespace.
    struct Listing: Sendable, Equatable {
        var rules: [Rule] = []
        /// Whether there may be more that cannot be listed.
        var isIncomplete = false
        /// What kept rules from being listed, in Kubernetes' words.
        var problems: [String] = []
    }

    /// What each of those who decide can list, in their order.
    func listing(of user: UserInfo, namespace: String) -> Listing {
        var listing = Listing(rules: user.isMaster ? Rule.everything : [])
        func add(_ rules: [Rule]) {
            for rule in rules where !listing.rules.contains(rule) { listing.rules.append(rule) }
        }
        for step in order.current.steps {
            switch step {
            case .roles:
                add(rules(of: user, namespace: namespace))
                listing.problems += missingRoles(of: user, namespace: namespace)
            case .other(let authorizer):
                switch authorizer.listing(of: user) {
                case .nothing: break
                case .everything: add(Rule.everything)
                case .unknown(let reason):
                    listing.isIncomplete = true
                    listing.problems.append(reason)
                }
            }
        }
        return listing
    }

    /// What is said of the roles that a user's bindings name and that are not there.
    private func missingRoles(of user: UserInfo, namespace: String) -> [String] {
        state.withLock { state in
            var missing: Set<String> = []
            for key in Self.bindings(of: user, state).keys {
                guard let binding = state.bindings[key], state.rules[binding.role] == nil,
                    binding.namespace.isEmpty || binding.namespace == namespace
                else { continue }
                let parts = binding.role.split(separator: "/")
                missing.insert(
                    "\(parts[0].lowercased()).rbac.authorization.k8s.io \"\(parts.last ?? "")\" not found")
            }
            return missing.sorted()
        }
    }

    /// The bindings that a user is a subject of, and as which.
    private static func bindings(of user: UserInfo, _ state: State) -> [String: String] {
        var keys: [String: String] = [:]
        for group in user.groups.reversed() {
            for key in state.bySubject["Group/\(group)"] ?? [] { keys[key] = "Group \"\(group)\"" }
        }
        for key in state.bySubject["User/\(user.name)"] ?? [] { keys[key] = described(user.name) }
        return keys
    }

    private static func grants(of user: UserInfo, _ state: inout State) -> [Grant] {
        let subject = Subject(name: user.name, groups: user.groups)
        if let known = state.granted[subject] { return known }
        let grants = bindings(of: user, state).sorted { $0.key < $1.key }.compactMap { key, subject -> Grant? in
            guard let binding = state.bindings[key], let rules = state.rules[binding.role] else { return nil }
            return Grant(
                namespace: binding.namespace, rules: rules,
                reason: "RBAC: allowed by \(binding.description) to \(subject)")
        }
        if state.granted.count >= cacheLimit { state.granted.removeAll() }
        state.granted[subject] = grants
        return grants
    }

    /// A subject that is a user, as Kubernetes tells of it.
    private static func described(_ name: String) -> String {
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, name.hasPrefix("system:serviceaccount:") else { return "User \"\(name)\"" }
        return "ServiceAccount \"\(parts[3])/\(parts[2])\""
    }

    /// The answer to what is not allowed, in Kubernetes' words.
    func refusal(
        _ user: UserInfo, _ wanted: Attributes, _ resource: Resource?, reason: String = ""
    ) -> APIStatus {
        let why = reason.isEmpty ? "" : ": \(reason)"
        guard let resource else {
            return APIStatus(
                code: 403, reason: "Forbidden",
                message: "forbidden: User \"\(user.name)\" cannot \(wanted.verb) path \"\(wanted.path)\"\(why)")
        }
        let what = wanted.subresource.isEmpty ? wanted.resource : "\(wanted.resource)/\(wanted.subresource)"
        let place = wanted.namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(wanted.namespace)\""
        return .forbidden(
            resource, wanted.name,
            "User \"\(user.name)\" cannot \(wanted.verb) resource \"\(what)\" in API group \"\(wanted.group)\" \(place)\(why)"
        )
    }
}
