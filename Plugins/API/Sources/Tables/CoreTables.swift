import Objects

/// Layouts of the core group's resources, pods aside.
enum CoreTables {
    static func layout(_ qualified: String) -> TableLayout? {
        switch qualified {
        case "services": services
        case "nodes": nodes
        case "namespaces":
            TableLayout("Name Status Age") { object, now in
                [.string(object.name), Cell.text(object["status"]["phase"], "Active"), Cell.age(object, now)]
            }
        case "persistentvolumeclaims": claims
        case "persistentvolumes": volumes
        case "events": EventTable.layout
        case "configmaps":
            TableLayout("Name Data Age") { object, now in
                let count = (object["data"].objectValue?.count ?? 0) + (object["binaryData"].objectValue?.count ?? 0)
                return [.string(object.name), .integer(Int64(count)), Cell.age(object, now)]
            }
        case "secrets":
            TableLayout("Name Type Data Age") { object, now in
                [
                    .string(object.name), Cell.text(object["type"]),
                    .integer(Int64(object["data"].objectValue?.count ?? 0)),
                    Cell.age(object, now),
                ]
            }
        case "serviceaccounts":
            TableLayout("Name Secrets Age") { object, now in
                [.string(object.name), .integer(Int64(object["secrets"].arrayValue.count)), Cell.age(object, now)]
            }
        case ComponentStatuses.resource:
            TableLayout("Name Status Message Error") { object, _ in
                let condition = object["conditions"].arrayValue.first { $0["type"].stringValue == "Healthy" } ?? .null
                let health = condition["status"].stringValue == "True" ? "Healthy" : "Unhealthy"
                let status = condition.isNull ? "Unknown" : health
                return [
                    .string(object.name), .string(status), Cell.text(condition["message"], ""),
                    Cell.text(condition["error"], ""),
                ]
            }
        case "endpoints":
            TableLayout("Name Endpoints Age") { object, now in
                let subsets = object["subsets"].arrayValue
                let text = subsets.isEmpty ? "<none>" : shortened(subsets.flatMap(ends))
                return [.string(object.name), .string(text), Cell.age(object, now)]
            }
        case "resourcequotas": quotas
        default: nil
        }
    }

    /// At most three of a list, and how many more there are; nothing of an empty list.
    static func shortened(_ items: [String]) -> String {
        if items.count <= 3 { return items.joined(separator: ",") }
        return items.prefix(3).joined(separator: ",") + " + \(items.count - 3) more..."
    }

    /// What a subset's ready addresses are reached at, port by port.
    private static func ends(_ subset: JSON) -> [String] {
        let ports = subset["ports"].arrayValue.compactMap { $0["port"].integerValue }
        let addresses = subset["addresses"].arrayValue.compactMap { $0["ip"].stringValue }
        guard !ports.isEmpty else { return addresses }
        let hosts = addresses.map { $0.contains(":") ? "[\($0)]" : $0 }
        return ports.flatMap { port in hosts.map { "\($0):\(port)" } }
    }

    /// The points at which a load balancer can be reached, each once and in order.
    static func points(_ status: JSON) -> [String] {
        let points = status["loadBalancer"]["ingress"].arrayValue.compactMap { point in
            [point["ip"], point["hostname"]].compactMap(\.stringValue).first { !$0.isEmpty }
        }
        return Set(points).sorted()
    }

    private static let services = TableLayout(
        "Name Type Cluster-IP External-IP Port(s) Age Selector+"
    ) { object, now in
        let spec = object["spec"]
        let type = spec["type"].stringValue ?? "ClusterIP"
        let ports = spec["ports"].arrayValue.map { port -> String in
            let number = port["port"].integerValue ?? 0
            let node = port["nodePort"].integerValue ?? 0
            let name = port["protocol"].stringValue ?? "TCP"
            return node > 0 ? "\(number):\(node)/\(name)" : "\(number)/\(name)"
        }
        let external = spec["externalIPs"].arrayValue.compactMap(\.stringValue)
        let address: JSON
        switch type {
        case "ExternalName": address = Cell.text(spec["externalName"])
        case "LoadBalancer": address = Cell.list(points(object["status"]) + external, "<pending>")
        default: address = Cell.list(external)
        }
        return [
            .string(object.name), .string(type), Cell.text(spec["clusterIP"]), address, Cell.list(ports),
            Cell.age(object, now), Cell.map(spec["selector"]),
        ]
    }

