import Objects

/// Extended resources that a pod asks for, that no node counts, and that classes of devices stand for: they become a claim that the
/// pod does not name. Where some node counts a resource, all pods that ask for it go to such nodes. Pure.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#extended-resource.
struct ExtendedResources: Sendable, Equatable {
    /// Of the claim.
    static let annotation = "resource.kubernetes.io/extended-resource-claim"
    /// The name of a claim that is not written yet: no stored one can have it.
    static let unwrittenName = "<extended-resources>"
    /// By a name that begins so each class can be asked for.
    private static let prefix = "deviceclass.resource.kubernetes.io/"

    let names: [String]
    /// What is asked for, not written yet.
    let claim: JSON
    /// Which container has which resource by which request, as the pod's status tells it.
    let mappings: [JSON]

    /// - Returns: nil for a pod that asks for no such resource.
    init?(_ pod: JSON, classes: [JSON], nodes: [JSON], makeUID: () -> String) {
        guard !classes.isEmpty else { return nil }
        let containers = Self.containers(of: pod)
        let wanted = Set(containers.flatMap { $0.amounts.keys }).filter { name in
            !nodes.contains { Quantity.amount($0["status"]["allocatable"][name]) > .zero }
        }
        var (names, requests, mappings): ([String], [JSON], [JSON]) = ([], [], [])
        for name in wanted.sorted() {
            guard let deviceClass = Self.deviceClass(of: name, classes) else { continue }
            let plan = Plan(name, containers)
            names.append(name)
            requests += plan.requests.map { $0.json(deviceClass) }
            mappings += plan.mappings
        }
        guard !names.isEmpty else { return nil }
        (self.names, self.mappings) = (names, mappings)
        requests.sort { ($0["name"].stringValue ?? "") < ($1["name"].stringValue ?? "") }
        let owner: JSON = [
            "apiVersion": "v1", "kind": "Pod", "name": .string(pod.name), "uid": .string(pod.uid), "controller": true,
        ]
        claim = [
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": [
                "name": .string(Self.unwrittenName), "namespace": .string(pod.namespace), "uid": .string(makeUID()),
                "generateName": .string("\(pod.name)-extended-resources-"), "ownerReferences": [owner],
                "annotations": .object([Self.annotation: "true"]),
            ],
            "spec": ["devices": ["requests": .array(requests)]],
        ]
    }

    /// The pod without what it gets by the claim: no node is asked for that.
    func reduced(_ pod: JSON) -> JSON {
        var pod = pod
        for list in ["initContainers", "containers"] where pod["spec"][list].exists {
            pod["spec"][list].updateElements { (_, container: inout JSON) throws(Never) in
                for amounts in ["requests", "limits"] where container["resources"][amounts].exists {
                    for name in names { container["resources"][amounts].removeValue(forKey: name) }
                }
            }
        }
        return pod
    }

    /// The claim as it is written.
    var written: JSON {
        var claim = claim
        for field in ["name", "uid"] { claim["metadata"].removeValue(forKey: field) }
        return claim
    }

    /// The claim that was written for a pod.
    static func claim(of pod: JSON, among claims: [JSON]) -> JSON? {
        claims.first { isSpecial($0) && PodClaims.owner(of: $0)?.uid == pod.uid }
    }

    static func isSpecial(_ claim: JSON) -> Bool { claim.annotations[annotation] == "true" }

    /// Of several classes with one name the newest counts.
    private static func deviceClass(of resource: String, _ classes: [JSON]) -> String? {
        if resource.hasPrefix(prefix) {
            let name = String(resource.dropFirst(prefix.utf8.count))
            return classes.contains { $0.name == name } ? name : nil
        }
        func age(_ deviceClass: JSON) -> String { deviceClass.metadata["creationTimestamp"].stringValue ?? "" }
        return classes.filter { $0["spec"]["extendedResourceName"].stringValue == resource }.min { one, other in
            age(one) != age(other) ? age(one) > age(other) : one.name < other.name
        }?.name
    }

    // MARK: - Containers

    private struct Container {
        var index: Int
        var name: String
        /// It ends before others begin.
        var isShort: Bool
        /// What it asks for of resources that may be devices.
        var amounts: [String: Int64]
        /// All resources that it asks for, in order.
        var keys: [String]
    }

    private static func containers(of pod: JSON) -> [Container] {
        let first = pod["spec"]["initContainers"].arrayValue
        return (first + pod["spec"]["containers"].arrayValue).enumerated().map { index, container in
            let requests = container["resources"]["requests"].objectValue ?? [:]
            var amounts: [String: Int64] = [:]
            for (name, amount) in requests where mayBeDevices(name) {
                let count = Quantity.amount(amount).value
                if count > 0 { amounts[name] = count }
            }
            return Container(
                index: index, name: container["name"].stringValue ?? "",
                isShort: index < first.count && container["restartPolicy"] != "Always", amounts: amounts,
                keys: requests.map(\.key).sorted())
        }
    }

    private static func mayBeDevices(_ name: String) -> Bool {
        name.hasPrefix(prefix) || name.contains("/") && !name.contains("kubernetes.io/")
    }

    // MARK: - Requests

    private struct Request {
        var name: String
        var count: Int64

        func json(_ deviceClass: String) -> JSON {
            let wish: JSON = [
                "deviceClassName": .string(deviceClass), "allocationMode": "ExactCount", "count": .integer(count),
            ]
            return ["name": .string(name), "exactly": wish]
        }
    }

    /// What is asked for of one resource. Containers that end early use what later ones will have, and share what goes beyond.
    private struct Plan {
        private(set) var requests: [Request] = []
        private(set) var mappings: [JSON] = []

        init(_ resource: String, _ containers: [Container]) {
            func request(_ container: Container, _ count: Int64) -> Request {
                let place = container.keys.firstIndex(of: resource) ?? 0
                return Request(name: "container-\(container.index)-request-\(place)", count: count)
            }
            func mapping(_ container: Container, _ request: String) -> JSON {
                [
                    "containerName": .string(container.name), "resourceName": .string(resource),
                    "requestName": .string(request),
                ]
            }
            let lasting = containers.map { container in
                container.isShort ? nil : container.amounts[resource].map { request(container, $0) }
            }
            for (container, request) in zip(containers, lasting) {
                if let request { mappings.append(mapping(container, request.name)) }
            }
            var beyond: [Request] = []
            var early: [(container: Container, request: String)] = []
            for container in containers where container.isShort {
                var missing = container.amounts[resource] ?? 0
                for later in lasting[container.index...].compactMap({ $0 }) where missing > 0 {
                    early.append((container, later.name))
                    missing -= later.count
                }
                guard missing > 0 else { continue }
                beyond.append(request(container, missing))
                early.append((container, beyond[beyond.count - 1].name))
            }
            // The first of the largest: `max` would take the last.
            let most = beyond.map(\.count).max()
            let largest = beyond.first { $0.count == most }
            let names = Set(beyond.map(\.name))
            for (container, name) in early {
                mappings.append(mapping(container, names.contains(name) ? largest?.name ?? name : name))
            }
            requests = (largest.map { [$0] } ?? []) + lasting.compactMap { $0 }
        }
    }
}
