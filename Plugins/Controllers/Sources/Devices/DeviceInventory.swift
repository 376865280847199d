import CEL
import Objects

/// A device by its driver, its pool and its name.
struct DeviceID: Hashable, Comparable, CustomStringConvertible {
    var driver: String
    var pool: String
    var device: String

    init(driver: String, pool: String, device: String) {
        (self.driver, self.pool, self.device) = (driver, pool, device)
    }

    /// Of a result of an allocation.
    init(_ result: JSON) {
        func text(_ field: String) -> String { result[field].stringValue ?? "" }
        self.init(driver: text("driver"), pool: text("pool"), device: text("device"))
    }

    var description: String { "\(driver)/\(pool)/\(device)" }

    static func < (one: DeviceID, other: DeviceID) -> Bool {
        (one.driver, one.pool, one.device) < (other.driver, other.pool, other.device)
    }
}

/// A device that a driver offers, with what its slice says of where it is.
struct OfferedDevice {
    let id: DeviceID
    let json: JSON
    /// The `spec` of its slice.
    let slice: JSON

    var isShared: Bool { json["allowMultipleAllocations"] == true }
    var hasConditions: Bool { !json["bindingConditions"].isEmpty }

    /// The attribute of a full name; one without a domain is of the driver's.
    func attribute(_ name: String) -> JSON? {
        let attributes = json["attributes"].objectValue ?? [:]
        if let found = attributes[name] { return found }
        guard name.hasPrefix(id.driver + "/") else { return nil }
        return attributes[String(name.dropFirst(id.driver.utf8.count + 1))]
    }

    /// Whether a node reaches the device.
    func isReached(from node: JSON) -> Bool {
        Self.isReached(from: node, slice["perDeviceNodeSelection"] == true ? json : slice)
    }

    fileprivate static func isReached(from node: JSON, _ place: JSON) -> Bool {
        if let name = place["nodeName"].stringValue, !name.isEmpty { return node.name == name }
        if place["allNodes"] == true { return true }
        return NodeSelector.matches(place["nodeSelector"]["nodeSelectorTerms"].arrayValue, node: node)
    }
}

/// The devices of one driver that are described together.
struct DevicePool {
    let driver: String
    let name: String
    /// Not all of its slices are there.
    let isIncomplete: Bool
    /// Its slices contradict each other.
    let isInvalid: Bool
    let devices: [OfferedDevice]
    /// What its devices share: sets of counters by name.
    let counters: [String: [String: Quantity]]

    var label: String { "\(driver)/\(name)" }
    /// Whether its devices can be given away one by one.
    var isUsable: Bool { !isIncomplete && !isInvalid }

    /// - Parameter slices: the newest generation of it, in the order of their names.
    fileprivate init(driver: String, name: String, slices: [JSON]) {
        (self.driver, self.name) = (driver, name)
        let wanted = slices.first?["spec"]["pool"]["resourceSliceCount"].integerValue ?? 0
        isIncomplete = Int64(slices.count) != wanted
        var counters: [String: [String: Quantity]] = [:]
        for set in slices.flatMap({ $0["spec"]["sharedCounters"].arrayValue }) {
            counters[set["name"].stringValue ?? ""] = (set["counters"].objectValue ?? [:]).reduce(into: [:]) {
                $0[$1.key] = Quantity.amount($1.value["value"])
            }
        }
        self.counters = counters
        devices = slices.flatMap { slice in
            slice["spec"]["devices"].arrayValue.map { device in
                OfferedDevice(
                    id: DeviceID(driver: driver, pool: name, device: device["name"].stringValue ?? ""), json: device,
                    slice: slice["spec"])
            }
        }
        let knowsAll = devices.allSatisfy { device in
            device.json["consumesCounters"].arrayValue.allSatisfy { taken in
                guard let set = counters[taken["counterSet"].stringValue ?? ""] else { return false }
                return (taken["counters"].objectValue ?? [:]).allSatisfy { set[$0.key] != nil }
            }
        }
        isInvalid = Set(devices.map(\.id)).count != devices.count || !isIncomplete && !knowsAll
    }
}

extension Quantity {
    /// A quantity of a stored object, which was looked at when it was written; zero for what is none.
    static func amount(_ value: JSON) -> Quantity {
        do { return try Quantity(value) } catch { return .zero }
    }
}

/// All devices that drivers offer, by pools in the order of their names; those with conditions come last.
struct DeviceInventory {
    let pools: [DevicePool]

    /// - Parameter slices: ResourceSlices; of a pool only the newest generation counts.
    init(_ slices: [JSON]) {
        struct Key: Hashable, Comparable {
            var driver: String
            var pool: String
            static func < (one: Key, other: Key) -> Bool { (one.driver, one.pool) < (other.driver, other.pool) }
        }
        let byPool = Dictionary(grouping: slices) { slice in
            Key(
                driver: slice["spec"]["driver"].stringValue ?? "",
                pool: slice["spec"]["pool"]["name"].stringValue ?? "")
        }
        let pools = byPool.sorted { $0.key < $1.key }.map { key, slices in
            func generation(_ slice: JSON) -> Int64 { slice["spec"]["pool"]["generation"].integerValue ?? 0 }
            let newest = slices.map(generation).max() ?? 0
            return DevicePool(
                driver: key.driver, name: key.pool,
                slices: slices.filter { generation($0) == newest }.sorted { $0.name < $1.name })
        }
        func isLate(_ pool: DevicePool) -> Bool { pool.devices.contains(where: \.hasConditions) }
        self.pools = pools.filter { !isLate($0) } + pools.filter(isLate)
    }
}

/// What devices were given to claims.
struct DevicesInUse {
    /// Those that belong to one claim.
    private(set) var devices: Set<DeviceID> = []
    /// What is taken of those that several claims share.
    private(set) var capacities: [DeviceID: [String: Quantity]] = [:]

    /// - Parameter allocations: of claims.
    init(_ allocations: [JSON]) {
        for result in allocations.flatMap({ $0["devices"]["results"].arrayValue }) where result["adminAccess"] != true {
            let id = DeviceID(result)
            guard result["shareID"].exists else {
                devices.insert(id)
                continue
            }
            for (name, amount) in result["consumedCapacity"].objectValue ?? [:] {
                capacities[id, default: [:]][name, default: .zero] += Quantity.amount(amount)
            }
            if capacities[id] == nil { capacities[id] = [:] }
        }
    }

    /// Whether anything of a device is given.
    func isTouched(_ id: DeviceID) -> Bool { devices.contains(id) || capacities[id] != nil }
}
