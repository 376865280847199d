/// What the checker has found type parameters to be.
struct TypeSubstitution {
    private var found: [String: CELType] = [:]
    private var freshCount = 0

    /// A parameter that nothing is known of yet.
    mutating func fresh() -> CELType {
        freshCount += 1
        return .parameter("_var\(freshCount)")
    }

    /// A copy of a function's form with parameters of its own.
    mutating func instantiated(_ signature: Signature) -> (parameters: [CELType], result: CELType) {
        var names: [String: CELType] = [:]
        func renamed(_ type: CELType, _ fresh: inout TypeSubstitution) -> CELType {
            switch type {
            case .parameter(let name):
                if let known = names[name] { return known }
                let new = fresh.fresh()
                names[name] = new
                return new
            case .list(let element): return .list(renamed(element, &fresh))
            case .map(let key, let value): return .map(renamed(key, &fresh), renamed(value, &fresh))
            case .optional(let wrapped): return .optional(renamed(wrapped, &fresh))
            case .type(let described): return .type(renamed(described, &fresh))
            default: return type
            }
        }
        return (signature.parameters.map { renamed($0, &self) }, renamed(signature.result, &self))
    }

    /// A type with the parameters replaced that are known; the others become dyn when `isFinal`.
    func resolved(_ type: CELType, isFinal: Bool = false) -> CELType {
        switch type {
        case .parameter(let name):
            if let known = found[name] { return resolved(known, isFinal: isFinal) }
            return isFinal ? .dyn : type
        case .list(let element): return .list(resolved(element, isFinal: isFinal))
        case .map(let key, let value):
            return .map(resolved(key, isFinal: isFinal), resolved(value, isFinal: isFinal))
        case .optional(let wrapped): return .optional(resolved(wrapped, isFinal: isFinal))
        case .type(let described): return .type(resolved(described, isFinal: isFinal))
        default: return type
        }
    }

    /// Whether values of a type may stand where another is wanted; takes note of what that says about parameters, and
    /// of nothing when it is not so.
    mutating func assign(_ given: CELType, to wanted: CELType) -> Bool {
        let before = found
        if isAssignable(given, wanted) { return true }
        found = before
        return false
    }

    mutating func assign(_ given: [CELType], to wanted: [CELType]) -> Bool {
        guard given.count == wanted.count else { return false }
        let before = found
        for (given, wanted) in zip(given, wanted) where !isAssignable(given, wanted) {
            found = before
            return false
        }
        return true
    }

    private mutating func isAssignable(_ given: CELType, _ wanted: CELType) -> Bool {
        let given = resolved(given)
        let wanted = resolved(wanted)
        if given == wanted { return true }
        if case .parameter(let name) = wanted { return bind(name, to: given) }
        if case .parameter(let name) = given { return bind(name, to: wanted) }
        if given.isDynamic || wanted.isDynamic { return true }
        switch (given, wanted) {
        case (.list(let left), .list(let right)), (.optional(let left), .optional(let right)):
            return isAssignable(left, right)
        case (.type(let left), .type(let right)): return isAssignable(left, right)
        case (.map(let leftKey, let leftValue), .map(let rightKey, let rightValue)):
            return isAssignable(leftKey, rightKey) && isAssignable(leftValue, rightValue)
        // Objects, and what is not there, may be null.
        case (.null, .object), (.null, .opaque), (.null, .timestamp), (.null, .duration), (.object, .null),
            (.opaque, .null), (.timestamp, .null), (.duration, .null):
            return true
        default: return false
        }
    }

    private mutating func bind(_ name: String, to type: CELType) -> Bool {
        if case .parameter(name) = type { return true }
        guard !contains(type, name) else { return false }
        found[name] = type
        return true
    }

    /// Whether a parameter stands within a type: it cannot be a part of itself.
    private func contains(_ type: CELType, _ name: String) -> Bool {
        switch resolved(type) {
        case .parameter(let other): other == name
        case .list(let element), .optional(let element), .type(let element): contains(element, name)
        case .map(let key, let value): contains(key, name) || contains(value, name)
        default: false
        }
    }

    /// The wider of two types if one may stand for the other, else dyn.
    mutating func joined(_ first: CELType, _ second: CELType) -> CELType? {
        guard assign(second, to: first) else { return nil }
        let first = resolved(first)
        let second = resolved(second)
        if first.isDynamic { return first }
        return second.isDynamic ? second : first
    }
}
