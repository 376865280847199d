import Objects

/// The search for devices on one node, in the order in which claims, requests and devices come. A device that turns out to be of no
/// use later is given back, and the next is tried.
struct DeviceSearch {
    private struct ClaimWish {
        var json: JSON
        var requests: [[DeviceRequest]]
        var constraints: [DeviceConstraint]
    }

    /// What is to be found next.
    private struct Place {
        var claim = 0
        var request = 0
        /// The alternative that is tried; nil before one is.
        var way: Int?
        /// How many devices of the request are found.
        var found = 0
        /// Where among the devices to go on: no combination comes twice.
        var start = 0
    }

    /// Why a part of the search ends.
    private enum Outcome { case found, nothing, tooMany }

    private let devices: [(pool: DevicePool, device: OfferedDevice)]
    private let used: DevicesInUse
    private let selection: DeviceSelection
    private let makeShare: () -> String
    private var steps: Int
    private var claims: [ClaimWish] = []
    /// What is given so far, by claim.
    private(set) var results: [[GivenDevice]] = []
    /// Which of the claims have a device; one that is shared is not among them.
    private var holders: [DeviceID: Set<Int>] = [:]
    private var capacities: [DeviceID: [String: Quantity]] = [:]
    private var counters: [String: [String: [String: Quantity]]] = [:]
    private var selected: [String: Bool] = [:]

    init(
        pools: [(DevicePool, [OfferedDevice])], used: DevicesInUse, selection: DeviceSelection,
        makeShare: @escaping () -> String, steps: Int
    ) {
        devices = pools.filter { $0.0.isUsable }.flatMap { pool, devices in devices.map { (pool, $0) } }
        (self.used, self.selection, self.makeShare, self.steps) = (used, selection, makeShare, steps)
        for (pool, _) in pools where !pool.counters.isEmpty {
            var left = pool.counters
            for device in pool.devices where used.isTouched(device.id) { Self.take(device, of: &left) }
            counters[pool.label] = left
        }
    }

    mutating func add(_ claim: JSON, requests: [[DeviceRequest]]) {
        claims.append(
            ClaimWish(
                json: claim, requests: requests,
                constraints: claim["spec"]["devices"]["constraints"].arrayValue.map { DeviceConstraint($0) }))
        results.append([])
    }

    /// Whether all claims can have what they ask for; then `results` has it.
    mutating func run() throws(DeviceProblem) -> Bool { try next(Place()) == .found }

    // MARK: - Steps

    private mutating func next(_ place: Place) throws(DeviceProblem) -> Outcome {
        steps -= 1
        guard steps > 0 else { return .nothing }
        guard place.claim < claims.count else { return .found }
        guard place.request < claims[place.claim].requests.count else {
            let rest = try next(Place(claim: place.claim + 1))
            // Another way for an earlier claim may leave room for this one.
            return rest == .tooMany ? .nothing : rest
        }
        let ways = claims[place.claim].requests[place.request]
        guard let way = place.way else { return try anyWay(ways.count, place) }
        let request = ways[way]
        if request.all?.isEmpty == true { return .nothing }
        if place.found >= request.count { return try next(Place(claim: place.claim, request: place.request + 1)) }
        if results[place.claim].count + request.count - place.found > DeviceAllocator.mostDevices { return .tooMany }
        if let all = request.all { return try oneOfAll(all[place.found], request, place) }
        return try oneOfMany(request, place)
    }

    /// Tries the alternatives in order.
    private mutating func anyWay(_ count: Int, _ place: Place) throws(DeviceProblem) -> Outcome {
        var isTooMany = true
        for way in 0..<count {
            var place = place
            place.way = way
            switch try next(place) {
            case .found: return .found
            case .nothing: isTooMany = false
            case .tooMany: break
            }
        }
        return isTooMany ? .tooMany : .nothing
    }

    private mutating func oneOfAll(
        _ device: OfferedDevice, _ request: DeviceRequest, _ place: Place
    ) throws(DeviceProblem) -> Outcome {
        guard let pool = devices.first(where: { $0.device.id == device.id })?.pool,
            give(device, of: pool, request, place.claim)
        else { return .nothing }
        var next = place
        next.found += 1
        let outcome = try self.next(next)
        if outcome != .found { takeBack(of: pool, place.claim) }
        return outcome
    }

