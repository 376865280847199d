import Objects

/// What is odd about a pod, or about a template of pods.
enum PodWarnings {
    /// - Parameter place: Of the pod or template, with a dot at its end; empty for a pod.
    static func texts(_ pod: JSON, at place: String) -> [String] {
        let spec = pod["spec"]
        let containers = containers(of: spec, at: place)
        var texts = nodes(spec, place) + annotations(pod, containers, place)
        for (index, volume) in spec["volumes"].arrayValue.enumerated() {
            let own = "\(place)spec.volumes[\(index)]."
            if volume["gitRepo"].exists {
                texts.append("\(own)gitRepo: deprecated in v1.11, and disabled by default in v1.33+")
            }
            texts += VolumeWarnings.source(volume, at: own)
            texts += VolumeWarnings.claim(
                volume["ephemeral"]["volumeClaimTemplate"]["spec"], at: own + "ephemeral.volumeClaimTemplate.spec.")
        }
        texts += repeated(spec["hostAliases"], "ip", at: place + "spec.hostAliases")
        texts += repeated(spec["imagePullSecrets"], "name", at: place + "spec.imagePullSecrets")
        for (index, secret) in spec["imagePullSecrets"].arrayValue.enumerated() where secret["name"].isEmpty {
            texts.append("\(place)spec.imagePullSecrets[\(index)].name: invalid empty name \"\"")
        }
        for resource in byteResources {
            texts += VolumeWarnings.fraction(spec["overhead"], resource, at: place + "spec.overhead")
        }
        for (container, own) in containers {
            for kind in ["limits", "requests"] {
                for resource in byteResources {
                    texts += VolumeWarnings.fraction(
                        container["resources"][kind], resource, at: "\(own).resources.\(kind)")
                }
            }
            texts += environment(container["env"], own)
        }
        texts += ports(containers)
        if let seconds = spec["terminationGracePeriodSeconds"].integerValue, seconds < 0 {
            texts.append(
                "\(place)spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
            )
        }
        return texts + affinity(spec, place)
    }

    private static let byteResources = ["memory", "ephemeral-storage"]

    private static func containers(of spec: JSON, at place: String) -> [(container: JSON, place: String)] {
        ["initContainers", "containers", "ephemeralContainers"].flatMap { list in
            spec[list].arrayValue.enumerated().map { ($1, "\(place)spec.\(list)[\($0)]") }
        }
    }

    // MARK: Nodes

    private static func nodes(_ spec: JSON, _ place: String) -> [String] {
        var texts: [String] = []
        for (label, _) in spec["nodeSelector"].objectValue ?? [:] {
            if let text = NodeLabelWarnings.text(label) { texts.append("\(place)spec.nodeSelector[\(label)]: \(text)") }
        }
        let affinity = spec["affinity"]["nodeAffinity"]
        if affinity.exists {
            let own = "\(place)spec.affinity.nodeAffinity."
            let required = "requiredDuringSchedulingIgnoredDuringExecution"
            for (index, term) in affinity[required]["nodeSelectorTerms"].arrayValue.enumerated() {
                texts += NodeLabelWarnings.term(term, at: "\(own)\(required).nodeSelectorTerms[\(index)]")
            }
            let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
            for (index, term) in affinity[preferred].arrayValue.enumerated() {
                texts += NodeLabelWarnings.term(term["preference"], at: "\(own)\(preferred)[\(index)].preference")
            }
        }
        for (index, constraint) in spec["topologySpreadConstraints"].arrayValue.enumerated() {
            let own = "\(place)spec.topologySpreadConstraints[\(index)]"
            texts += NodeLabelWarnings.text(constraint["topologyKey"], at: own + ".topologyKey")
            if constraint["labelSelector"].isNull { texts.append(own + noSelector) }
        }
        return texts
    }

    private static let noSelector = ".labelSelector: a null labelSelector results in matching no pod"

    /// Terms that select pods and have no selector.
    private static func affinity(_ spec: JSON, _ place: String) -> [String] {
        ["podAffinity", "podAntiAffinity"].flatMap { kind -> [String] in
            let affinity = spec["affinity"][kind]
            guard affinity.exists else { return [] }
            let required = "requiredDuringSchedulingIgnoredDuringExecution"
            let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
            let own = "\(place)spec.affinity.\(kind)."
            return affinity[required].arrayValue.enumerated().filter { $1["labelSelector"].isNull }.map {
                "\(own)\(required)[\($0.offset)]\(noSelector)"
            }
                + affinity[preferred].arrayValue.enumerated().filter { $1["podAffinityTerm"]["labelSelector"].isNull }
                .map {
                    "\(own)\(preferred)[\($0.offset)].podAffinityTerm\(noSelector)"
                }
        }
    }

    // MARK: Annotations

