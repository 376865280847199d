import Objects

/// One FlowSchema: which requests make up its flows, and the priority level that serves them.
/// See https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#flowschema.
struct FlowSchema: Sendable {
    enum Distinguisher: String, Sendable {
        case user = "ByUser"
        case namespace = "ByNamespace"
    }

    let name: String
    let uid: String
    /// Lower ones are looked at first.
    let precedence: Int64
    let level: String
    let distinguisher: Distinguisher?
    let rules: [Rule]

    init(_ object: JSON) {
        let spec = object["spec"]
        name = object.name
        uid = object.uid
        precedence = spec["matchingPrecedence"].integerValue ?? 1000
        level = spec["priorityLevelConfiguration"]["name"].stringValue ?? ""
        distinguisher = Distinguisher(rawValue: spec["distinguisherMethod"]["type"].stringValue ?? "")
        rules = spec["rules"].arrayValue.map(Rule.init)
    }

    /// What tells the flows of the schema apart.
    func flow(_ info: RequestInfo, _ user: UserInfo) -> String {
        switch distinguisher {
        case .user: user.name
        case .namespace: info.namespace
        case nil: ""
        }
    }

    /// Subjects, and what they ask for.
    struct Rule: Sendable {
        enum Subject: Sendable, Hashable {
            case user(String)
            case group(String)
        }

        let subjects: [Subject]
        let resources: [ResourceRule]
        let paths: [PathRule]

        init(_ json: JSON) {
            subjects = json["subjects"].arrayValue.compactMap { subject in
                switch subject["kind"].stringValue {
                case "User": return .user(subject["user"]["name"].stringValue ?? "")
                case "Group": return .group(subject["group"]["name"].stringValue ?? "")
                case "ServiceAccount":
                    let account = subject["serviceAccount"]
                    let (namespace, name) = (account["namespace"].stringValue ?? "", account["name"].stringValue ?? "")
                    return name == "*"
                        ? .group("system:serviceaccounts:\(namespace)")
                        : .user("system:serviceaccount:\(namespace):\(name)")
                default: return nil
                }
            }
            resources = json["resourceRules"].arrayValue.map(ResourceRule.init)
            paths = json["nonResourceRules"].arrayValue.map(PathRule.init)
        }

        func isAbout(_ user: UserInfo) -> Bool {
            subjects.contains { subject in
                switch subject {
                case .user(let name): name == "*" || name == user.name
                case .group(let name): name == "*" || user.groups.contains(name)
                }
            }
        }

        func matches(_ info: RequestInfo) -> Bool {
            info.isResource ? resources.contains { $0.matches(info) } : paths.contains { $0.matches(info) }
        }
    }

    struct ResourceRule: Sendable {
        let verbs: [String]
        let groups: [String]
        let resources: [String]
        let isForCluster: Bool
        let namespaces: [String]

        init(_ json: JSON) {
            func strings(_ key: String) -> [String] { json[key].arrayValue.compactMap(\.stringValue) }
            verbs = strings("verbs")
            groups = strings("apiGroups")
            resources = strings("resources")
            isForCluster = json["clusterScope"].boolValue ?? false
            namespaces = strings("namespaces")
        }

        func matches(_ info: RequestInfo) -> Bool {
            func has(_ list: [String], _ value: String) -> Bool { list.contains { $0 == "*" || $0 == value } }
            guard has(verbs, info.verb), has(groups, info.group) else { return false }
            guard info.namespace.isEmpty ? isForCluster : has(namespaces, info.namespace) else { return false }
            if info.subresource.isEmpty { return has(resources, info.resource) }
            return has(resources, "\(info.resource)/\(info.subresource)")
        }
    }

    struct PathRule: Sendable {
        let verbs: [String]
        let paths: [String]

        init(_ json: JSON) {
            verbs = json["verbs"].arrayValue.compactMap(\.stringValue)
            paths = json["nonResourceURLs"].arrayValue.compactMap(\.stringValue)
        }

        func matches(_ info: RequestInfo) -> Bool {
            guard verbs.contains(where: { $0 == "*" || $0 == info.verb }) else { return false }
            return paths.contains { path in
                path == "*" || path == info.path || (path.hasSuffix("/*") && info.path.hasPrefix(path.dropLast()))
            }
        }
    }
}
