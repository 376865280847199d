import Objects

/// Which rules give what others give, by the smallest parts of a rule. Pure.
enum RuleCoverage {
    typealias Rule = Authorizer.Rule

    /// A rule as many: one verb each, on one resource of one group, under one name or all; or on one path.
    static func parts(of rule: Rule) -> [Rule] {
        var parts: [Rule] = []
        for verb in rule.verbs {
            for group in rule.groups {
                for resource in rule.resources {
                    let names = rule.names.isEmpty ? [[]] : rule.names.map { [$0] }
                    parts += names.map {
                        Rule(verbs: [verb], groups: [group], resources: [resource], names: $0, paths: [])
                    }
                }
            }
            parts += rule.paths.map { Rule(verbs: [verb], groups: [], resources: [], names: [], paths: [$0]) }
        }
        return parts
    }

    /// The parts of the wanted rules that none of the others gives.
    static func missing(_ wanted: [Rule], in rules: [Rule]) -> [Rule] {
        wanted.flatMap(parts).filter { part in !rules.contains { covers($0, part) } }
    }

    private static func covers(_ rule: Rule, _ part: Rule) -> Bool {
        func has(_ list: [String], _ wanted: [String]) -> Bool {
            list.contains("*") || wanted.allSatisfy(list.contains)
        }
        guard has(rule.verbs, part.verbs) else { return false }
        if let path = part.paths.first {
            return rule.paths.contains { $0 == path || ($0.hasSuffix("*") && path.hasPrefix($0.dropLast())) }
        }
        guard !rule.resources.isEmpty, has(rule.groups, part.groups) else { return false }
        guard rule.names.isEmpty || (!part.names.isEmpty && part.names.allSatisfy(rule.names.contains)) else {
            return false
        }
        guard !has(rule.resources, part.resources) else { return true }
        let resource = part.resources.first ?? ""
        guard let slash = resource.firstIndex(of: "/") else { return false }
        return rule.resources.contains("*" + resource[slash...])
    }

    /// Parts of the same resource, group and name as one rule with their verbs.
    static func compact(_ parts: [Rule]) -> [Rule] {
        var rules: [Rule] = []
        for part in parts {
            let known = rules.firstIndex {
                part.paths.isEmpty && $0.groups == part.groups && $0.resources == part.resources
                    && $0.names == part.names
                    && $0.paths.isEmpty
            }
            if let known { rules[known].verbs += part.verbs } else { rules.append(part) }
        }
        return rules
    }

    /// A rule as Kubernetes shows it: {APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}.
    static func description(_ rule: Rule) -> String {
        let members = [
            ("APIGroups", rule.groups), ("Resources", rule.resources), ("NonResourceURLs", rule.paths),
            ("ResourceNames", rule.names), ("Verbs", rule.verbs),
        ]
        return "{" + members.filter { !$0.1.isEmpty }.map { "\($0.0):\(quoted($0.1))" }.joined(separator: ", ") + "}"
    }

    /// ["a" "b"]
    static func quoted(_ words: [String]) -> String {
        "[" + words.map { JSON.string($0).serializedString() }.joined(separator: " ") + "]"
    }
}

extension Authorizer.Rule {
    init(verbs: [String], groups: [String], resources: [String], names: [String], paths: [String]) {
        self.verbs = verbs
        self.groups = groups
        self.resources = resources
        self.names = names
        self.paths = paths
    }

    var json: JSON {
        var json: JSON = ["verbs": JSON(verbs)]
        for (key, words) in [
            ("apiGroups", groups), ("resources", resources), ("resourceNames", names), ("nonResourceURLs", paths),
        ] where !words.isEmpty { json[key] = JSON(words) }
        return json
    }
}
