import Objects

/// The few defaults that are computed from other fields and so cannot be rows of defaults.txt.
enum ComputedDefaults {
    static func apply(to object: inout JSON, _ type: SpecialType) {
        switch type {
        case .container: container(&object)
        case .pod: pod(&object)
        case .podSpec: podSpec(&object)
        case .volume: volume(&object)
        case .serviceSpec: service(&object)
        case .namespace: namespaceLabel(&object)
        case .replicationController: labelsFromTemplate(&object)
        case .limitRangeItem: limitRange(&object)
        case .node:
            let capacity = object["status"]["capacity"]
            if capacity.exists, object["status"]["allocatable"].isNull { object["status"]["allocatable"] = capacity }
        case .customResourceDefinition: resourceNames(&object)
        case .event: event(&object)
        case .job: labels(of: &object)
        case .deviceTaint:
            if object["timeAdded"].isNull { object["timeAdded"] = .string(Timestamp.now().formatted()) }
        default: break
        }
    }

    /// An image with the tag "latest", or with neither tag nor digest, is pulled always, any other if it is missing.
    private static func container(_ container: inout JSON) {
        guard container["imagePullPolicy"].isEmpty else { return }
        container["imagePullPolicy"] =
            tag(of: container["image"].stringValue ?? "") == "latest" ? "Always" : "IfNotPresent"
    }

    private static func tag(of image: String) -> String {
        if image.contains("@") { return "" }
        let last = image.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard let colon = last.lastIndex(of: ":") else { return "latest" }
        return String(last[last.index(after: colon)...])
    }

    /// Pods alone get it: templates stay as they are written.
    private static func pod(_ pod: inout JSON) {
        guard pod["spec"].objectValue != nil else { return }
        requestsFromLimits(&pod)
        PodLevelResources.applyDefaults(to: &pod["spec"])
        hostPorts(&pod["spec"])
    }

    /// What is limited and not asked for is asked for.
    private static func requestsFromLimits(_ pod: inout JSON) {
        func fill(_ owner: inout JSON) {
            guard let limits = owner["resources"]["limits"].objectValue else { return }
            for (name, value) in limits where owner["resources"]["requests"][name].isNull {
                owner["resources"]["requests"][name] = value
            }
        }
        for list in ["containers", "initContainers"] where pod["spec"][list].exists {
            pod["spec"][list].updateElements { (_, container: inout JSON) throws(Never) in fill(&container) }
        }
    }

    /// `serviceAccount` is the old name of `serviceAccountName`.
    private static func podSpec(_ spec: inout JSON) {
        if let name = spec["serviceAccountName"].stringValue, !name.isEmpty {
            spec["serviceAccount"] = .string(name)
        } else if let name = spec["serviceAccount"].stringValue, !name.isEmpty {
            spec["serviceAccountName"] = .string(name)
        }
    }

    /// With the host's network, ports are the host's.
    private static func hostPorts(_ spec: inout JSON) {
        guard spec["hostNetwork"].boolValue == true else { return }
        for list in ["containers", "initContainers"] where spec[list].exists {
            spec[list].updateElements { _, container in
                guard container["ports"].exists else { return }
                container["ports"].updateElements { _, port in
                    if port["hostPort"].isNull || port["hostPort"] == 0 { port["hostPort"] = port["containerPort"] }
                }
            }
        }
    }

    private static func volume(_ volume: inout JSON) {
        if volume.isEmpty || volume.count == 1 && volume["name"].exists { volume["emptyDir"] = [:] }
        guard volume["image"].exists, volume["image"]["pullPolicy"].isEmpty else { return }
        let reference = volume["image"]["reference"].stringValue ?? ""
        volume["image"]["pullPolicy"] =
            !reference.isEmpty && tag(of: reference) == "latest" ? "Always" : "IfNotPresent"
    }

    /// Who stays with no endpoint does so for no time, whatever an earlier affinity had been given.
    private static func service(_ spec: inout JSON) {
        if spec["sessionAffinity"] == "None" { spec.removeValue(forKey: "sessionAffinityConfig") }
        guard spec["ports"].exists else { return }
        spec["ports"].updateElements { _, port in
            let target = port["targetPort"]
            if target.isNull || target == 0 || target == "" { port["targetPort"] = port["port"] }
        }
    }

    private static func namespaceLabel(_ namespace: inout JSON) {
        if !namespace.name.isEmpty { namespace.labels["kubernetes.io/metadata.name"] = .string(namespace.name) }
    }

    /// A Job without labels has those of its pods.
    private static func labels(of job: inout JSON) {
        let labels = job["spec"]["template"]["metadata"]["labels"]
        if job.labels.isEmpty, !labels.isEmpty { job.labels = labels }
    }

    private static func labelsFromTemplate(_ controller: inout JSON) {
        let labels = controller["spec"]["template"]["metadata"]["labels"]
        guard !labels.isEmpty else { return }
        if controller["spec"]["selector"].isEmpty { controller["spec"]["selector"] = labels }
        if controller.labels.isEmpty { controller.labels = labels }
    }

    /// What Kubernetes says of every event, be it that there is none: clients with types take it for given.
    private static func event(_ event: inout JSON) {
        if event["source"].isNull { event["source"] = [:] }
        for field in ["reportingComponent", "reportingInstance"] where event[field].isNull { event[field] = "" }
        for field in ["eventTime", "firstTimestamp", "lastTimestamp"] where event[field].isNull {
            event[field] = .null
        }
    }

    /// For containers: a default is the maximum unless given, a default request the default, else the minimum.
    private static func limitRange(_ item: inout JSON) {
        guard item["type"] == "Container" else { return }
        for (target, source) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
            for (name, value) in item[source].objectValue ?? [:] where item[target][name].isNull {
                item[target][name] = value
            }
        }
    }

    /// A custom resource's singular is its kind in small letters, and its list's kind ends in "List".
    private static func resourceNames(_ definition: inout JSON) {
        guard let kind = definition["spec"]["names"]["kind"].stringValue, !kind.isEmpty else { return }
        if definition["spec"]["names"]["singular"].isEmpty {
            definition["spec"]["names"]["singular"] = .string(kind.lowercased())
        }
        if definition["spec"]["names"]["listKind"].isEmpty {
            definition["spec"]["names"]["listKind"] = .string(kind + "List")
        }
    }
}
