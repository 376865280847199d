import Objects

/// Layouts of further groups: networking, storage, access, coordination.
enum OtherTables {
    static func layout(_ qualified: String) -> TableLayout? {
        switch qualified {
        case "endpointslices.discovery.k8s.io": slices
        case "ingresses.networking.k8s.io": ingresses
        case "ingressclasses.networking.k8s.io":
            TableLayout("Name Controller Parameters Age") { object, now in
                let reference = object["spec"]["parameters"]
                return [
                    .string(object.name), Cell.text(object["spec"]["controller"]),
                    reference.isNull
                        ? "<none>"
                        : .string("\(kind(of: reference))/\(reference["name"].stringValue ?? "")"),
                    Cell.age(object, now),
                ]
            }
        case "ipaddresses.networking.k8s.io":
            TableLayout("Name ParentRef") { object, _ in
                [.string(object.name), .string(parent(object["spec"]["parentRef"]))]
            }
        case "servicecidrs.networking.k8s.io":
            TableLayout("Name CIDRs Age") { object, now in
                let ranges = object["spec"]["cidrs"].arrayValue.compactMap(\.stringValue)
                return [.string(object.name), .string(ranges.joined(separator: ",")), Cell.age(object, now)]
            }
        case "networkpolicies.networking.k8s.io":
            TableLayout("Name Pod-Selector Age") { object, now in
                [.string(object.name), Cell.selector(object["spec"]["podSelector"]), Cell.age(object, now)]
            }
        case "leases.coordination.k8s.io":
            TableLayout("Name Holder Age") { object, now in
                [.string(object.name), Cell.text(object["spec"]["holderIdentity"], ""), Cell.age(object, now)]
            }
        case "roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io",
            "customresourcedefinitions.apiextensions.k8s.io", "limitranges":
            TableLayout("Name Created_At:date") { object, _ in
                [.string(object.name), .string(object.creationTimestamp ?? "<unknown>")]
            }
        case "rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io": bindings
        case "priorityclasses.scheduling.k8s.io":
            TableLayout("Name Value:integer Global-Default:boolean Age PreemptionPolicy") { object, now in
                [
                    .string(object.name), Cell.integer(object["value"]),
                    .bool(object["globalDefault"].boolValue ?? false), Cell.age(object, now),
                    Cell.text(object["preemptionPolicy"], "PreemptLowerPriority"),
                ]
            }
        case "runtimeclasses.node.k8s.io":
            TableLayout("Name Handler Age") { object, now in
                [.string(object.name), Cell.text(object["handler"]), Cell.age(object, now)]
            }
        case "certificatesigningrequests.certificates.k8s.io":
            TableLayout("Name Age SignerName Requestor RequestedDuration Condition") { object, now in
                let seconds = object["spec"]["expirationSeconds"].integerValue
                return [
                    .string(object.name), Cell.age(object, now), Cell.text(object["spec"]["signerName"]),
                    Cell.text(object["spec"]["username"]),
                    .string(seconds.map { HumanDuration.format($0) } ?? "<none>"),
                    .string(CertificateRequest.summary(object["status"])),
                ]
            }
        case "apiservices.apiregistration.k8s.io":
            TableLayout("Name Service Available Age") { object, now in
                let service = object["spec"]["service"]
                let place = "\(service["namespace"].stringValue ?? "")/\(service["name"].stringValue ?? "")"
                let condition = object["status"]["conditions"].arrayValue.first { $0["type"] == "Available" } ?? .null
                let status = condition["status"].stringValue ?? "Unknown"
                let reason = condition["reason"].stringValue ?? ""
                return [
                    .string(object.name), service.exists ? .string(place) : "Local",
                    .string(status == "True" || reason.isEmpty ? status : "\(status) (\(reason))"),
                    Cell.age(object, now),
                ]
            }
        case "resourceclaims.resource.k8s.io":
            TableLayout("Name State Age") { object, now in
                [.string(object.name), .string(claimState(object)), Cell.age(object, now)]
            }
        case "resourceslices.resource.k8s.io":
            TableLayout("Name Node Driver Pool Age") { object, now in
                let spec = object["spec"]
                return [
                    .string(object.name), Cell.text(spec["nodeName"], ""), Cell.text(spec["driver"], ""),
                    Cell.text(spec["pool"]["name"], ""), Cell.age(object, now),
                ]
            }
        case "plugins.hostd.dev": plugins
        case "nodes.metrics.k8s.io", "pods.metrics.k8s.io":
            TableLayout("Name cpu memory Window") { object, _ in
                let all = object["containers"].arrayValue.map { $0["usage"] } + [object["usage"]].filter(\.exists)
                func sum(_ resource: String) -> JSON {
                    // What the server itself has written can be read.
                    .string("\(all.reduce(Quantity.zero) { $0 + ((try? Quantity($1[resource])) ?? .zero) })")
                }
                return [.string(object.name), sum("cpu"), sum("memory"), Cell.text(object["window"])]
            }
        default: nil
        }
    }

