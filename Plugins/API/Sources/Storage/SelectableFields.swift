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
}

/// A field that selectors may name, and where it is: found once for a resource, because it is asked for with every write.
struct SelectableField: Sendable {
    /// As the index has it: with a leading dot, then the prefix.
    let name: String
    /// Where its value is in an object of the storage version; the first that is there counts.
    private let paths: [[String]]
    /// What an absent field is compared as.
    private let absent: String

    /// - Parameters:
    ///   - field: without the leading dot: "spec.nodeName".
    ///   - qualified: the resource, as in store keys.
    ///   - prefix: what tells fields of the same name apart.
    init(_ field: String, of qualified: String, prefix: String = "") {
        name = "." + prefix + field
        paths =
            switch (qualified, field) {
            case ("events", "source"): [["source", "component"], ["reportingComponent"]]
            case ("jobs.batch", "status.successful"): [["status", "succeeded"]]
            default: [field.split(separator: ".").map(String.init)]
            }
        absent =
            switch field {
            case "spec.unschedulable", "spec.hostNetwork": "false"
            case "status.replicas", "status.successful": "0"
            default: ""
            }
    }

    /// The value in an object of the version that has the field, as selectors compare it.
    func value(in object: JSON) -> String {
        for path in paths {
            let value = object[path: path]
            if value.exists { return value.stringValue ?? value.serializedString() }
        }
        return absent
    }
}
