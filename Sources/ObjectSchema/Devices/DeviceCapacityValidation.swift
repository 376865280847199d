import Objects

/// The rules of a device's capacities, and of how much of one a request may take.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#consumable-capacity.
enum DeviceCapacityValidation {
    private static let mostValues = 10

    static func check(_ device: JSON, _ place: String, _ errors: inout [FieldError]) {
        let isShared = device["allowMultipleAllocations"].boolValue == true
        for (name, capacity) in device["capacity"].objectValue ?? [:] {
            errors += DeviceNames.qualified(name, "\(place).capacity")
            let policy = capacity["requestPolicy"]
            let below = "\(place).capacity[\(DeviceNames.shortened(name))].requestPolicy"
            guard policy.exists else { continue }
            guard isShared else {
                errors.append(.forbidden(below, "allowMultipleAllocations must be true"))
                continue
            }
            guard let most = Quantity.read(capacity["value"]) else { continue }
            check(policy: policy, most, below, &errors)
        }
    }

    private static func check(policy: JSON, _ most: Quantity, _ place: String, _ errors: inout [FieldError]) {
        let (values, range) = (policy["validValues"], policy["validRange"])
        if !values.isEmpty, range.exists {
            errors.append(
                .forbidden(
                    place,
                    #"exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#
                ))
            return
        }
        guard !values.isEmpty || range.exists else { return }
        let field = range.exists ? "validRange" : "validValues"
        guard let usual = Quantity.read(policy["default"]) else {
            errors.append(.required("\(place).default", "required when \(field) is defined"))
            return
        }
        if range.exists {
            check(range: range, usual, most, "\(place).validRange", &errors)
        } else {
            check(values: values, usual, most, "\(place).validValues", &errors)
        }
    }

    private static func check(
        values: JSON, _ usual: Quantity, _ most: Quantity, _ place: String, _ errors: inout [FieldError]
    ) {
        let amounts = values.arrayValue.map { Quantity.read($0) ?? .zero }
        for index in amounts.indices.dropFirst() where amounts[index - 1] > amounts[index] {
            errors.append(
                .invalid("\(place)[\(index)]", values[index], "values must be sorted in ascending order"))
        }
        guard DeviceClaimValidation.isWithin(values, mostValues, place, &errors) else { return }
        for (index, amount) in amounts.enumerated() where amount > most {
            errors.append(
                .invalid("\(place)[\(index)]", values[index], "option is larger than capacity value: \(most)"))
        }
        for (index, amount) in amounts.enumerated() where amounts[..<index].contains(amount) {
            errors.append(.duplicate("\(place)[\(index)]", values[index]))
        }
        if !amounts.contains(usual) {
            errors.append(
                .invalid(place, .string(usual.description), "default value is not valid according to the requestPolicy")
            )
        }
    }

    private static func check(
        range: JSON, _ usual: Quantity, _ most: Quantity, _ place: String, _ errors: inout [FieldError]
    ) {
        guard let least = Quantity.read(range["min"]) else {
            errors.append(.required("\(place).min", "required when validRange is defined"))
            return
        }
        func refuse(_ field: String, _ value: Quantity, _ detail: String) {
            errors.append(.invalid("\(place).\(field)", .string(value.description), detail))
        }
        if least > most { refuse("min", least, "min is larger than capacity value: \(most)") }
        if usual < least { refuse("default", usual, "default is less than min: \(least)") }
        let upper = Quantity.read(range["max"])
        if let upper {
            if least > upper { refuse("max", least, "min is larger than max: \(upper)") }
            if upper > most { refuse("max", upper, "max is larger than capacity value: \(most)") }
            if usual > upper { refuse("default", usual, "default is more than max: \(upper)") }
        }
        guard let step = Quantity.read(range["step"]) else { return }
        guard step > .zero else { return refuse("step", step, "must be greater than zero") }
        let next = Quantity(nanoValue: least.nanoValue + step.nanoValue, format: least.format)
        if next > most { refuse("step", step, "one step \(next) is larger than capacity value: \(most)") }
        let numbers = [("default", usual), ("min", least), ("max", upper), ("step", step)]
        let negative = numbers.filter { $0.1.map { $0 < .zero } ?? false }
        for (field, value) in negative {
            guard let value else { continue }
            refuse(field, value, "must be greater than or equal to 0")
        }
        guard negative.isEmpty else { return }
        for value in [usual, upper].compactMap({ $0 })
        where (value.nanoValue - least.nanoValue) % step.nanoValue != 0 {
            refuse("step", value, "value is not a multiple of a given step (\(step)) from (\(least))")
        }
    }
}
