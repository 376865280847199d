import Objects

/// The allocation of a claim as its status has it: the devices, what drivers are told of them, and where they are.
enum DeviceAllocation {
    static func make(_ claim: JSON, given: [GivenDevice], node: JSON) -> JSON {
        var allocation: JSON = ["devices": ["results": .array(given.map(\.json))]]
        let configuration = configuration(claim, given)
        if !configuration.isEmpty { allocation["devices"]["config"] = .array(configuration) }
        if let selector = selector(given, node: node) { allocation["nodeSelector"] = selector }
        return allocation
    }

    /// What the classes say, each once, then what the claim says, as far as it is about what was chosen. What is about all
    /// requests names none.
    private static func configuration(_ claim: JSON, _ given: [GivenDevice]) -> [JSON] {
        let wanted = claim["spec"]["devices"]
        var chosen: [DeviceRequest] = []
        for device in given where !chosen.contains(where: { $0.name == device.request.name }) {
            chosen.append(device.request)
        }
        var all: [JSON] = []
        var seen: Set<String> = []
        for request in chosen where seen.insert(request.deviceClass.name).inserted {
            let names = chosen.filter { $0.deviceClass.name == request.deviceClass.name }.map(\.name)
            for entry in request.deviceClass["spec"]["config"].arrayValue {
                var entry = entry
                entry["source"] = "FromClass"
                entry["requests"] = .array(names.map { .string($0) })
                all.append(entry)
            }
        }
        for entry in wanted["config"].arrayValue
        where entry["requests"].isEmpty || chosen.contains(where: { $0.isMeant(by: entry["requests"]) }) {
            var entry = entry
            entry["source"] = "FromClaim"
            all.append(entry)
        }
        let count = wanted["requests"].count
        for index in all.indices where all[index]["requests"].isEmpty || all[index]["requests"].count == count {
            all[index].removeValue(forKey: "requests")
        }
        return all
    }

    /// The nodes from which all of the devices are reached; nil for all.
    private static func selector(_ given: [GivenDevice], node: JSON) -> JSON? {
        var term: JSON = [:]
        for device in given.map(\.device) {
            let place = device.slice["perDeviceNodeSelection"] == true ? device.json : device.slice
            if !place["nodeName"].isEmpty || device.json["bindsToNode"] == true {
                return ["nodeSelectorTerms": .array([NodeNames.term(node.name)])]
            }
            guard let own = place["nodeSelector"]["nodeSelectorTerms"].arrayValue.first else { continue }
            for member in ["matchFields", "matchExpressions"] {
                for requirement in own[member].arrayValue where !term[member].arrayValue.contains(requirement) {
                    term[member].append(requirement)
                }
            }
        }
        return term.isEmpty ? nil : ["nodeSelectorTerms": .array([term])]
    }
}

/// Selectors of nodes by their names.
enum NodeNames {
    static func term(_ name: String) -> JSON {
        let field: JSON = ["key": "metadata.name", "operator": "In", "values": .array([.string(name)])]
        return ["matchFields": .array([field])]
    }
}