    private static let nodes = TableLayout(
        "Name Status Roles Age Version Internal-IP+ External-IP+ OS-Image+ Kernel-Version+ Container-Runtime+"
    ) { object, now in
        let information = object["status"]["nodeInfo"]
        var states: [String] = []
        for condition in object["status"]["conditions"].arrayValue where condition["type"].stringValue == "Ready" {
            states.append(condition["status"].stringValue == "True" ? "Ready" : "NotReady")
        }
        if states.isEmpty { states = ["Unknown"] }
        if object["spec"]["unschedulable"].boolValue == true { states.append("SchedulingDisabled") }
        func address(_ type: String) -> JSON {
            Cell.text(
                object["status"]["addresses"].arrayValue.first { $0["type"].stringValue == type }?["address"] ?? .null)
        }
        return [
            .string(object.name), .string(states.joined(separator: ",")), Cell.list(roles(object)),
            Cell.age(object, now),
            Cell.text(information["kubeletVersion"], ""), address("InternalIP"), address("ExternalIP"),
            Cell.text(information["osImage"], "<unknown>"), Cell.text(information["kernelVersion"], "<unknown>"),
            Cell.text(information["containerRuntimeVersion"], "<unknown>"),
        ]
    }

    /// The roles that a node's labels give it: `node-role.kubernetes.io/ROLE`, `kubernetes.io/role=ROLE`.
    private static func roles(_ node: JSON) -> [String] {
        let prefix = "node-role.kubernetes.io/"
        let roles = (node.labels.objectValue ?? [:]).compactMap { key, value -> String? in
            if key.hasPrefix(prefix) { return String(key.dropFirst(prefix.count)) }
            return key == "kubernetes.io/role" ? value.stringValue : nil
        }
        return Set(roles).subtracting([""]).sorted()
    }

    private static let shortModes: [(mode: String, short: String)] = [
        ("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"),
    ]

    /// Each mode once, always in the same order.
    private static func accessModes(_ modes: JSON) -> JSON {
        let given = Set(modes.arrayValue.compactMap(\.stringValue))
        return .string(shortModes.filter { given.contains($0.mode) }.map(\.short).joined(separator: ","))
    }

    /// The class of a volume or a claim; the annotation that once gave it goes before the field.
    private static func storageClass(_ object: JSON) -> JSON {
        let annotation = object.annotations["volume.beta.kubernetes.io/storage-class"]
        return Cell.text(annotation.exists ? annotation : object["spec"]["storageClassName"], "")
    }

    private static let claims = TableLayout(
        "Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age VolumeMode+"
    ) { object, now in
        let isBound = object["spec"]["volumeName"].stringValue?.isEmpty == false
        let phase = object.deletionTimestamp == nil ? object["status"]["phase"].stringValue ?? "" : "Terminating"
        return [
            .string(object.name), .string(phase), Cell.text(object["spec"]["volumeName"], ""),
            isBound ? Cell.text(object["status"]["capacity"]["storage"], "0") : "",
            isBound ? accessModes(object["status"]["accessModes"]) : "", storageClass(object),
            Cell.text(object["spec"]["volumeAttributesClassName"], "<unset>"), Cell.age(object, now),
            Cell.text(object["spec"]["volumeMode"], "<unset>"),
        ]
    }

    private static let volumes = TableLayout(
        "Name Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass Reason Age VolumeMode+"
    ) { object, now in
        let spec = object["spec"]
        let claim = spec["claimRef"]
        let phase = object.deletionTimestamp == nil ? object["status"]["phase"].stringValue ?? "" : "Terminating"
        return [
            .string(object.name), Cell.text(spec["capacity"]["storage"], "0"), accessModes(spec["accessModes"]),
            Cell.text(spec["persistentVolumeReclaimPolicy"], ""), .string(phase),
            claim.isNull ? "" : .string("\(claim["namespace"].stringValue ?? "")/\(claim["name"].stringValue ?? "")"),
            storageClass(object), Cell.text(spec["volumeAttributesClassName"], "<unset>"),
            Cell.text(object["status"]["reason"], ""), Cell.age(object, now), Cell.text(spec["volumeMode"], "<unset>"),
        ]
    }

    private static let quotas = TableLayout("Name Request Limit Age") { object, now in
        var requests: [String] = []
        var limits: [String] = []
        for (name, hard) in (object["status"]["hard"].objectValue ?? [:]).sortedByKey() {
            let used = object["status"]["used"][name].stringValue ?? "0"
            let text = "\(name): \(used)/\(hard.stringValue ?? "")"
            if name.hasPrefix("limits.") { limits.append(text) } else { requests.append(text) }
        }
        return [
            .string(object.name), .string(requests.joined(separator: ", ")), .string(limits.joined(separator: ", ")),
            Cell.age(object, now),
        ]
    }
}
