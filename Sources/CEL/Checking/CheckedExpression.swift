/// An expression with what the checker found out about its nodes.
struct CheckedExpression: Sendable {
    /// What a name or a call means.
    enum Reference: Sendable {
        /// A variable of the environment, by its position.
        case variable(Int)
        /// A variable of a loop.
        case local(String)
        /// A name for a value, such as that of a type.
        case constant(CELValue)
        /// The forms of a function that may be meant; the value's types decide if there are several.
        case overloads([Overload], isNamespaced: Bool)
    }

    let root: Expression
    /// By node.
    let types: [CELType]
    let references: [Int: Reference]
    /// Types of objects that are made, by node.
    let constructed: [Int: CELObjectType]

    func type(of expression: Expression) -> CELType { types[expression.id] }
}
