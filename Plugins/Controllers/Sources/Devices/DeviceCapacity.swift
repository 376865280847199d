import Objects

/// How much of a device's capacities a request takes. Pure.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#consumable-capacity.
enum DeviceCapacity {
    /// What a request takes of each capacity, rounded as the device wants it; nil when the device cannot give that.
    /// - Parameter taken: what others have of it.
    static func consumed(
        by request: JSON, of device: OfferedDevice, taken: [String: Quantity]
    ) -> [String: Quantity]? {
        let capacities = device.json["capacity"].objectValue ?? [:]
        var wanted: [String: Quantity] = [:]
        for (name, amount) in request["capacity"]["requests"].objectValue ?? [:] {
            guard let known = spelling(of: name, driver: device.id.driver, { capacities[$0] != nil }) else {
                return nil
            }
            wanted[known] = Quantity.amount(amount)
        }
        var consumed: [String: Quantity] = [:]
        for (name, capacity) in capacities {
            let (value, policy) = (Quantity.amount(capacity["value"]), capacity["requestPolicy"])
            guard let amount = amount(wanted[name], of: value, policy) else { return nil }
            guard (taken[name] ?? .zero) + amount <= value else { return nil }
            consumed[name] = amount
        }
        return consumed
    }

    /// A name as the device has it: with its driver's domain or without.
    private static func spelling(of name: String, driver: String, _ isKnown: (String) -> Bool) -> String? {
        if isKnown(name) { return name }
        let other = name.hasPrefix(driver + "/") ? String(name.dropFirst(driver.utf8.count + 1)) : "\(driver)/\(name)"
        return isKnown(other) ? other : nil
    }

    /// The amount that is given for what is wanted; nil when the policy has none.
    private static func amount(_ wanted: Quantity?, of value: Quantity, _ policy: JSON) -> Quantity? {
        guard let wanted else { return policy["default"].exists ? Quantity.amount(policy["default"]) : value }
        if policy["validRange"]["min"].exists { return rounded(wanted, policy["validRange"]) }
        guard !policy["validValues"].isEmpty else { return wanted }
        return policy["validValues"].arrayValue.map(Quantity.amount).first { $0 >= wanted }
    }

    private static func rounded(_ wanted: Quantity, _ range: JSON) -> Quantity? {
        let least = Quantity.amount(range["min"])
        var amount = max(wanted, least)
        if range["step"].exists {
            let step = Quantity.amount(range["step"])
            guard step > .zero else { return nil }
            let over = (amount.nanoValue - least.nanoValue) % step.nanoValue
            if over != 0 {
                amount = Quantity(nanoValue: amount.nanoValue - over + step.nanoValue, format: amount.format)
            }
        }
        return range["max"].exists && amount > Quantity.amount(range["max"]) ? nil : amount
    }
}