    private mutating func oneOfMany(_ request: DeviceRequest, _ place: Place) throws(DeviceProblem) -> Outcome {
        for index in place.start..<max(place.start, devices.count) {
            let (pool, device) = devices[index]
            guard try isSelected(device, request, place), give(device, of: pool, request, place.claim) else { continue }
            var next = place
            next.found += 1
            next.start = index + 1
            let outcome = try self.next(next)
            if outcome == .found { return .found }
            takeBack(of: pool, place.claim)
            if outcome == .tooMany { return .tooMany }
        }
        return .nothing
    }

    /// Selectors say the same of a device however often it is tried.
    private mutating func isSelected(
        _ device: OfferedDevice, _ request: DeviceRequest, _ place: Place
    ) throws(DeviceProblem) -> Bool {
        let key = "\(place.claim) \(request.name) \(device.id)"
        if let known = selected[key] { return known }
        let answer = try selection.selects(
            device, request.wish, request.deviceClass, claims[place.claim].json)
        selected[key] = answer
        return answer
    }

    // MARK: - Giving

    /// Gives a device to a claim if it is free, bearable, and right beside those that the claim has.
    private mutating func give(
        _ device: OfferedDevice, of pool: DevicePool, _ request: DeviceRequest, _ claim: Int
    ) -> Bool {
        let (id, isShared) = (device.id, device.isShared)
        if request.isForAdministration {
            if holders[id]?.contains(claim) == true { return false }
        } else if used.devices.contains(id) || holders[id]?.isEmpty == false {
            return false
        }
        guard request.tolerates(device) else { return false }
        let taken = (used.capacities[id] ?? [:]).merging(capacities[id] ?? [:], uniquingKeysWith: +)
        guard
            let consumed = DeviceCapacity.consumed(
                by: request.wish, of: device, taken: isShared ? taken : [:])
        else { return false }
        // Who shares a device of which something is given already shares its counters.
        let isCounted = !(isShared && (used.capacities[id] != nil || capacities[id] != nil))
        if isCounted, !canTake(device, of: pool) { return false }
        guard constrain(device, request, claim) else { return false }
        if isCounted, var left = counters[pool.label] {
            Self.take(device, of: &left)
            counters[pool.label] = left
        }
        var given = GivenDevice(device: device, request: request)
        if isShared {
            given.share = makeShare()
            given.consumed = consumed
            capacities[id, default: [:]].merge(consumed, uniquingKeysWith: +)
        } else {
            holders[id, default: []].insert(claim)
        }
        results[claim].append(given)
        return true
    }

    private mutating func takeBack(of pool: DevicePool, _ claim: Int) {
        guard let given = results[claim].popLast() else { return }
        let id = given.device.id
        for index in claims[claim].constraints.indices {
            claims[claim].constraints[index].removeLast(for: given.request)
        }
        var isCounted = true
        if given.share == nil {
            holders[id]?.remove(claim)
        } else {
            let others = results.joined().contains { $0.device.id == id }
            isCounted = !others && used.capacities[id] == nil
            for (name, amount) in given.consumed { capacities[id]?[name]? -= amount }
            if !others { capacities[id] = nil }
        }
        if isCounted, var left = counters[pool.label] {
            Self.take(given.device, of: &left, isReturn: true)
            counters[pool.label] = left
        }
    }

    /// Whether all constraints of the claim bear the device; then it counts with each.
    private mutating func constrain(_ device: OfferedDevice, _ request: DeviceRequest, _ claim: Int) -> Bool {
        for index in claims[claim].constraints.indices {
            if claims[claim].constraints[index].add(device, for: request) { continue }
            for earlier in 0..<index { claims[claim].constraints[earlier].removeLast(for: request) }
            return false
        }
        return true
    }

    // MARK: - Counters

    private func canTake(_ device: OfferedDevice, of pool: DevicePool) -> Bool {
        guard !device.json["consumesCounters"].isEmpty else { return true }
        guard var left = counters[pool.label] else { return false }
        Self.take(device, of: &left)
        return left.values.allSatisfy { $0.values.allSatisfy { $0 >= .zero } }
    }

    private static func take(
        _ device: OfferedDevice, of left: inout [String: [String: Quantity]], isReturn: Bool = false
    ) {
        for taken in device.json["consumesCounters"].arrayValue {
            for (name, counter) in taken["counters"].objectValue ?? [:] {
                let amount = Quantity.amount(counter["value"])
                left[taken["counterSet"].stringValue ?? ""]?[name]? += isReturn ? amount : -amount
            }
        }
    }
}
