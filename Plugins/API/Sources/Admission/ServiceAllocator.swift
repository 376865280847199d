import Objects
import PluginKit

/// Gives services their cluster addresses and node ports. What is taken stands in the store under a key of its own, which
/// is written in the same transaction as the service: no address is ever given twice, and none is lost by a crash.
final class ServiceAllocator: Sendable {
    /// Node ports, as Kubernetes has them by default.
    static let nodePorts: ClosedRange<Int64> = 30000...32767
    private static let addressPrefix = "allocations.hostd.dev/clusterips/"
    private static let portPrefix = "allocations.hostd.dev/nodeports/"

    private let store: StoreClient
    let ranges: ServiceRanges

    init(store: StoreClient, ranges: ServiceRanges) {
        self.store = store
        self.ranges = ranges
    }

    func allocate(_ service: inout JSON, _ resource: Resource) throws(APIStatus) -> [AllocationStep] {
        Self.setFamilies(&service)
        var steps: [AllocationStep] = []
        if let step = try address(&service, resource) { steps.append(step) }
        try ports(&service, kept: [], resource, &steps)
        try healthPort(&service, kept: [], resource, &steps)
        return steps
    }

    /// The steps for a service that replaces another: what stays is kept, what is new is taken, the rest is released.
    func reallocate(_ service: inout JSON, _ present: JSON, _ resource: Resource) throws(APIStatus) -> [AllocationStep]
    {
        let type = service["spec"]["type"].stringValue ?? "ClusterIP"
        Self.dropFieldsOfFormerType(&service, present, type)
        if type != "ExternalName", present["spec"]["type"].stringValue != "ExternalName" {
            for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]
            where service["spec"][key].isEmpty && present["spec"][key].exists {
                service["spec"][key] = present["spec"][key]
            }
        }
        Self.keepPorts(&service, present, type)
        Self.keepHealthPort(&service, present)
        var steps: [AllocationStep] = []
        let before = Set(releases(present).map(\.key))
        if present["spec"]["clusterIP"] != service["spec"]["clusterIP"] || service["spec"]["clusterIP"].isNull {
            Self.setFamilies(&service)
            if let step = try address(&service, resource) { steps.append(step) }
        }
        let kept = Self.nodePortKeys(present)
        try ports(&service, kept: kept, resource, &steps)
        try healthPort(&service, kept: kept, resource, &steps)
        let after = Set(releases(service).map(\.key))
        for key in before.subtracting(after).sorted() { steps.append(Self.release(key)) }
        return steps.filter { step in
            if case .release = step.action { return true }
            return !before.contains(step.key)
        }
    }

    /// What a type brings along goes with it when a client changes the type and leaves that as it was.
    private static func dropFieldsOfFormerType(_ service: inout JSON, _ present: JSON, _ type: String) {
        let former = present["spec"]["type"].stringValue ?? "ClusterIP"
        func drop(_ keys: String...) {
            guard keys.allSatisfy({ service["spec"][$0] == present["spec"][$0] }) else { return }
            for key in keys { service["spec"].removeValue(forKey: key) }
        }
        if type == "ExternalName", former != type {
            drop("clusterIP", "clusterIPs")
            drop("ipFamilies")
            drop("ipFamilyPolicy")
        }
        let reachable: Set = ["NodePort", "LoadBalancer"]
        if reachable.contains(former), !reachable.contains(type), service["spec"]["externalIPs"].isEmpty {
            drop("externalTrafficPolicy")
        }
        if former == "LoadBalancer", type != former {
            drop("allocateLoadBalancerNodePorts")
            drop("loadBalancerClass")
        }
    }

    /// Ports that a client leaves open keep the node port that they have; a type without such ports loses those that it had.
    private static func keepPorts(_ service: inout JSON, _ present: JSON, _ type: String) {
        let old = present["spec"]["ports"].arrayValue
        let needsPorts = type == "NodePort" || type == "LoadBalancer"
        // Others than it had are somebody's wish, and refused.
        let areSame = Set(old.map { $0["nodePort"] }) == Set(service["spec"]["ports"].arrayValue.map { $0["nodePort"] })
        service["spec"]["ports"].updateElements { (_, port: inout JSON) throws(Never) in
            guard needsPorts else {
                if areSame { port.removeValue(forKey: "nodePort") }
                return
            }
            guard port["nodePort"].integerValue ?? 0 == 0 else { return }
            let same = old.first {
                $0["port"] == port["port"]
                    && ($0["protocol"].stringValue ?? "TCP") == (port["protocol"].stringValue ?? "TCP")
            }
            if let same, same["nodePort"].exists { port["nodePort"] = same["nodePort"] }
        }
    }

    /// Balancers ask for a node's health at one port for as long as they do.
    private static func keepHealthPort(_ service: inout JSON, _ present: JSON) {
        let port = present["spec"]["healthCheckNodePort"]
        guard hasHealthCheck(present), port.exists else { return }
        if hasHealthCheck(service) {
            if service["spec"]["healthCheckNodePort"].integerValue ?? 0 == 0 {
                service["spec"]["healthCheckNodePort"] = port
            }
        } else if service["spec"]["healthCheckNodePort"] == port {
            service["spec"].removeValue(forKey: "healthCheckNodePort")
        }
    }

    private static func hasHealthCheck(_ service: JSON) -> Bool {
        service["spec"]["type"] == "LoadBalancer" && service["spec"]["externalTrafficPolicy"] == "Local"
    }

    /// What a service gives back. An address of a range that is no longer there was taken from it all the same.
    func releases(_ service: JSON) -> [AllocationStep] {
        var keys = Self.nodePortKeys(service).sorted()
        if let address = service["spec"]["clusterIP"].stringValue, AddressRange.number(address) != nil {
            keys.append(Self.addressPrefix + address)
        }
        return keys.map(Self.release)
    }

    private static func nodePortKeys(_ service: JSON) -> Set<String> {
        var keys = Set(
            service["spec"]["ports"].arrayValue.compactMap { port -> String? in
                guard let number = port["nodePort"].integerValue, number > 0 else { return nil }
                return portKey(port, number)
            })
        if let number = service["spec"]["healthCheckNodePort"].integerValue, number > 0 {
            keys.insert(portKey(.null, number))
        }
        return keys
    }

    private static func portKey(_ port: JSON, _ number: Int64) -> String {
        "\(portPrefix)\(port["protocol"].stringValue ?? "TCP")-\(number)"
    }

    private static func release(_ key: String) -> AllocationStep {
        AllocationStep(action: .release, key: key, holder: "", isFixed: true, field: "", value: .null, problem: "")
    }

    /// Forgets what was chosen, keeps what was asked for, and chooses again.
    func chooseAgain(
        _ service: inout JSON, _ resource: Resource, _ steps: [AllocationStep]
    ) throws(APIStatus) -> [AllocationStep] {
        let chosen = Set(steps.filter { !$0.isFixed }.map(\.key))
        if let address = service["spec"]["clusterIP"].stringValue, chosen.contains(Self.addressPrefix + address) {
            service["spec"].removeValue(forKey: "clusterIP")
            service["spec"].removeValue(forKey: "clusterIPs")
        }
        if let number = service["spec"]["healthCheckNodePort"].integerValue,
            chosen.contains(Self.portKey(.null, number))
        {
            service["spec"].removeValue(forKey: "healthCheckNodePort")
        }
        service["spec"]["ports"].updateElements { (_, port: inout JSON) throws(Never) in
            if let number = port["nodePort"].integerValue, chosen.contains(Self.portKey(port, number)) {
                port.removeValue(forKey: "nodePort")
            }
        }
        return try allocate(&service, resource)
    }

    private static func setFamilies(_ service: inout JSON) {
        guard service["spec"]["type"].stringValue != "ExternalName" else { return }
        if service["spec"]["ipFamilies"].isNull { service["spec"]["ipFamilies"] = ["IPv4"] }
        if service["spec"]["ipFamilyPolicy"].isNull { service["spec"]["ipFamilyPolicy"] = "SingleStack" }
    }

    // MARK: - Addresses

    private func address(_ service: inout JSON, _ resource: Resource) throws(APIStatus) -> AllocationStep? {
        guard service["spec"]["type"].stringValue != "ExternalName" else { return nil }
        if service["spec"]["clusterIP"].isNull, let first = service["spec"]["clusterIPs"][0].stringValue {
            service["spec"]["clusterIP"] = .string(first)
        }
        let asked = service["spec"]["clusterIP"].stringValue ?? ""
        if asked == "None" {
            service["spec"]["clusterIPs"] = ["None"]
            return nil
        }
        let open = ranges.open
        let address = asked.isEmpty ? try choose(from: open) : asked
        func refusal(_ problem: String) -> APIStatus {
            .invalid(
                resource, service.name,
                [.invalid("spec.clusterIPs", [.string(address)], "failed to allocate IP \(address): \(problem)")])
        }
        guard open.contains(where: { $0.contains(address) }) else {
            let ranges = open.map { "\(AddressRange.text($0.base))/\($0.bits)" }.joined(separator: ", ")
            throw refusal(
                "the provided IP is not in the valid range. The range of valid IPs is \(ranges.isEmpty ? "none" : ranges)"
            )
        }
        if !asked.isEmpty, try isReserved(address) { throw refusal("provided IP is already allocated") }
        service["spec"]["clusterIP"] = .string(address)
        service["spec"]["clusterIPs"] = [.string(address)]
        return AllocationStep(
            action: .take, key: Self.addressPrefix + address, holder: service.namespacedName, isFixed: !asked.isEmpty,
            field: "spec.clusterIPs", value: [.string(address)],
            problem: "failed to allocate IP \(address): provided IP is already allocated")
    }

    /// A free address of the first range that has one: by chance from its upper part, which is not for fixed addresses, then
    /// in order.
    private func choose(from ranges: [AddressRange]) throws(APIStatus) -> String {
        for range in ranges {
            let reserved = min(max(16, range.size / 16), 256)
            for _ in 0..<64 where range.size > reserved + 1 {
                let candidate = range.address(.random(in: (reserved + 1)..<range.size))
                if try isFree(address: candidate) { return candidate }
            }
            for offset in 1..<range.size {
                let candidate = range.address(offset)
                if try isFree(address: candidate) { return candidate }
            }
        }
        throw .internalError("failed to allocate a serviceIP: range is full")
    }

    private func isFree(address: String) throws(APIStatus) -> Bool {
        guard try isFree(Self.addressPrefix + address) else { return false }
        return try !isReserved(address)
    }

    /// Whether somebody keeps an address for another purpose, by an IPAddress that is not made after services.
    private func isReserved(_ address: String) throws(APIStatus) -> Bool {
        let object: JSON?
        do {
            object = try store.get("ipaddresses.networking.k8s.io//\(address)")?.object()
        } catch { throw .unavailable("\(error)") }
        guard let object else { return false }
        return object.labels["ipaddress.kubernetes.io/managed-by"] != "ipallocator.k8s.io"
    }

    private func isFree(_ key: String) throws(APIStatus) -> Bool {
        do { return try store.get(key) == nil } catch { throw .unavailable(error.message) }
    }

    // MARK: - Ports

    private func ports(
        _ service: inout JSON, kept: Set<String>, _ resource: Resource, _ steps: inout [AllocationStep]
    ) throws(APIStatus) {
        let type = service["spec"]["type"].stringValue ?? "ClusterIP"
        guard type == "NodePort" || type == "LoadBalancer" else { return }
        let choosesPorts = type == "NodePort" || service["spec"]["allocateLoadBalancerNodePorts"].boolValue != false
        var ports = service["spec"]["ports"].arrayValue
        var taken = Set(steps.map(\.key))
        for index in ports.indices {
            let asked = ports[index]["nodePort"].integerValue ?? 0
            if asked == 0, !choosesPorts { continue }
            if asked != 0, kept.contains(Self.portKey(ports[index], asked)) { continue }
            let number = asked == 0 ? try choosePort(ports[index], beside: ports, taken) : asked
            try check(number, "spec.ports[\(index)].nodePort", resource, service)
            ports[index]["nodePort"] = .integer(number)
            let key = Self.portKey(ports[index], number)
            guard taken.insert(key).inserted else { continue }
            steps.append(
                AllocationStep(
                    action: .take, key: key, holder: service.namespacedName, isFixed: asked != 0,
                    field: "spec.ports[\(index)].nodePort", value: .integer(number),
                    problem: "provided port is already allocated"))
        }
        service["spec"]["ports"] = .array(ports)
    }

    private func check(
        _ number: Int64, _ field: String, _ resource: Resource, _ service: JSON
    ) throws(APIStatus) {
        guard !Self.nodePorts.contains(number) else { return }
        throw .invalid(
            resource, service.name,
            [
                .invalid(
                    field, .integer(number),
                    "provided port is not in the valid range. The range of valid ports is 30000-32767")
            ])
    }

    /// The port at which a balancer asks whether this node has endpoints of the service.
    private func healthPort(
        _ service: inout JSON, kept: Set<String>, _ resource: Resource, _ steps: inout [AllocationStep]
    ) throws(APIStatus) {
        guard Self.hasHealthCheck(service) else { return }
        let field = "spec.healthCheckNodePort"
        let asked = service["spec"]["healthCheckNodePort"].integerValue ?? 0
        if asked != 0, kept.contains(Self.portKey(.null, asked)) { return }
        let number = asked == 0 ? try choosePort(.null, Set(steps.map(\.key)).union(kept)) : asked
        try check(number, field, resource, service)
        service["spec"]["healthCheckNodePort"] = .integer(number)
        steps.append(
            AllocationStep(
                action: .take, key: Self.portKey(.null, number), holder: service.namespacedName, isFixed: asked != 0,
                field: field, value: .integer(number), problem: "provided port is already allocated"))
    }

    /// The node port of a port with the same number and another protocol, where it is free for this one as well; else any.
    private func choosePort(_ port: JSON, beside ports: [JSON], _ taken: Set<String>) throws(APIStatus) -> Int64 {
        for other in ports where other["port"] == port["port"] {
            guard let number = other["nodePort"].integerValue, number > 0 else { continue }
            let key = Self.portKey(port, number)
            if !taken.contains(key), try isFree(key) { return number }
        }
        return try choosePort(port, taken)
    }

    private func choosePort(_ port: JSON, _ taken: Set<String>) throws(APIStatus) -> Int64 {
        let start = Int64.random(in: Self.nodePorts)
        let count = Int64(Self.nodePorts.count)
        for step in 0..<count {
            let number = Self.nodePorts.lowerBound + (start - Self.nodePorts.lowerBound + step) % count
            let key = Self.portKey(port, number)
            if !taken.contains(key), try isFree(key) { return number }
        }
        throw .internalError("failed to allocate a nodePort: range is full")
    }
}
