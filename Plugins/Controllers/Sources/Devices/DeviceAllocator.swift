import Objects

/// Finds devices on a node for all claims of a pod together: tries every combination in turn and takes the first that does.
///
/// Made for one pod, asked for one node after the other.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/.
struct DeviceAllocator {
    /// The most devices of one claim.
    static let mostDevices = 32
    /// Steps after which a search for one node gives up: claims that can be met are met far sooner.
    private static let mostSteps = 50_000

    let claims: [JSON]
    let inventory: DeviceInventory
    let used: DevicesInUse
    let selection: DeviceSelection
    /// Makes the name of a share.
    var makeShare: () -> String
    /// The class of this name.
    let deviceClass: (String) -> JSON?

    /// The allocations on a node, one per claim; nil when the node does not have what is asked for.
    /// - Throws: what is wrong with a claim or a class.
    func allocations(on node: JSON) throws(DeviceProblem) -> [JSON]? {
        let pools = inventory.pools.map { pool in
            (pool, pool.devices.filter { $0.isReached(from: node) })
        }.filter { !$0.1.isEmpty }
        var search = DeviceSearch(
            pools: pools, used: used, selection: selection, makeShare: makeShare, steps: Self.mostSteps)
        for claim in claims { try search.add(claim, requests: requests(of: claim, pools)) }
        guard try search.run() else { return nil }
        return zip(claims, search.results).map { claim, given in
            DeviceAllocation.make(claim, given: given, node: node)
        }
    }

    /// The requests of a claim, each with its alternatives in order.
    private func requests(
        of claim: JSON, _ pools: [(DevicePool, [OfferedDevice])]
    ) throws(DeviceProblem) -> [[DeviceRequest]] {
        var all: [[DeviceRequest]] = []
        for request in claim["spec"]["devices"]["requests"].arrayValue {
            let name = request["name"].stringValue ?? ""
            var ways: [DeviceRequest] = []
            if request["exactly"].exists {
                ways.append(try self.request(name, base: name, request["exactly"], claim, pools))
            }
            for way in request["firstAvailable"].arrayValue {
                ways.append(
                    try self.request("\(name)/\(way["name"].stringValue ?? "")", base: name, way, claim, pools))
            }
            all.append(ways)
        }
        return all
    }

    private func request(
        _ name: String, base: String, _ wish: JSON, _ claim: JSON, _ pools: [(DevicePool, [OfferedDevice])]
    ) throws(DeviceProblem) -> DeviceRequest {
        let className = wish["deviceClassName"].stringValue ?? ""
        guard let found = deviceClass(className) else {
            throw DeviceProblem("request \(name): device class \(className) does not exist")
        }
        guard wish["allocationMode"] == "All" else {
            return DeviceRequest(name: name, base: base, wish: wish, deviceClass: found, all: nil)
        }
        let label =
            "claim \(objectKey(claim)), request \(wish["name"].stringValue ?? name): asks for all devices, but resource pool"
        var devices: [OfferedDevice] = []
        for (pool, reached) in pools {
            if pool.isIncomplete { throw DeviceProblem("\(label) \(pool.label) is currently being updated") }
            if pool.isInvalid { throw DeviceProblem("\(label) \(pool.label) is currently invalid") }
            for device in reached
            where try selection.selects(device, wish, found, claim)
                && DeviceCapacity.consumed(by: wish, of: device, taken: used.capacities[device.id] ?? [:]) != nil
            {
                devices.append(device)
            }
        }
        return DeviceRequest(name: name, base: base, wish: wish, deviceClass: found, all: devices)
    }
}

extension DeviceSelection {
    /// Whether a class and a request both select a device.
    func selects(
        _ device: OfferedDevice, _ wish: JSON, _ deviceClass: JSON, _ claim: JSON
    ) throws(DeviceProblem) -> Bool {
        guard try matches(device, deviceClass["spec"]["selectors"], of: "class \(deviceClass.name)") else {
            return false
        }
        return try matches(device, wish["selectors"], of: "claim \(objectKey(claim))")
    }
}
