import Objects

/// Layouts of what stands between a request and the store: webhooks, admission policies, flows and their levels.
enum AdmissionTables {
    static func layout(_ qualified: String) -> TableLayout? {
        switch qualified {
        case "mutatingwebhookconfigurations.admissionregistration.k8s.io",
            "validatingwebhookconfigurations.admissionregistration.k8s.io":
            TableLayout("Name Webhooks:integer Age") { object, now in
                [.string(object.name), .integer(Int64(object["webhooks"].count)), Cell.age(object, now)]
            }
        case "validatingadmissionpolicies.admissionregistration.k8s.io":
            TableLayout("Name Validations:integer ParamKind Age") { policy($0, $1, "validations") }
        case "mutatingadmissionpolicies.admissionregistration.k8s.io":
            TableLayout("Name Mutations:integer ParamKind Age") { policy($0, $1, "mutations") }
        case "validatingadmissionpolicybindings.admissionregistration.k8s.io",
            "mutatingadmissionpolicybindings.admissionregistration.k8s.io":
            TableLayout("Name PolicyName ParamRef Age") { object, now in
                [
                    .string(object.name), Cell.text(object["spec"]["policyName"], ""),
                    .string(parameters(object["spec"]["paramRef"])), Cell.age(object, now),
                ]
            }
        case "flowschemas.flowcontrol.apiserver.k8s.io": flows
        case "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": levels
        default: nil
        }
    }

    private static func policy(_ object: JSON, _ now: Timestamp, _ rules: String) -> [JSON] {
        let kind = object["spec"]["paramKind"]
        return [
            .string(object.name), .integer(Int64(object["spec"][rules].count)),
            kind.isNull ? "<unset>" : .string("\(Cell.string(kind["apiVersion"]))/\(Cell.string(kind["kind"]))"),
            Cell.age(object, now),
        ]
    }

    /// A reference without a namespace may be to any, or to none: that shows nowhere but in the policy's kind.
    private static func parameters(_ reference: JSON) -> String {
        if let name = reference["name"].stringValue, !name.isEmpty {
            let namespace = reference["namespace"].stringValue ?? ""
            return "\(namespace.isEmpty ? "*" : namespace)/\(name)"
        }
        return reference["selector"].exists ? Cell.string(Cell.selector(reference["selector"])) : "<unset>"
    }

    /// Flow schemas come in the order in which they are tried.
    private static let flows: TableLayout = {
        var layout = TableLayout(
            "Name PriorityLevel MatchingPrecedence DistinguisherMethod Age MissingPL", flow)
        layout.rank = { $0["spec"]["matchingPrecedence"].integerValue ?? 0 }
        return layout
    }()

    @Sendable private static func flow(_ object: JSON, _ now: Timestamp) -> [JSON] {
        let spec = object["spec"]
        let dangling = object["status"]["conditions"].arrayValue.first { $0["type"] == "Dangling" } ?? .null
        return [
            .string(object.name), Cell.text(spec["priorityLevelConfiguration"]["name"], ""),
            Cell.integer(spec["matchingPrecedence"]), Cell.text(spec["distinguisherMethod"]["type"]),
            Cell.age(object, now), Cell.text(dangling["status"], "?"),
        ]
    }

    private static func number(_ owner: JSON, _ key: String) -> JSON {
        owner.exists ? Cell.integer(owner[key]) : "<none>"
    }

    private static let levels = TableLayout(
        "Name Type NominalConcurrencyShares Queues HandSize QueueLengthLimit Age"
    ) { object, now in
        let limited = object["spec"]["limited"]
        let queuing = limited["limitResponse"]["queuing"]
        return [
            .string(object.name), Cell.text(object["spec"]["type"], ""),
            number(limited, "nominalConcurrencyShares"), number(queuing, "queues"), number(queuing, "handSize"),
            number(queuing, "queueLengthLimit"), Cell.age(object, now),
        ]
    }
}
