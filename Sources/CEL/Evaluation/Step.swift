/// A node of a program. Steps hold no state of an evaluation.
protocol Step: Sendable {
    func evaluate(_ frame: Frame) throws(CELError) -> CELValue
    /// Whether this is a name with fields and indexes behind it, for which costs count once.
    var isAttribute: Bool { get }
    /// The value when it is the same for every evaluation.
    var constant: CELValue? { get }
}

extension Step {
    var isAttribute: Bool { false }
    var constant: CELValue? { nil }
}

struct ConstantStep: Step {
    let value: CELValue
    var constant: CELValue? { value }
    func evaluate(_ frame: Frame) throws(CELError) -> CELValue { value }
}

/// A variable of the environment.
struct VariableStep: Step {
    let position: Int
    let name: String
    var isAttribute: Bool { true }

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        try frame.charge(1)
        guard let value = frame.variables[position] else { throw CELError("no such attribute(s): \(name)") }
        return value
    }
}

/// A variable of a loop.
struct SlotStep: Step {
    let slot: Int
    var isAttribute: Bool { true }

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        try frame.charge(1)
        return frame.slots[slot]
    }
}
