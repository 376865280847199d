import Objects

/// How many devices a ResourceClaim may get, by class.
/// See https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-for-dra-resource-claims.
enum DeviceAmounts {
    static let suffix = ".deviceclass.resource.k8s.io/devices"
    /// Of one claim; who asks for all may get so many.
    private static let most: Int64 = 32

    static func devices(of claim: JSON) -> ResourceList {
        var usage = ResourceList()
        for request in claim["spec"]["devices"]["requests"].arrayValue {
            // Of alternatives one is chosen: the largest of each class counts.
            let ways = request["exactly"].exists ? [request["exactly"]] : request["firstAvailable"].arrayValue
            var largest: [String: Int64] = [:]
            for way in ways {
                let name = (way["deviceClassName"].stringValue ?? "") + suffix
                let count = way["allocationMode"] == "All" ? most : way["count"].integerValue ?? 1
                largest[name] = max(largest[name] ?? 0, count)
            }
            usage = usage + ResourceList(largest.mapValues { Quantity($0) })
        }
        return usage
    }
}
