/// A call of a function whose form the checker has determined.
struct UnaryStep: Step {
    let argument: any Step
    let body: Overload.Unary
    let cost: CallCost

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        let value = try argument.evaluate(frame)
        let result = try body(value)
        try frame.charge(cost.fixed ?? cost.units([value], result))
        return result
    }
}

struct BinaryStep: Step {
    let left: any Step
    let right: any Step
    let body: Overload.Binary
    let cost: CallCost

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        let left = try self.left.evaluate(frame)
        let right = try self.right.evaluate(frame)
        // The check in front of the work keeps what is expensive within the limit.
        try frame.charge(cost.fixed ?? cost.units(beforeCall: left, right))
        let result = try body(left, right)
        if cost.dependsOnResult { try frame.charge(cost.units([left, right], result)) }
        return result
    }
}

struct VariadicStep: Step {
    let arguments: [any Step]
    let body: Overload.Variadic
    let cost: CallCost

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        var values: [CELValue] = []
        values.reserveCapacity(arguments.count)
        for argument in arguments { values.append(try argument.evaluate(frame)) }
        let result = try body(values)
        try frame.charge(cost.fixed ?? cost.units(values, result))
        return result
    }
}

/// A call whose form the values' types decide.
struct DispatchStep: Step {
    let function: String
    let arguments: [any Step]
    let forms: [Overload]

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        if arguments.count == 2 { return try evaluateBinary(frame) }
        var values: [CELValue] = []
        values.reserveCapacity(arguments.count)
        for argument in arguments { values.append(try argument.evaluate(frame)) }
        for form in forms where zip(values, form.parameters).allSatisfy({ $0.fits($1) }) {
            let result = try form.call(values)
            try frame.charge(form.cost.fixed ?? form.cost.units(values, result))
            return result
        }
        throw noSuchForm(values)
    }

    /// Operators, of which there are many, without lists of their values.
    private func evaluateBinary(_ frame: Frame) throws(CELError) -> CELValue {
        let left = try arguments[0].evaluate(frame)
        let right = try arguments[1].evaluate(frame)
        for form in forms where left.fits(form.parameters[0]) && right.fits(form.parameters[1]) {
            guard case .binary(let body) = form.body else {
                let result = try form.call([left, right])
                try frame.charge(form.cost.fixed ?? form.cost.units([left, right], result))
                return result
            }
            let result = try body(left, right)
            try frame.charge(form.cost.fixed ?? form.cost.units([left, right], result))
            return result
        }
        throw noSuchForm([left, right])
    }

    private func noSuchForm(_ values: [CELValue]) -> CELError {
        let types = values.map(\.type.runtimeName).joined(separator: ", ")
        return CELError("no such overload: \(function)(\(types))")
    }
}

extension Overload {
    func call(_ values: [CELValue]) throws(CELError) -> CELValue {
        switch body {
        case .unary(let body): try body(values[0])
        case .binary(let body): try body(values[0], values[1])
        case .variadic(let body): try body(values)
        }
    }
}

extension CELValue {
    /// Whether the value may stand for a parameter, as far as that is seen without looking into it.
    func fits(_ parameter: CELType) -> Bool {
        switch (self, parameter) {
        case (_, .dyn), (_, .parameter), (.null, .null), (.bool, .bool), (.int, .int), (.uint, .uint),
            (.double, .double), (.string, .string), (.bytes, .bytes), (.timestamp, .timestamp), (.duration, .duration),
            (.map, .map), (.optional, .optional), (.type, .type):
            return true
        case (.list(let list), .list(let element)):
            // Forms of list functions differ by their elements, which have one type.
            guard list.count > 0, let first = try? list.element(0) else { return true }
            return first.fits(element)
        case (.opaque(let value), .opaque(let name)): return value.typeName == name
        case (.map(.lazy(let object)), .opaque(let name)): return object.typeName == name
        default: return false
        }
    }
}
