import Objects

/// Defaults that depend on other fields, which a table of constants cannot give.
enum SpecDefaults {
    /// Fills in what a kind's specification leaves open.
    static func apply(_ object: inout JSON, _ resource: Resource) {
        switch resource.qualified {
        case "pods": pod(&object["spec"])
        case "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch",
            "replicationcontrollers":
            if object["spec"]["template"]["spec"].exists { pod(&object["spec"]["template"]["spec"]) }
        case "cronjobs.batch":
            if object["spec"]["jobTemplate"]["spec"]["template"]["spec"].exists {
                pod(&object["spec"]["jobTemplate"]["spec"]["template"]["spec"])
            }
        case "services": service(&object["spec"])
        case "persistentvolumes":
            if object["spec"]["claimRef"].exists, object["spec"]["claimRef"]["namespace"].isNull {
                object["spec"]["claimRef"]["namespace"] = "default"
            }
        default: break
        }
        if resource.qualified == "jobs.batch" { job(&object["spec"]) }
    }

    /// A pod's specification: pull policies by tag, requests from limits, the two names of a service account.
    static func pod(_ spec: inout JSON) {
        let usesHostNetwork = spec["hostNetwork"].boolValue == true
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            spec[list].updateElements { (_, container: inout JSON) throws(Never) in
                self.container(&container, usesHostNetwork)
            }
        }
        if let name = spec["serviceAccountName"].stringValue, !name.isEmpty {
            spec["serviceAccount"] = .string(name)
        } else if let name = spec["serviceAccount"].stringValue, !name.isEmpty {
            spec["serviceAccountName"] = .string(name)
        }
    }

    private static func container(_ container: inout JSON, _ usesHostNetwork: Bool) {
        if container["imagePullPolicy"].isNull {
            container["imagePullPolicy"] = .string(pullPolicy(container["image"].stringValue ?? ""))
        }
        if container["resources"]["limits"].exists, let limits = container["resources"]["limits"].objectValue {
            for (name, value) in limits where container["resources"]["requests"][name].isNull {
                container["resources"]["requests"][name] = value
            }
        }
        if usesHostNetwork {
            container["ports"].updateElements { (_, port: inout JSON) throws(Never) in
                if port["hostPort"].isNull || port["hostPort"].integerValue == 0 { port["hostPort"] = port["containerPort"] }
            }
        }
    }

    /// Always for the tag "latest", which is meant when none is given; otherwise when the image is absent.
    static func pullPolicy(_ image: String) -> String {
        if image.contains("@") { return "IfNotPresent" }
        let last = image.split(separator: "/").last ?? ""
        guard let colon = last.lastIndex(of: ":") else { return "Always" }
        return last[last.index(after: colon)...] == "latest" ? "Always" : "IfNotPresent"
    }

    private static func service(_ spec: inout JSON) {
        spec["ports"].updateElements { (_, port: inout JSON) throws(Never) in
            if port["targetPort"].isNull { port["targetPort"] = port["port"] }
        }
        let type = spec["type"].stringValue ?? "ClusterIP"
        if type == "NodePort" || type == "LoadBalancer", spec["externalTrafficPolicy"].isNull {
            spec["externalTrafficPolicy"] = "Cluster"
        }
        if type == "LoadBalancer", spec["allocateLoadBalancerNodePorts"].isNull {
            spec["allocateLoadBalancerNodePorts"] = true
        }
        if type != "ExternalName", spec["internalTrafficPolicy"].isNull { spec["internalTrafficPolicy"] = "Cluster" }
    }

    private static func job(_ spec: inout JSON) {
        if spec["completions"].isNull, spec["parallelism"].isNull {
            spec["completions"] = 1
            spec["parallelism"] = 1
        } else if spec["parallelism"].isNull {
            spec["parallelism"] = 1
        }
    }
}
