import Objects

/// What the objects say that show the addresses of services. Pure.
/// See https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects.
enum ServiceRangePlan {
    /// The ServiceCIDR of the range that hostd is configured with.
    static let defaultName = "kubernetes"
    static let finalizer = "networking.k8s.io/service-cidr-finalizer"
    static let managerLabel = "ipaddress.kubernetes.io/managed-by"
    static let manager = "ipallocator.k8s.io"
    private static let familyLabel = "ipaddress.kubernetes.io/ip-family"

    /// Addresses that a service holds, in their usual form.
    static func addresses(of service: JSON) -> [String] {
        let specification = service["spec"]
        guard specification["type"].stringValue != "ExternalName" else { return [] }
        let all = specification["clusterIPs"].arrayValue.compactMap(\.stringValue)
        return (all.isEmpty ? [specification["clusterIP"].stringValue ?? ""] : all).filter {
            !$0.isEmpty && $0 != "None"
        }
    }

    static func address(_ address: String, of service: JSON) -> JSON {
        [
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": [
                "name": .string(address),
                "labels": .object([
                    managerLabel: .string(manager), familyLabel: address.contains(":") ? "IPv6" : "IPv4",
                ]),
            ],
            "spec": [
                "parentRef": [
                    "group": "", "resource": "services", "namespace": .string(service.namespace),
                    "name": .string(service.name),
                ]
            ],
        ]
    }

    /// Whether an object was made here, and not by somebody who keeps an address for another purpose.
    static func isOwn(_ address: JSON) -> Bool { address.labels[managerLabel].stringValue == manager }

    /// Whether an object names this service as the holder.
    static func isHeld(_ address: JSON, by service: JSON) -> Bool {
        let parent = address["spec"]["parentRef"]
        return parent["resource"].stringValue == "services" && parent["namespace"].stringValue == service.namespace
            && parent["name"].stringValue == service.name
    }

    /// The condition that a range is to have.
    /// - Parameter inUse: whether addresses of it are held that lie in no other range.
    static func ready(_ range: JSON, inUse: Bool) -> JSON {
        let (status, reason, message): (String, String, String) =
            if range.deletionTimestamp != nil && inUse {
                (
                    "False", "Terminating",
                    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
                )
            } else if !isServed(range) {
                (
                    "False", "NotServed",
                    "services have IPv4 addresses alone: a range needs a CIDR of IPv4 with a prefix of 1 to 30 bits"
                )
            } else if range.name == defaultName {
                ("True", "", "Kubernetes default Service CIDR")
            } else {
                ("True", "", "Kubernetes Service CIDR is ready")
            }
        return [
            "type": "Ready", "status": .string(status), "reason": .string(reason), "message": .string(message),
        ]
    }

    /// The range's status with the condition, which keeps its time as long as it stays; nil when it says so already.
    static func status(_ range: JSON, _ condition: JSON, now: Timestamp) -> JSON? {
        var conditions = range["status"]["conditions"].arrayValue
        let index = conditions.firstIndex { $0["type"] == condition["type"] }
        var wanted = condition
        if let index, conditions[index]["status"] == condition["status"] {
            wanted["lastTransitionTime"] = conditions[index]["lastTransitionTime"]
            if conditions[index] == wanted { return nil }
        } else {
            wanted["lastTransitionTime"] = .string(now.formatted(fraction: .none))
        }
        if let index { conditions[index] = wanted } else { conditions.append(wanted) }
        return ["conditions": .array(conditions)]
    }

    /// Whether services can get addresses from a range.
    private static func isServed(_ range: JSON) -> Bool {
        range["spec"]["cidrs"].arrayValue.compactMap(\.stringValue).contains { text in
            let parts = text.split(separator: "/")
            return parts.count == 2 && number(parts[0]) != nil && Int(parts[1]).map { (1...30).contains($0) } == true
        }
    }

    /// Whether an address lies in a range. IPv4 only: there are no services with others.
    static func contains(_ range: JSON, _ address: String) -> Bool {
        guard let number = number(address) else { return false }
        return range["spec"]["cidrs"].arrayValue.compactMap(\.stringValue).contains { text in
            let parts = text.split(separator: "/")
            guard parts.count == 2, let network = self.number(parts[0]), let bits = Int(parts[1]),
                (0...32).contains(bits)
            else { return false }
            return bits == 0 || (network ^ number) >> UInt32(32 - bits) == 0
        }
    }

    private static func number(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 4, !parts.contains(nil) else { return nil }
        return parts.compactMap { $0 }.reduce(0) { $0 << 8 | UInt32($1) }
    }
}