    private static func kind(of reference: JSON) -> String {
        let group = reference["apiGroup"].stringValue ?? ""
        return (reference["kind"].stringValue ?? "") + (group.isEmpty ? "" : ".\(group)")
    }

    /// What an address is for: "services/default/web".
    private static func parent(_ reference: JSON) -> String {
        guard reference.exists else { return "<none>" }
        let group = reference["group"].stringValue ?? ""
        let resource = (reference["resource"].stringValue ?? "") + (group.isEmpty ? "" : ".\(group)")
        let place = ["namespace", "name"].compactMap { reference[$0].stringValue }.filter { !$0.isEmpty }
        return ([resource.lowercased()] + place).joined(separator: "/")
    }

    private static func claimState(_ claim: JSON) -> String {
        let isDeleted = claim.deletionTimestamp != nil
        guard claim["status"]["allocation"].exists else { return isDeleted ? "deleted" : "pending" }
        return (isDeleted ? "deleted," : "") + "allocated"
            + (claim["status"]["reservedFor"].isEmpty ? "" : ",reserved")
    }

    private static let plugins = TableLayout(
        "Name State Isolation Version Generation:integer Calls:integer Errors:integer Last-Swap Age Roles+ Library+ Reason+"
    ) { object, now in
        let status = object["status"]
        let roles = status["roles"].arrayValue
        func sum(_ key: String) -> JSON { JSON(roles.reduce(0) { $0 + ($1[key].integerValue ?? 0) }) }
        return [
            .string(object.name), Cell.text(status["state"]), Cell.text(object["spec"]["isolation"], "shared"),
            Cell.text(status["version"]), Cell.integer(status["generation"]), sum("calls"), sum("errors"),
            Cell.text(status["lastSwap"]["result"]), Cell.age(object, now),
            Cell.list(roles.compactMap { $0["id"].stringValue }, "<none>"), Cell.text(object["spec"]["library"]),
            Cell.text(status["reason"], ""),
        ]
    }

    private static let slices = TableLayout("Name AddressType Ports Endpoints Age") { object, now in
        let ports = object["ports"].arrayValue.map {
            $0["port"].integerValue.map(String.init) ?? $0["name"].stringValue ?? "*"
        }
        let addresses = object["endpoints"].arrayValue.flatMap {
            $0["addresses"].arrayValue.compactMap(\.stringValue)
        }
        return [
            .string(object.name), Cell.text(object["addressType"]),
            Cell.text(.string(CoreTables.shortened(ports)), "<unset>"),
            Cell.text(.string(CoreTables.shortened(addresses)), "<unset>"),
            Cell.age(object, now),
        ]
    }

    /// The first three hosts of rules, and how many rules there are beyond three when any comes after them.
    private static func hosts(_ rules: [JSON]) -> String {
        var hosts: [String] = []
        var hasMore = false
        for rule in rules {
            if hosts.count == 3 { hasMore = true }
            let host = rule["host"].stringValue ?? ""
            if !hasMore, !host.isEmpty { hosts.append(host) }
        }
        if hosts.isEmpty { return "*" }
        return hosts.joined(separator: ",") + (hasMore ? " + \(rules.count - 3) more..." : "")
    }

    private static let ingresses = TableLayout("Name Class Hosts Address Ports Age") { object, now in
        let hasTLS = !object["spec"]["tls"].arrayValue.isEmpty
        return [
            .string(object.name), Cell.text(object["spec"]["ingressClassName"]),
            .string(hosts(object["spec"]["rules"].arrayValue)),
            .string(CoreTables.points(object["status"]).joined(separator: ",")),
            .string(hasTLS ? "80, 443" : "80"), Cell.age(object, now),
        ]
    }

    private static let bindings = TableLayout(
        "Name Role Age Users+ Groups+ ServiceAccounts+"
    ) { object, now in
        let reference = object["roleRef"]
        func subjects(_ kind: String) -> JSON {
            let names = object["subjects"].arrayValue.filter { $0["kind"].stringValue == kind }.map { subject in
                let name = subject["name"].stringValue ?? ""
                return kind == "ServiceAccount" ? "\(subject["namespace"].stringValue ?? "")/\(name)" : name
            }
            return .string(names.joined(separator: ", "))
        }
        return [
            .string(object.name),
            .string("\(reference["kind"].stringValue ?? "")/\(reference["name"].stringValue ?? "")"),
            Cell.age(object, now), subjects("User"), subjects("Group"), subjects("ServiceAccount"),
        ]
    }
}
