import Objects

/// Facts about a running pod that its object does not carry yet when containers start.
struct PodRuntimeFacts: Sendable {
    var podIPs: [String] = []
    var hostIPs: [String] = []
    var nodeName = ""
}

/// Resolves downward-API field paths ("metadata.labels['app']", "status.podIP").
enum FieldReference {
    /// The value of a field; nil when the path is not one that pods may refer to.
    static func resolve(_ path: String, pod: Pod, facts: PodRuntimeFacts) -> String? {
        if let (map, key) = subscripted(path) {
            guard map == "metadata.labels" || map == "metadata.annotations" else { return nil }
            let name = map == "metadata.labels" ? "labels" : "annotations"
            return pod.object["metadata"][name][key].stringValue ?? ""
        }
        switch path {
        case "metadata.name": return pod.name
        case "metadata.namespace": return pod.namespace
        case "metadata.uid": return pod.uid
        case "metadata.labels": return formatMap(pod.object["metadata"]["labels"])
        case "metadata.annotations": return formatMap(pod.object["metadata"]["annotations"])
        case "spec.nodeName": return facts.nodeName
        case "spec.serviceAccountName": return pod.specification["serviceAccountName"].stringValue ?? ""
        case "status.hostIP": return facts.hostIPs.first ?? ""
        case "status.hostIPs": return facts.hostIPs.joined(separator: ",")
        case "status.podIP": return facts.podIPs.first ?? ""
        case "status.podIPs": return facts.podIPs.joined(separator: ",")
        default: return nil
        }
    }

    /// Splits "metadata.labels['key']" into map and key.
    private static func subscripted(_ path: String) -> (map: String, key: String)? {
        guard path.hasSuffix("']"), let open = path.firstIndex(of: "[") else { return nil }
        let inner = path[path.index(after: open)...].dropLast(2)
        guard inner.first == "'" else { return nil }
        return (String(path[..<open]), String(inner.dropFirst()))
    }

    /// A map as downward-API files show it: sorted lines of key="value", quoted as Go quotes.
    static func formatMap(_ map: JSON) -> String {
        guard let object = map.objectValue else { return "" }
        return object.map { ($0.key, $0.value.stringValue ?? "") }.sorted { $0.0 < $1.0 }
            .map { "\($0.0)=\(quote($0.1))" }.joined(separator: "\n")
    }

    private static func quote(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7f {
                    let digits = String(scalar.value, radix: 16)
                    result += "\\x" + String(repeating: "0", count: 2 - digits.count) + digits
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}

/// Resolves resourceFieldRef: a container's request or limit, divided and rounded up.
enum ResourceFieldReference {
    /// Amounts that stand in where a container sets no limit.
    struct NodeAllocatable: Sendable {
        var cpuMilli: Int64 = 0
        var memoryBytes: Int64 = 0
        var ephemeralStorageBytes: Int64 = 0
    }

    /// The value as decimal text; nil when the resource cannot be referred to.
    static func resolve(_ reference: JSON, container: PodContainer, allocatable: NodeAllocatable) -> String? {
        guard let resource = reference["resource"].stringValue, let dot = resource.firstIndex(of: ".") else {
            return nil
        }
        let list = String(resource[..<dot])
        let name = String(resource[resource.index(after: dot)...])
        guard list == "limits" || list == "requests" else { return nil }
        let resources = container.object["resources"]
        var milli = ResourceQuantity.milliValue(resources[list][name])
        if milli == nil || milli == 0, list == "limits" {
            switch name {
            case "cpu": milli = allocatable.cpuMilli
            case "memory": milli = allocatable.memoryBytes * 1000
            case "ephemeral-storage": milli = allocatable.ephemeralStorageBytes * 1000
            default: break
            }
        }
        var divisor = ResourceQuantity.milliValue(reference["divisor"]) ?? 0
        if divisor <= 0 { divisor = 1000 }
        let amount = milli ?? 0
        return String((amount + divisor - 1) / divisor)
    }
}
