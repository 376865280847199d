/// The loop that macros are made of.
struct LoopStep: Step {
    let range: any Step
    let variable: Int
    let secondVariable: Int?
    let accumulator: Int
    let initial: any Step
    let condition: any Step
    let step: any Step
    let result: any Step
    /// Where the accumulated value is an `&&` or `||` that may end as an error, which later turns may absorb.
    let absorbsErrors: Bool

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        let range = try self.range.evaluate(frame)
        var failure: CELError?
        frame.slots[accumulator] = try initial.evaluate(frame)
        let iteration = try Iteration(range, hasSecond: secondVariable != nil)
        for turn in 0..<iteration.count {
            if failure == nil {
                guard case .bool(true) = try condition.evaluate(frame) else { break }
            } else {
                // What follows an error is not strictly false.
                try frame.charge(2)
            }
            let (first, second) = try iteration.values(turn)
            frame.slots[variable] = first
            if let secondVariable { frame.slots[secondVariable] = second }
            do throws(CELError) {
                frame.slots[accumulator] = try turnStep(frame, failure)
                if failure != nil { failure = nil }
            } catch {
                guard absorbsErrors, error.kind == .evaluation else { throw error }
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return try result.evaluate(frame)
    }

    /// One turn's accumulated value. After an error only the decisive value of the logical operator counts.
    private func turnStep(_ frame: Frame, _ failure: CELError?) throws(CELError) -> CELValue {
        guard let failure else { return try step.evaluate(frame) }
        let terms = (step as? AndStep)?.terms ?? (step as? OrStep)?.terms ?? []
        let decisive = step is OrStep
        try frame.charge(1)
        for term in terms.dropFirst() {
            if case .bool(decisive) = try term.evaluate(frame) { return .bool(decisive) }
        }
        throw failure
    }
}

/// What a loop's variables are at each turn.
private struct Iteration {
    private enum Range {
        case list(CELList)
        case keys([CELValue], CELMap)
    }

    private let range: Range
    private let hasSecond: Bool
    let count: Int

    init(_ value: CELValue, hasSecond: Bool) throws(CELError) {
        self.hasSecond = hasSecond
        switch value {
        case .list(let list):
            range = .list(list)
            count = list.count
        case .map(let map):
            let keys = map.keys
            range = .keys(keys, map)
            count = keys.count
        default: throw .noSuchOverload
        }
    }

    func values(_ turn: Int) throws(CELError) -> (CELValue, CELValue) {
        switch range {
        case .list(let list):
            let element = try list.element(turn)
            return hasSecond ? (.int(Int64(turn)), element) : (element, .null)
        case .keys(let keys, let map):
            guard hasSecond else { return (keys[turn], .null) }
            return (keys[turn], try map.rawValue(keys[turn]) ?? .null)
        }
    }
}

/// `accumulated + [element]` of `map` and `filter`, with `filter ? … : accumulated` around it if there is one: appends in
/// place what else would copy the list at each turn.
struct AppendStep: Step {
    let accumulator: Int
    let filter: (any Step)?
    let element: any Step

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        if let filter {
            guard case .bool(let isKept) = try filter.evaluate(frame) else { throw .noSuchOverload }
            guard isKept else {
                try frame.charge(1)
                return take(frame)
            }
        }
        // The accumulator, the list of one element unless that is a literal, and the sum.
        try frame.charge(element.constant == nil ? 12 : 2)
        let value = try element.evaluate(frame)
        guard case .list(.values(var values)) = take(frame) else { throw .noSuchOverload }
        values.append(value)
        return .list(.values(values))
    }

    /// The accumulated value, out of its slot, so that nothing else refers to its storage.
    private func take(_ frame: Frame) -> CELValue {
        let value = frame.slots[accumulator]
        frame.slots[accumulator] = .null
        return value
    }
}
