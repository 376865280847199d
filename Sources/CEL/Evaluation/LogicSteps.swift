/// `&&` of two or more: false if any is false, whatever errors the others have.
struct AndStep: Step {
    let terms: [any Step]

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        try Logic.evaluate(terms, decidedBy: false, frame)
    }
}

/// `||` of two or more: true if any is true, whatever errors the others have.
struct OrStep: Step {
    let terms: [any Step]

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        try Logic.evaluate(terms, decidedBy: true, frame)
    }
}

enum Logic {
    static func evaluate(
        _ terms: [any Step], decidedBy decisive: Bool, _ frame: Frame
    ) throws(CELError) -> CELValue {
        var failure: CELError?
        for term in terms {
            do throws(CELError) {
                guard case .bool(let value) = try term.evaluate(frame) else { throw .noSuchOverload }
                if value == decisive { return .bool(decisive) }
            } catch {
                guard error.kind == .evaluation else { throw error }
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return .bool(!decisive)
    }
}

/// `condition ? whenTrue : whenFalse`.
struct ConditionalStep: Step {
    let condition: any Step
    let whenTrue: any Step
    let whenFalse: any Step

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        guard case .bool(let value) = try condition.evaluate(frame) else { throw .noSuchOverload }
        return try value ? whenTrue.evaluate(frame) : whenFalse.evaluate(frame)
    }
}

/// Whether a loop's accumulated value leaves the outcome open: an error does too.
struct NotStrictlyFalseStep: Step {
    let operand: any Step

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        do throws(CELError) {
            let value = try operand.evaluate(frame)
            try frame.charge(1)
            if case .bool(false) = value { return value }
        } catch {
            guard error.kind == .evaluation else { throw error }
        }
        return .bool(true)
    }
}
