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
        case "events": events
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
                let status =
                    switch condition["status"].stringValue {
                    case "True": "Healthy"
                    case "False": "Unhealthy"
                    default: "Unknown"
                    }
                return [
                    .string(object.name), .string(status), Cell.text(condition["message"], ""),
                    Cell.text(condition["error"], ""),
                ]
            }
        case "endpoints":
            TableLayout("Name Endpoints Age") { object, now in
                var ends: [String] = []
                for subset in object["subsets"].arrayValue {
                    let ports = subset["ports"].arrayValue.compactMap { $0["port"].integerValue }
                    let addresses = subset["addresses"].arrayValue.compactMap { $0["ip"].stringValue }
                    ends += ports.isEmpty ? addresses : ports.flatMap { port in addresses.map { "\($0):\(port)" } }
                }
                return [.string(object.name), shortened(ends, ","), Cell.age(object, now)]
            }
        case "resourcequotas": quotas
        default: nil
        }
    }

    /// At most three of a list, and how many more there are.
    static func shortened(_ items: [String], _ separator: String) -> JSON {
        if items.isEmpty { return "<none>" }
        if items.count <= 3 { return .string(items.joined(separator: separator)) }
        return .string(items.prefix(3).joined(separator: separator) + " + \(items.count - 3) more...")
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
        case "LoadBalancer":
            let points = object["status"]["loadBalancer"]["ingress"].arrayValue.compactMap {
                $0["ip"].stringValue ?? $0["hostname"].stringValue
            }
            address = Cell.list(points + external, "<pending>")
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
        let prefix = "node-role.kubernetes.io/"
        let roles = (object.labels.objectValue ?? [:]).keys.filter { $0.hasPrefix(prefix) }.map {
            String($0.dropFirst(prefix.count))
        }.sorted()
        func address(_ type: String) -> JSON {
            Cell.text(
                object["status"]["addresses"].arrayValue.first { $0["type"].stringValue == type }?["address"] ?? .null)
        }
        return [
            .string(object.name), .string(states.joined(separator: ",")), Cell.list(roles), Cell.age(object, now),
            Cell.text(information["kubeletVersion"]), address("InternalIP"), address("ExternalIP"),
            Cell.text(information["osImage"], "<unknown>"), Cell.text(information["kernelVersion"], "<unknown>"),
            Cell.text(information["containerRuntimeVersion"], "<unknown>"),
        ]
    }

    static func accessModes(_ modes: JSON) -> JSON {
        let short = [
            "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP",
        ]
        return .string(modes.arrayValue.compactMap { short[$0.stringValue ?? ""] }.joined(separator: ","))
    }

    private static let claims = TableLayout(
        "Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age VolumeMode+"
    ) { object, now in
        let isBound = object["spec"]["volumeName"].stringValue?.isEmpty == false
        let phase = object.deletionTimestamp == nil ? object["status"]["phase"].stringValue ?? "" : "Terminating"
        return [
            .string(object.name), .string(phase), Cell.text(object["spec"]["volumeName"], ""),
            isBound ? Cell.text(object["status"]["capacity"]["storage"], "") : "",
            isBound ? accessModes(object["status"]["accessModes"]) : "",
            Cell.text(object["spec"]["storageClassName"], ""),
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
            .string(object.name), Cell.text(spec["capacity"]["storage"], ""), accessModes(spec["accessModes"]),
            Cell.text(spec["persistentVolumeReclaimPolicy"], ""), .string(phase),
            claim.isNull ? "" : .string("\(claim["namespace"].stringValue ?? "")/\(claim["name"].stringValue ?? "")"),
            Cell.text(spec["storageClassName"], ""), Cell.text(spec["volumeAttributesClassName"], "<unset>"),
            Cell.text(object["status"]["reason"], ""), Cell.age(object, now), Cell.text(spec["volumeMode"], "<unset>"),
        ]
    }

    private static let events = TableLayout(
        "Last_Seen Type Reason Object Subobject+ Source+ Message First_Seen+ Count+ Name+"
    ) { object, now in
        // Both shapes of events are shown alike.
        let involved = object["involvedObject"].exists ? object["involvedObject"] : object["regarding"]
        let first =
            object["firstTimestamp"].stringValue ?? object["deprecatedFirstTimestamp"].stringValue
            ?? object["eventTime"].stringValue
        let series = object["series"]
        let last =
            series["lastObservedTime"].stringValue ?? object["lastTimestamp"].stringValue
            ?? object["deprecatedLastTimestamp"].stringValue ?? first
        let count =
            series["count"].integerValue ?? object["count"].integerValue ?? object["deprecatedCount"].integerValue ?? 1
        let source = object["source"].exists ? object["source"] : object["deprecatedSource"]
        let component =
            source["component"].stringValue ?? object["reportingComponent"].stringValue
            ?? object["reportingController"].stringValue ?? ""
        let host = source["host"].stringValue.map { $0.isEmpty ? "" : ", \($0)" } ?? ""
        let message = object["message"].stringValue ?? object["note"].stringValue ?? ""
        return [
            .string(HumanDuration.since(last, now: now)), Cell.text(object["type"], ""),
            Cell.text(object["reason"], ""),
            .string("\((involved["kind"].stringValue ?? "").lowercased())/\(involved["name"].stringValue ?? "")"),
            Cell.text(involved["fieldPath"], ""), .string(component + host), .string(message.trimmingSpace()),
            .string(HumanDuration.since(first, now: now)), .string("\(count)"), .string(object.name),
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

extension String {
    fileprivate func trimmingSpace() -> String {
        var text = self[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        while text.first?.isWhitespace == true { text.removeFirst() }
        return String(text)
    }
}
