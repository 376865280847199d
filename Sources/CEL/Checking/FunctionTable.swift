import Synchronization

/// The functions of an environment by name.
final class FunctionTable: Sendable {
    let functions: [String: [Overload]]

    private init(_ overloads: [Overload]) {
        functions = Dictionary(grouping: overloads) { $0.signature.function }
    }

    private static let tables = Mutex<[[CELLibrary]: FunctionTable]>([:])

    /// The standard functions with those of libraries. Made once for each set of libraries.
    static func of(_ libraries: [CELLibrary]) -> FunctionTable {
        tables.withLock { tables in
            if let known = tables[libraries] { return known }
            let table = FunctionTable(StandardFunctions.overloads + libraries.flatMap(\.overloads))
            tables[libraries] = table
            return table
        }
    }

    subscript(name: String) -> [Overload] { functions[name] ?? [] }
}
