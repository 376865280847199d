import Objects

/// Fields of features that are switched off unless somebody switches them on, and that this server does not have: as in Kubernetes
/// they are dropped from what is written, unless the object has such a field already. Pure.
/// See https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/ (ClusterTrustBundleProjection,
/// CoordinatedLeaderElection, DRAListTypeAttributes, DRANodeAllocatableResources, PodCertificateRequest).
enum DisabledFields {
    private static let projections = ["clusterTrustBundle", "podCertificate"]

    /// Where the specification of pods is in objects of a resource; nil for one without.
    private static func podSpec(of resource: Resource) -> [String]? {
        switch resource.qualified {
        case "pods": ["spec"]
        case "podtemplates": ["template", "spec"]
        case "replicationcontrollers", "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps",
            "jobs.batch":
            ["spec", "template", "spec"]
        case "cronjobs.batch": ["spec", "jobTemplate", "spec", "template", "spec"]
        default: nil
        }
    }

    /// - Parameter present: the object as it is; null for a new one.
    static func drop(from object: inout JSON, present: JSON, _ resource: Resource) {
        if resource.qualified == "leases.coordination.k8s.io" { return dropElection(from: &object, present: present) }
        if resource.qualified == "resourceslices.resource.k8s.io" {
            return dropDeviceFields(from: &object, present: present)
        }
        guard let path = podSpec(of: resource) else { return }
        let volumes = object[path: path + ["volumes"]]
        for kind in projections where uses(kind, volumes) {
            guard !uses(kind, present[path: path + ["volumes"]]) else { continue }
            change(&object, path[...]) { drop(kind, from: &$0["volumes"]) }
        }
    }

    /// How candidates agree on a leader.
    private static func dropElection(from lease: inout JSON, present: JSON) {
        for field in ["strategy", "preferredHolder"] where lease["spec"][field].exists {
            if present["spec"][field].isNull { lease["spec"].removeValue(forKey: field) }
        }
    }

    private static let lists = ["bools", "ints", "strings", "versions"]
    private static let mappings = "nodeAllocatableResourceMappings"

    /// Attributes of devices that have several values, and what devices take of a node's own resources.
    private static func dropDeviceFields(from slice: inout JSON, present: JSON) {
        func hasLists(_ slice: JSON) -> Bool {
            slice["spec"]["devices"].arrayValue.contains { device in
                (device["attributes"].objectValue ?? [:]).contains { attribute in
                    lists.contains { attribute.value[$0].exists }
                }
            }
        }
        func hasMappings(_ slice: JSON) -> Bool {
            slice["spec"]["devices"].arrayValue.contains { !$0[mappings].isEmpty }
        }
        if hasMappings(slice), !hasMappings(present) {
            slice["spec"]["devices"].updateElements { _, device in device.removeValue(forKey: mappings) }
        }
        guard hasLists(slice), !hasLists(present) else { return }
        slice["spec"]["devices"].updateElements { _, device in
            for (name, _) in device["attributes"].objectValue ?? [:] {
                for list in lists { device["attributes"][name].removeValue(forKey: list) }
            }
        }
    }

    private static func uses(_ kind: String, _ volumes: JSON) -> Bool {
        volumes.arrayValue.contains { volume in
            volume["projected"]["sources"].arrayValue.contains { $0[kind].exists }
        }
    }

    private static func drop(_ kind: String, from volumes: inout JSON) {
        volumes.updateElements { _, volume in
            guard volume["projected"]["sources"].exists else { return }
            volume["projected"]["sources"].updateElements { _, source in source.removeValue(forKey: kind) }
        }
    }

    private static func change(_ object: inout JSON, _ path: ArraySlice<String>, _ body: (inout JSON) -> Void) {
        guard let key = path.first else { return body(&object) }
        change(&object[key], path.dropFirst(), body)
    }
}
