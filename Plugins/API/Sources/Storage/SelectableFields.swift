import Objects

/// Which fields of which resources a field selector may name, besides metadata.name and metadata.namespace.
/// Source: the field label conversions of Kubernetes' API machinery, documented at
/// https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/.
enum SelectableFields {
    static func of(_ qualified: String) -> [String] {
        switch qualified {
        case "pods":
            [
                "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase", "status.podIP", "status.nominatedNodeName",
            ]
        case "nodes": ["spec.unschedulable"]
        case "namespaces": ["status.phase"]
        case "secrets": ["type"]
        case "services": ["spec.clusterIP", "spec.type"]
        case "replicationcontrollers": ["status.replicas"]
        case "replicasets.apps": ["status.replicas"]
        case "jobs.batch": ["status.successful"]
        case "events":
            [
                "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                "reportingComponent", "source", "type",
            ]
        case "certificatesigningrequests.certificates.k8s.io": ["spec.signerName"]
        case "resourceslices.resource.k8s.io": ["spec.nodeName", "spec.driver"]
        default: []
        }
    }

    /// What an absent field is compared as.
    static func absentValue(of field: String, in resource: Resource) -> String {
        switch field {
        case "spec.unschedulable", "spec.hostNetwork": "false"
        case "status.replicas", "status.successful": "0"
        default: ""
        }
    }

    /// The value of a field in an object of its storage version.
    static func value(of field: String, in object: JSON, _ resource: Resource) -> JSON {
        switch (resource.qualified, field) {
        case ("events", "source"):
            return object["source"]["component"].exists ? object["source"]["component"] : object["reportingComponent"]
        case ("jobs.batch", "status.successful"): return object["status"]["succeeded"]
        default: return object[path: field.split(separator: ".").map(String.init)]
        }
    }
}
