import Glibc
import Objects
import Quotas

/// What of a pod or a claim a LimitRange does not allow, in the words of Kubernetes. Pure.
enum LimitCheck {
    static func pod(_ pod: JSON, _ items: [JSON]) -> [String] {
        let spec = pod["spec"]
        return items.flatMap { item -> [String] in
            switch item["type"].stringValue {
            case "Container":
                (spec["containers"].arrayValue + spec["initContainers"].arrayValue).flatMap { container in
                    check(
                        item, "Container", requests: ResourceList(container["resources"]["requests"]),
                        limits: ResourceList(container["resources"]["limits"]))
                }
            case "Pod":
                check(item, "Pod", requests: PodAmounts.requests(of: spec), limits: PodAmounts.limits(of: spec))
            default: []
            }
        }
    }

    /// A claim has no limits: its request is held against both bounds.
    static func claim(_ claim: JSON, _ items: [JSON]) -> [String] {
        let requests = ResourceList(claim["spec"]["resources"]["requests"])
        let type = "PersistentVolumeClaim"
        return items.filter { $0["type"].stringValue == type }.flatMap { item in
            bounds(item, "min") { least($0, type, $1, requests, ResourceList()) }
                + bounds(item, "max") { name, bound in
                    guard let request = requests[name] else {
                        return "maximum \(name) usage per \(type) is \(bound).  No request is specified"
                    }
                    guard request <= bound else {
                        return "maximum \(name) usage per \(type) is \(bound), but request is \(request)"
                    }
                    return nil
                }
        }
    }

    private static func check(
        _ item: JSON, _ type: String, requests: ResourceList, limits: ResourceList
    ) -> [String] {
        bounds(item, "min") { least($0, type, $1, requests, limits) }
            + bounds(item, "max") { greatest($0, type, $1, requests, limits) }
            + bounds(item, "maxLimitRequestRatio") { ratio($0, type, $1, requests, limits) }
    }

    private static func bounds(_ item: JSON, _ key: String, _ problem: (String, Quantity) -> String?) -> [String] {
        let bounds = ResourceList(item[key])
        return bounds.names.compactMap { name in bounds[name].flatMap { problem(name, $0) } }
    }

    private static func least(
        _ name: String, _ type: String, _ bound: Quantity, _ requests: ResourceList, _ limits: ResourceList
    ) -> String? {
        guard let request = requests[name] else {
            return "minimum \(name) usage per \(type) is \(bound).  No request is specified"
        }
        if request < bound { return "minimum \(name) usage per \(type) is \(bound), but request is \(request)" }
        if let limit = limits[name], limit < bound {
            return "minimum \(name) usage per \(type) is \(bound), but limit is \(limit)"
        }
        return nil
    }

    private static func greatest(
        _ name: String, _ type: String, _ bound: Quantity, _ requests: ResourceList, _ limits: ResourceList
    ) -> String? {
        guard let limit = limits[name] else {
            return "maximum \(name) usage per \(type) is \(bound).  No limit is specified"
        }
        if limit > bound { return "maximum \(name) usage per \(type) is \(bound), but limit is \(limit)" }
        if let request = requests[name], request > bound {
            return "maximum \(name) usage per \(type) is \(bound), but request is \(request)"
        }
        return nil
    }

    private static func ratio(
        _ name: String, _ type: String, _ bound: Quantity, _ requests: ResourceList, _ limits: ResourceList
    ) -> String? {
        let subject = "\(name) max limit to request ratio per \(type) is \(bound)"
        guard let request = requests[name], !request.isZero else {
            return "\(subject), but no request is specified or request is 0"
        }
        guard let limit = limits[name], !limit.isZero else {
            return "\(subject), but no limit is specified or limit is 0"
        }
        let observed = Double(limit.nanoValue) / Double(request.nanoValue)
        guard observed > Double(bound.nanoValue) / 1e9 else { return nil }
        return "\(subject), but provided ratio is \(sixDigits(observed))"
    }

    /// As %f writes it.
    private static func sixDigits(_ value: Double) -> String {
        let scaled = Int64((value * 1e6).rounded(.toNearestOrEven))
        let fraction = String(scaled % 1_000_000)
        return "\(scaled / 1_000_000)." + String(repeating: "0", count: 6 - fraction.utf8.count) + fraction
    }
}
