import Objects

/// The values of an environment's variables for one evaluation.
public struct CELActivation: Sendable {
    private var entries: [(name: String, value: CELValue)]

    public init() { entries = [] }

    public init(_ values: KeyValuePairs<String, CELValue>) { entries = values.map { ($0.key, $0.value) } }

    /// A variable's value; nil when it has none, which reading it reports.
    public subscript(name: String) -> CELValue? {
        get { entries.first { $0.name == name }?.value }
        set {
            entries.removeAll { $0.name == name }
            if let newValue { entries.append((name, newValue)) }
        }
    }
}
