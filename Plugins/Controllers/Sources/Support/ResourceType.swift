import Objects

/// A kind of object as the API names it.
struct ResourceType: Sendable, Hashable {
    /// "v1", "apps/v1".
    var apiVersion: String
    /// Plural, as in paths.
    var plural: String
    var kind: String
    var isNamespaced = true

    var group: String {
        guard let slash = apiVersion.firstIndex(of: "/") else { return "" }
        return String(apiVersion[..<slash])
    }

    /// The first part of store keys: "pods", "deployments.apps".
    var storeName: String { group.isEmpty ? plural : "\(plural).\(group)" }

    /// The selector of an object of this kind for its pods; that of a ReplicationController is a plain map of labels.
    func selector(of object: JSON) throws(LabelSelector.ParseError) -> LabelSelector {
        let selector = object["spec"]["selector"]
        return try LabelSelector(object: self == .replicationControllers ? ["matchLabels": selector] : selector)
    }

    /// Whether an object of this kind selects the labels. A selector that does not parse matches nothing here; its
    /// controller reports it when it comes to it.
    func selects(_ object: JSON, _ labels: JSON) -> Bool {
        do {
            return try selector(of: object).matches(labels: labels)
        } catch {
            return false
        }
    }

    static let pods = ResourceType(apiVersion: "v1", plural: "pods", kind: "Pod")
    static let nodes = ResourceType(apiVersion: "v1", plural: "nodes", kind: "Node", isNamespaced: false)
    static let namespaces = ResourceType(apiVersion: "v1", plural: "namespaces", kind: "Namespace", isNamespaced: false)
    static let services = ResourceType(apiVersion: "v1", plural: "services", kind: "Service")
    static let endpoints = ResourceType(apiVersion: "v1", plural: "endpoints", kind: "Endpoints")
    static let configMaps = ResourceType(apiVersion: "v1", plural: "configmaps", kind: "ConfigMap")
    static let serviceAccounts = ResourceType(apiVersion: "v1", plural: "serviceaccounts", kind: "ServiceAccount")
    static let events = ResourceType(apiVersion: "v1", plural: "events", kind: "Event")
    static let volumeClaims = ResourceType(
        apiVersion: "v1", plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim")
    static let volumes = ResourceType(
        apiVersion: "v1", plural: "persistentvolumes", kind: "PersistentVolume", isNamespaced: false)
    static let storageClasses = ResourceType(
        apiVersion: "storage.k8s.io/v1", plural: "storageclasses", kind: "StorageClass", isNamespaced: false)
    static let deployments = ResourceType(apiVersion: "apps/v1", plural: "deployments", kind: "Deployment")
    static let replicationControllers = ResourceType(
        apiVersion: "v1", plural: "replicationcontrollers", kind: "ReplicationController")
    static let replicaSets = ResourceType(apiVersion: "apps/v1", plural: "replicasets", kind: "ReplicaSet")
    static let statefulSets = ResourceType(apiVersion: "apps/v1", plural: "statefulsets", kind: "StatefulSet")
    static let daemonSets = ResourceType(apiVersion: "apps/v1", plural: "daemonsets", kind: "DaemonSet")
    static let controllerRevisions = ResourceType(
        apiVersion: "apps/v1", plural: "controllerrevisions", kind: "ControllerRevision")
    static let jobs = ResourceType(apiVersion: "batch/v1", plural: "jobs", kind: "Job")
    static let cronJobs = ResourceType(apiVersion: "batch/v1", plural: "cronjobs", kind: "CronJob")
    static let endpointSlices = ResourceType(
        apiVersion: "discovery.k8s.io/v1", plural: "endpointslices", kind: "EndpointSlice")
    static let plugins = ResourceType(
        apiVersion: "hostd.dev/v1", plural: "plugins", kind: "Plugin", isNamespaced: false)
    static let autoscalers = ResourceType(
        apiVersion: "autoscaling/v2", plural: "horizontalpodautoscalers", kind: "HorizontalPodAutoscaler")
    static let apiServices = ResourceType(
        apiVersion: "apiregistration.k8s.io/v1", plural: "apiservices", kind: "APIService", isNamespaced: false)
    static let disruptionBudgets = ResourceType(
        apiVersion: "policy/v1", plural: "poddisruptionbudgets", kind: "PodDisruptionBudget")
    static let resourceQuotas = ResourceType(apiVersion: "v1", plural: "resourcequotas", kind: "ResourceQuota")
    static let serviceRanges = ResourceType(
        apiVersion: "networking.k8s.io/v1", plural: "servicecidrs", kind: "ServiceCIDR", isNamespaced: false)
    static let addresses = ResourceType(
        apiVersion: "networking.k8s.io/v1", plural: "ipaddresses", kind: "IPAddress", isNamespaced: false)
    static let resourceClaims = ResourceType(
        apiVersion: "resource.k8s.io/v1", plural: "resourceclaims", kind: "ResourceClaim")
    static let claimTemplates = ResourceType(
        apiVersion: "resource.k8s.io/v1", plural: "resourceclaimtemplates", kind: "ResourceClaimTemplate")
    static let resourceSlices = ResourceType(
        apiVersion: "resource.k8s.io/v1", plural: "resourceslices", kind: "ResourceSlice", isNamespaced: false)
    static let deviceClasses = ResourceType(
        apiVersion: "resource.k8s.io/v1", plural: "deviceclasses", kind: "DeviceClass", isNamespaced: false)
    static let leases = ResourceType(apiVersion: "coordination.k8s.io/v1", plural: "leases", kind: "Lease")
}