    private static let oldAnnotations: [(key: String, text: String)] = [
        (
            "scheduler.alpha.kubernetes.io/critical-pod",
            #"non-functional in v1.16+; use the "priorityClassName" field instead"#
        ),
        ("security.alpha.kubernetes.io/sysctls", #"non-functional in v1.11+; use the "sysctls" field instead"#),
        ("security.alpha.kubernetes.io/unsafe-sysctls", #"non-functional in v1.11+; use the "sysctls" field instead"#),
    ]

    private static func annotations(
        _ pod: JSON, _ containers: [(container: JSON, place: String)], _ place: String
    ) -> [String] {
        guard let annotations = pod.annotations.objectValue, !annotations.isEmpty else { return [] }
        var texts: [String] = []
        func check(_ key: String, _ text: String) {
            if annotations[key] != nil { texts.append("\(place)metadata.annotations[\(key)]: \(text)") }
        }
        for (key, text) in oldAnnotations { check(key, text) }
        let context = pod["spec"]["securityContext"]
        let seccomp = #"non-functional in v1.27+; use the "seccompProfile" field instead"#
        if context["seccompProfile"].isNull { check("seccomp.security.alpha.kubernetes.io/pod", seccomp) }
        for (container, _) in containers {
            let name = container["name"].stringValue ?? ""
            if container["securityContext"]["seccompProfile"].isNull {
                check("container.seccomp.security.alpha.kubernetes.io/\(name)", seccomp)
            }
            // Of a pod itself the annotation is taken over into the field.
            if !place.isEmpty, context["appArmorProfile"].isNull, container["securityContext"]["appArmorProfile"].isNull
            {
                check(
                    "container.apparmor.security.beta.kubernetes.io/\(name)",
                    #"deprecated since v1.30; use the "appArmorProfile" field instead"#)
            }
        }
        return texts
    }

    // MARK: What is there twice

    private static func repeated(_ list: JSON, _ key: String, at place: @autoclosure () -> String) -> [String] {
        guard list.count > 1 else { return [] }
        var seen: Set<String> = []
        return list.arrayValue.enumerated().compactMap { index, item in
            let value = item[key].stringValue ?? ""
            return seen.insert(value).inserted ? nil : "\(place())[\(index)].\(key): duplicate \(key) \"\(value)\""
        }
    }

    /// A variable that takes the place of an earlier one, without using it.
    private static func environment(_ variables: JSON, _ place: String) -> [String] {
        guard variables.count > 1 else { return [] }
        var seen: Set<String> = []
        return variables.arrayValue.enumerated().compactMap { index, variable in
            let name = variable["name"].stringValue ?? ""
            guard !seen.insert(name).inserted else { return nil }
            let reference = "$(\(name))"
            let value = variable["value"].stringValue ?? ""
            let buildsOnIt =
                variable["valueFrom"].isNull && value != reference && value.utf8.count > reference.utf8.count
                && Self.contains(value, reference)
            return buildsOnIt
                ? nil
                : "\(place).env[\(index)]: hides previous definition of \"\(name)\", which may be dropped when using apply"
        }
    }

    private static func contains(_ text: String, _ part: String) -> Bool {
        let (text, part) = (Array(text.utf8), Array(part.utf8))
        return text.indices.contains { text[$0...].starts(with: part) }
    }

    /// Ports of all containers, which share the pod's address.
    private static func ports(_ containers: [(container: JSON, place: String)]) -> [String] {
        var known: [String: [(port: JSON, place: String)]] = [:]
        var texts: [String] = []
        for (container, place) in containers {
            for (index, port) in container["ports"].arrayValue.enumerated() {
                let own = "\(place).ports[\(index)]"
                if !port["hostIP"].isEmpty, port["hostPort"].integerValue ?? 0 == 0 {
                    texts.append("\(own): hostIP set without hostPort: \(shown(port))")
                }
                let key = "\(port["containerPort"].integerValue ?? 0)/\(port["protocol"].stringValue ?? "TCP")"
                for other in known[key] ?? [] {
                    if let text = overlap(port, other.port) {
                        texts.append("\(own): \(text) port definition with \(other.place)")
                    }
                }
                known[key, default: []].append((port, own))
            }
        }
        return texts
    }

    /// As Kubernetes shows it.
    private static func shown(_ port: JSON) -> String {
        func text(_ field: String) -> String { port[field].stringValue ?? "" }
        return
            "{Name:\(text("name")) HostPort:0 ContainerPort:\(port["containerPort"].integerValue ?? 0) Protocol:\(text("protocol")) HostIP:\(text("hostIP"))}"
    }

    private static func overlap(_ port: JSON, _ other: JSON) -> String? {
        let (host, otherHost) = (port["hostPort"].integerValue ?? 0, other["hostPort"].integerValue ?? 0)
        let (address, otherAddress) = (port["hostIP"].stringValue ?? "", other["hostIP"].stringValue ?? "")
        if host == otherHost, address == otherAddress { return "duplicate" }
        if host == 0 || otherHost == 0 { return "overlapping" }
        return host == otherHost && address.isEmpty != otherAddress.isEmpty ? "dangerously ambiguous" : nil
    }
}
