import Objects

/// The values of an environment's variables for one evaluation.
public struct CELActivation: Sendable, ExpressibleByDictionaryLiteral {
    private var entries: [(name: String, value: CELValue)]

    public init() { entries = [] }

    /// Of two values of one name the first counts.
    public init(dictionaryLiteral values: (String, CELValue)...) { entries = values.map { ($0, $1) } }

    /// A variable's value; nil when it has none, which an expression that reads it fails for.
    public subscript(name: String) -> CELValue? {
        get { entries.first { $0.name == name }?.value }
        set {
            entries.removeAll { $0.name == name }
            if let newValue { entries.append((name, newValue)) }
        }
    }
}
