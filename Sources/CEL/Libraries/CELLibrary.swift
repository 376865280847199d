/// A set of functions that an environment may have besides CEL's own.
/// See https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries.
public struct CELLibrary: Sendable, Hashable {
    public let name: String
    let overloads: [Overload]

    init(_ name: String, _ overloads: [Overload]) {
        self.name = name
        self.overloads = overloads
    }

    public static func == (left: CELLibrary, right: CELLibrary) -> Bool { left.name == right.name }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// What every expression of Kubernetes may use.
    public static let kubernetes: [CELLibrary] = [
        lists, regex, strings, sets, urls, quantities, addresses, versions, formats, authorization,
    ]
}
