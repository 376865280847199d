import ObjectYAML
import Objects
import PluginKit

/// What is written of which requests: the rules of a Policy of audit.k8s.io/v1, of which the first that matches counts.
/// See https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-policy.
struct AuditPolicy: Sendable {
    enum Level: String, CaseIterable, Sendable, Comparable {
        case none = "None"
        case metadata = "Metadata"
        case request = "Request"
        case requestResponse = "RequestResponse"

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
        static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }
    }

    /// When an event is written. Kubernetes' fourth, Panic, tells of a handler that broke off; here such an error ends hostd.
    enum Stage: String, CaseIterable, Sendable {
        case requestReceived = "RequestReceived"
        case responseStarted = "ResponseStarted"
        case responseComplete = "ResponseComplete"
        case panic = "Panic"
    }

    /// What is to be written of one request.
    struct Verdict: Sendable, Equatable {
        var level: Level
        var omittedStages: Set<Stage> = []
        var omitsManagedFields = false
    }

    private let rules: [Rule]
    private let omittedStages: Set<Stage>
    private let omitsManagedFields: Bool

    /// Reads a policy file, YAML or JSON.
    init(file path: String) throws(PluginError) {
        let bytes = try AtomicFile.read(path, limit: 1 << 20)
        let json: JSON
        do throws(YAMLError) {
            json = try YAMLParser.parse(bytes)
        } catch {
            throw PluginError.invalid("\(path): \(error)")
        }
        do throws(Mistake) {
            self = try AuditPolicy(json)
        } catch {
            throw PluginError.invalid("\(path): \(error.text)")
        }
    }

    /// What is wrong with a policy, and where.
    struct Mistake: Error, Equatable { let text: String }

    init(_ json: JSON) throws(Mistake) {
        guard json.apiVersion == "audit.k8s.io/v1", json.kind == "Policy" else {
            throw Mistake(
                text: "it must be of apiVersion audit.k8s.io/v1 and kind Policy, not of \"\(json.apiVersion)\" and "
                    + "\"\(json.kind)\"")
        }
        guard !json["rules"].arrayValue.isEmpty else { throw Mistake(text: "rules must have at least one rule") }
        omittedStages = try Self.stages(json["omitStages"], at: "omitStages")
        omitsManagedFields = json["omitManagedFields"].boolValue ?? false
        var rules: [Rule] = []
        for (index, rule) in json["rules"].arrayValue.enumerated() {
            rules.append(try Rule(rule, at: "rules[\(index)]"))
        }
        self.rules = rules
    }

    /// - Returns: Level `none` for a request that no rule is about.
    func verdict(_ info: RequestInfo, _ user: UserInfo) -> Verdict {
        guard let rule = rules.first(where: { $0.matches(info, user) }) else { return Verdict(level: .none) }
        return Verdict(
            level: rule.level, omittedStages: omittedStages.union(rule.omittedStages),
            omitsManagedFields: rule.omitsManagedFields ?? omitsManagedFields)
    }

    fileprivate static func stages(_ json: JSON, at place: String) throws(Mistake) -> Set<Stage> {
        var stages: Set<Stage> = []
        for (index, value) in json.arrayValue.enumerated() {
            guard let stage = Stage(rawValue: value.stringValue ?? "") else {
                let known = Stage.allCases.map(\.rawValue).joined(separator: ", ")
                throw Mistake(text: "\(place)[\(index)] is \(value.serializedString()): it must be one of \(known)")
            }
            stages.insert(stage)
        }
        return stages
    }

    // MARK: - Rules

    struct Rule: Sendable {
        let level: Level
        let omittedStages: Set<Stage>
        let omitsManagedFields: Bool?
        private let users: Set<String>
        private let groups: Set<String>
        private let verbs: Set<String>
        private let namespaces: Set<String>
        private let resources: [Resources]
        private let paths: [String]

        private struct Resources: Sendable {
            let group: String
            let resources: [String]
            let names: Set<String>
        }

        init(_ json: JSON, at place: String) throws(Mistake) {
            guard let level = Level(rawValue: json["level"].stringValue ?? "") else {
                let known = Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw Mistake(text: "\(place).level is \(json["level"].serializedString()): it must be one of \(known)")
            }
            self.level = level
            omittedStages = try AuditPolicy.stages(json["omitStages"], at: "\(place).omitStages")
            omitsManagedFields = json["omitManagedFields"].boolValue
            func strings(_ json: JSON) -> [String] { json.arrayValue.compactMap(\.stringValue) }
            users = Set(strings(json["users"]))
            groups = Set(strings(json["userGroups"]))
            verbs = Set(strings(json["verbs"]))
            namespaces = Set(strings(json["namespaces"]))
            paths = strings(json["nonResourceURLs"])
            resources = json["resources"].arrayValue.map {
                Resources(
                    group: $0["group"].stringValue ?? "", resources: strings($0["resources"]),
                    names: Set(strings($0["resourceNames"])))
            }
            for (index, path) in paths.enumerated() where path != "*" {
                guard path.hasPrefix("/") else {
                    throw Mistake(text: "\(place).nonResourceURLs[\(index)] is \"\(path)\": it must begin with /")
                }
                guard !path.dropLast().contains("*") else {
                    throw Mistake(
                        text: "\(place).nonResourceURLs[\(index)] is \"\(path)\": * may only be its last character")
                }
            }
            guard paths.isEmpty || (resources.isEmpty && namespaces.isEmpty) else {
                throw Mistake(
                    text:
                        "\(place) must not have nonResourceURLs together with resources or namespaces: no request is both"
                )
            }
        }

        func matches(_ info: RequestInfo, _ user: UserInfo) -> Bool {
            guard users.isEmpty || users.contains(user.name),
                groups.isEmpty || user.groups.contains(where: groups.contains),
                verbs.isEmpty || verbs.contains(info.verb)
            else { return false }
            if !namespaces.isEmpty || !resources.isEmpty {
                guard info.isResource, namespaces.isEmpty || namespaces.contains(info.namespace) else { return false }
                return resources.isEmpty || resources.contains { Self.matches($0, info) }
            }
            guard !paths.isEmpty else { return true }
            return !info.isResource
                && paths.contains {
                    $0 == "*" || $0 == info.path || ($0.hasSuffix("*") && info.path.hasPrefix($0.dropLast()))
                }
        }

        private static func matches(_ rule: Resources, _ info: RequestInfo) -> Bool {
            guard rule.group == info.group else { return false }
            if rule.resources.isEmpty { return true }
            guard rule.names.isEmpty || rule.names.contains(info.name) else { return false }
            let whole = info.subresource.isEmpty ? info.resource : "\(info.resource)/\(info.subresource)"
            return rule.resources.contains { entry in
                if entry == "*" || entry == whole { return true }
                if !info.subresource.isEmpty, entry == "*/\(info.subresource)" { return true }
                return entry == "\(info.resource)/*"
            }
        }
    }
}
