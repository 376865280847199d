/// What an expression may use: variables, types and libraries of functions.
///
/// Immutable and cheap to copy. Make one for each set of declarations and keep it: programs refer to it.
public struct CELEnvironment: Sendable {
    /// A declared variable.
    public struct Variable: Sendable {
        public let name: String
        public let schema: CELSchema

        public init(_ name: String, _ schema: CELSchema) {
            self.name = name
            self.schema = schema
        }

        /// A variable whose values are given as `CELValue`.
        public init(_ name: String, _ type: CELType) { self.init(name, CELSchema(.value(type))) }
    }

    let variables: [Variable]
    let variablePositions: [String: Int]
    let functions: FunctionTable
    let objectTypes: @Sendable (_ name: String) -> CELObjectType?

    /// - Parameters:
    ///   - libraries: Besides CEL's standard functions; all of Kubernetes' by default.
    ///   - objectTypes: Finds the types that expressions may name to make objects of; none by default.
    public init(
        variables: [Variable], libraries: [CELLibrary] = CELLibrary.kubernetes,
        objectTypes: @escaping @Sendable (_ name: String) -> CELObjectType? = { _ in nil }
    ) {
        self.variables = variables
        variablePositions = Dictionary(
            variables.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { _, last in last })
        functions = FunctionTable.of(libraries)
        self.objectTypes = objectTypes
    }

    /// Parses, checks and prepares an expression. Whether `resultType` is one that is wanted is for the caller to see, and
    /// of a result of type dyn only its value tells.
    ///
    /// - Throws: every mistake of the text, syntax first, then types.
    /// - Complexity: linear in the text's length.
    public func compile(_ source: String) throws(CELIssues) -> CELProgram {
        let text = SourceText(source)
        var parser = try Parser(text)
        let expression = try parser.parse()
        var checker = Checker(environment: self, text: text, nodeCount: parser.nodeCount)
        return try CELProgram(try checker.check(expression), environment: self, text: text)
    }
}
