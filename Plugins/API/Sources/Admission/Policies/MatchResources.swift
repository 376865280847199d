import Objects
import PluginKit

/// Which writes a policy, a binding or a webhook is about.
/// See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules.
struct MatchResources: Sendable {
    /// One entry of `resourceRules` or of a webhook's `rules`.
    struct Rule: Sendable {
        let operations: [String]
        let groups: [String]
        let versions: [String]
        let resources: [String]
        let names: [String]
        let scope: String

        init(_ json: JSON) {
            func strings(_ key: String) -> [String] { json[key].arrayValue.compactMap(\.stringValue) }
            operations = strings("operations")
            groups = strings("apiGroups")
            versions = strings("apiVersions")
            resources = strings("resources")
            names = strings("resourceNames")
            scope = json["scope"].stringValue ?? "*"
        }

        /// Whether the rule is about a write, seen as one of a resource's version.
        func matches(_ request: AdmissionRequest, as resource: Resource) -> Bool {
            guard Self.has(groups, resource.group), Self.has(versions, resource.version) else { return false }
            return matchesAnyVersion(request)
        }

        /// Whether everything but group and version matches.
        func matchesAnyVersion(_ request: AdmissionRequest) -> Bool {
            guard Self.has(operations, request.operation.rawValue) else { return false }
            // A namespace is no object of a namespace.
            let isNamespaced = request.resource.isNamespaced
            guard scope == "*" || scope == (isNamespaced ? "Namespaced" : "Cluster") else { return false }
            guard names.isEmpty || names.contains(request.nameOfRequest) else { return false }
            return resources.contains { entry in
                let parts = entry.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
                let subresource = parts.count > 1 ? parts[1] : ""
                return (parts[0] == "*" || parts[0] == request.resource.plural)
                    && (subresource == "*" || subresource == request.subresource)
            }
        }

        private static func has(_ list: [String], _ value: String) -> Bool {
            list.contains { $0 == "*" || $0 == value }
        }
    }

    let rules: [Rule]
    let excluded: [Rule]
    let namespaceSelector: LabelSelector
    let objectSelector: LabelSelector
    /// Why a selector cannot be read; nil when both can. Writes refuse such selectors; one that lies in the store all the same
    /// matches nothing, so that `match` refuses what the rules are about instead of passing it by.
    let problem: String?
    /// Whether only the versions count that the rules name, and not others of the same objects.
    let isExact: Bool

    /// - Parameters:
    ///   - json: `matchConstraints` or `matchResources`, or a webhook, whose rules are named otherwise.
    init(_ json: JSON, rules key: String = "resourceRules") {
        rules = json[key].arrayValue.map(Rule.init)
        excluded = json["excludeResourceRules"].arrayValue.map(Rule.init)
        var problem: String?
        func selector(_ name: String) -> LabelSelector {
            guard json[name].exists else { return .everything }
            do throws(LabelSelector.ParseError) {
                return try LabelSelector(object: json[name])
            } catch {
                problem = "its \(name) cannot be read: \(error)"
                return .nothing
            }
        }
        namespaceSelector = selector("namespaceSelector")
        objectSelector = selector("objectSelector")
        self.problem = problem
        isExact = json["matchPolicy"].stringValue == "Exact"
    }

    /// The version of the resource as which the write matches; nil when it does not.
    /// - Parameters:
    ///   - matchesWithoutRules: Whether no rule means every write, as for bindings.
    /// - Throws: when it cannot be told: the namespace is not there, or a selector cannot be read.
    func match(
        _ request: AdmissionRequest, _ resources: ResourceTable, _ namespaces: NamespaceLabels,
        matchesWithoutRules: Bool = false
    ) throws(APIStatus) -> Resource? {
        if version(excluded, request, resources) != nil { return nil }
        let unruled = rules.isEmpty && matchesWithoutRules ? request.context.resource : nil
        guard let resource = version(rules, request, resources) ?? unruled else { return nil }
        if let problem { throw .internalError(problem) }
        guard matchesLabels(request), try matchesNamespace(request, namespaces) else { return nil }
        return resource
    }

    /// The version as which one of the rules is about the write: that of the request comes before all others.
    private func version(_ rules: [Rule], _ request: AdmissionRequest, _ resources: ResourceTable) -> Resource? {
        let requested = request.context.resource
        if rules.contains(where: { $0.matches(request, as: requested) }) { return requested }
        guard !isExact else { return nil }
        for rule in rules where rule.matchesAnyVersion(request) {
            guard let other = Self.equivalent(to: requested, rule, request, resources) else { continue }
            // What only a webhook can convert is shown in the version of the request.
            return requested.custom?.conversion == nil ? other : requested
        }
        return nil
    }

    private static func equivalent(
        to requested: Resource, _ rule: Rule, _ request: AdmissionRequest, _ resources: ResourceTable
    ) -> Resource? {
        if rule.groups.contains("*") || rule.versions.contains("*") {
            return resources.all.first {
                $0.plural == requested.plural && $0.qualified == requested.qualified && $0 !== requested
                    && rule.matches(request, as: $0)
            }
        }
        for group in rule.groups {
            for version in rule.versions {
                if let other = resources.find(group: group, version: version, resource: requested.plural),
                    other.qualified == requested.qualified
                {
                    return other
                }
            }
        }
        return nil
    }

    private func matchesLabels(_ request: AdmissionRequest) -> Bool {
        if objectSelector.isEmpty { return true }
        // What can have no labels is not selected by them.
        if request.operation == .connect { return false }
        return [request.object, request.old].contains { $0.exists && objectSelector.matches(labels: $0.labels) }
    }

    private func matchesNamespace(
        _ request: AdmissionRequest, _ namespaces: NamespaceLabels
    ) throws(APIStatus) -> Bool {
        if namespaceSelector.isEmpty { return true }
        if request.resource.qualified == "namespaces" {
            let own = request.operation == .delete ? request.old : request.object
            return namespaceSelector.matches(labels: own.labels)
        }
        guard request.resource.isNamespaced else { return true }
        return namespaceSelector.matches(labels: try namespaces.namespace(request.namespace).labels)
    }
}

/// Reads namespaces for selectors and expressions, each once for a write.
final class NamespaceLabels {
    private let store: StoreClient
    private var known: [String: JSON] = [:]

    init(store: StoreClient) { self.store = store }

    func namespace(_ name: String) throws(APIStatus) -> JSON {
        if let namespace = known[name] { return namespace }
        let found: JSON?
        do {
            found = try store.object("namespaces//\(name)")
        } catch {
            throw .unavailable("\(error)")
        }
        guard let found else {
            var status = APIStatus(code: 404, reason: "NotFound", message: "namespaces \"\(name)\" not found")
            status.name = name
            status.kind = "namespaces"
            throw status
        }
        known[name] = found
        return found
    }
}
