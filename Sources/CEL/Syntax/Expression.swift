/// A node of a parsed expression; macros are expanded.
final class Expression: Sendable {
    enum Kind: Sendable {
        case constant(CELValue)
        case identifier(String)
        /// A field; `isTest` for `has(operand.field)`.
        case select(Expression, field: String, isTest: Bool)
        /// A function or an operator, which are named as CEL names them: `_+_`.
        case call(String, target: Expression?, arguments: [Expression])
        /// Elements; those at `optional` positions may be absent.
        case list([Expression], optional: Set<Int>)
        case map([Entry])
        case object(String, [Field])
        case comprehension(Comprehension)
    }

    struct Entry: Sendable {
        let key: Expression
        let value: Expression
        let isOptional: Bool
    }

    struct Field: Sendable {
        let name: String
        let offset: Int
        let value: Expression
        let isOptional: Bool
    }

    /// A loop over a list or a map's keys that every such macro is made of.
    struct Comprehension: Sendable {
        let range: Expression
        /// The element or key; with `secondVariable` the index or key.
        let variable: String
        /// The element or value.
        let secondVariable: String?
        let accumulator: String
        let initial: Expression
        /// Whether the loop goes on.
        let condition: Expression
        let step: Expression
        let result: Expression
    }

    /// Position in tables of what is known of the nodes.
    let id: Int
    /// Code points from the text's start.
    let offset: Int
    let kind: Kind
    /// Levels from here to the deepest leaf.
    let depth: Int

    init(id: Int, offset: Int, kind: Kind) {
        self.id = id
        self.offset = offset
        self.kind = kind
        depth = 1 + (Self.children(of: kind).map(\.depth).max() ?? 0)
    }

    static func children(of kind: Kind) -> [Expression] {
        switch kind {
        case .constant, .identifier: []
        case .select(let operand, _, _): [operand]
        case .call(_, let target, let arguments): (target.map { [$0] } ?? []) + arguments
        case .list(let elements, _): elements
        case .map(let entries): entries.flatMap { [$0.key, $0.value] }
        case .object(_, let fields): fields.map(\.value)
        case .comprehension(let loop): [loop.range, loop.initial, loop.condition, loop.step, loop.result]
        }
    }

    /// `a.b.c` as a name, when the expression is nothing else.
    var qualifiedName: String? {
        switch kind {
        case .identifier(let name): name
        case .select(let operand, let field, false): operand.qualifiedName.map { $0 + "." + field }
        default: nil
        }
    }
}

/// The names of operators as functions.
enum Operator {
    static let and = "_&&_"
    static let or = "_||_"
    static let not = "!_"
    static let negate = "-_"
    static let conditional = "_?_:_"
    static let equals = "_==_"
    static let notEquals = "_!=_"
    static let index = "_[_]"
    static let optionalIndex = "_[?_]"
    static let optionalSelect = "_?._"
    static let add = "_+_"
    static let membership = "@in"
    static let notStrictlyFalse = "@not_strictly_false"

    /// Of binary operators; higher binds closer.
    static let precedence: [String: (level: Int, function: String)] = [
        "||": (1, or), "&&": (2, and), "==": (3, equals), "!=": (3, notEquals), "<": (3, "_<_"), "<=": (3, "_<=_"),
        ">": (3, "_>_"), ">=": (3, "_>=_"), "in": (3, membership), "+": (4, add), "-": (4, "_-_"), "*": (5, "_*_"),
        "/": (5, "_/_"), "%": (5, "_%_"),
    ]
}
