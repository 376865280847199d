import Objects

/// One thing that a claim asks for, or one of the alternatives to it.
struct DeviceRequest {
    /// "request", or "request/alternative".
    let name: String
    /// The name of the request itself.
    let base: String
    /// The request's own part: an `ExactDeviceRequest` or a `DeviceSubRequest`.
    let wish: JSON
    let deviceClass: JSON
    /// The devices that are asked for with all there are; nil where a number is asked for.
    let all: [OfferedDevice]?

    var count: Int { all.map(\.count) ?? Int(clamping: wish["count"].integerValue ?? 1) }
    var isForAdministration: Bool { wish["adminAccess"] == true }

    /// Whether a part of the claim that names requests means this one; without names it means all.
    func isMeant(by names: JSON) -> Bool {
        names.isEmpty || names.arrayValue.contains { $0.stringValue == base || $0.stringValue == name }
    }

    /// Whether the request bears what a device has against being used.
    func tolerates(_ device: OfferedDevice) -> Bool {
        device.json["taints"].arrayValue.allSatisfy { taint in
            ["NoSchedule", "NoExecute"].contains(taint["effect"].stringValue ?? "") == false
                || Self.isTolerated(taint, by: wish["tolerations"])
        }
    }

    static func isTolerated(_ taint: JSON, by tolerations: JSON) -> Bool {
        tolerations.arrayValue.contains { toleration in
            let (key, effect) = (toleration["key"], toleration["effect"])
            guard key.isEmpty || key == taint["key"], effect.isEmpty || effect == taint["effect"] else { return false }
            if toleration["operator"] == "Exists" { return true }
            return (toleration["value"].stringValue ?? "") == (taint["value"].stringValue ?? "")
        }
    }
}

/// A device that is given for a request.
struct GivenDevice {
    let device: OfferedDevice
    let request: DeviceRequest
    /// Of a device that several claims share.
    var share: String?
    var consumed: [String: Quantity] = [:]

    /// As the status of a claim has it.
    var json: JSON {
        var result: JSON = [
            "request": .string(request.name), "driver": .string(device.id.driver), "pool": .string(device.id.pool),
            "device": .string(device.id.device),
        ]
        if request.isForAdministration { result["adminAccess"] = true }
        if !request.wish["tolerations"].isEmpty { result["tolerations"] = request.wish["tolerations"] }
        if let share { result["shareID"] = .string(share) }
        for (name, amount) in consumed { result["consumedCapacity"][name] = .string(amount.description) }
        for field in ["bindingConditions", "bindingFailureConditions"] where !device.json[field].isEmpty {
            result[field] = device.json[field]
        }
        return result
    }
}

/// What devices of a claim must have in common, or must not.
struct DeviceConstraint {
    private let requests: JSON
    private let attribute: String
    private let isDistinct: Bool
    private var values: [JSON] = []

    init(_ constraint: JSON) {
        requests = constraint["requests"]
        isDistinct = constraint["matchAttribute"].stringValue == nil
        attribute = constraint[isDistinct ? "distinctAttribute" : "matchAttribute"].stringValue ?? ""
    }

    /// Whether the device may come to the others; when it may, it counts.
    mutating func add(_ device: OfferedDevice, for request: DeviceRequest) -> Bool {
        guard request.isMeant(by: requests) else { return true }
        guard let value = device.attribute(attribute) else { return false }
        if isDistinct ? values.contains(value) : values.first.map({ $0 != value }) ?? false { return false }
        values.append(value)
        return true
    }

    /// Takes back the last that was added.
    mutating func removeLast(for request: DeviceRequest) { if request.isMeant(by: requests) { values.removeLast() } }
}
