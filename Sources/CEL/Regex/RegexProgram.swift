/// A pattern as instructions of a nondeterministic machine.
struct RegexProgram: Sendable {
    enum Instruction: Sendable {
        /// Takes a code point of the class at this index.
        case characters(Int)
        case assertion(RegexAssertion)
        /// Goes on at both, the first preferred.
        case split(Int, Int)
        case jump(Int)
        case match
    }

    var instructions: [Instruction] = []
    var classes: [CharacterClass] = []
    /// Whether every match begins at the text's start.
    var isAnchored = false
}

/// Makes a program of a parsed pattern.
struct RegexCompiler {
    /// Bounds what repetitions of repetitions grow to.
    private static let instructionLimit = 20_000

    private var program = RegexProgram()
    private var classIndexes: [CharacterClass: Int] = [:]
    private let pattern: String

    static func compile(_ node: RegexNode, _ pattern: String) throws(RegularExpression.SyntaxError) -> RegexProgram {
        var compiler = RegexCompiler(pattern: pattern)
        try compiler.emit(node)
        try compiler.append(.match)
        compiler.program.isAnchored = isAnchored(node)
        return compiler.program
    }

    private init(pattern: String) { self.pattern = pattern }

    private static func isAnchored(_ node: RegexNode) -> Bool {
        switch node {
        case .assertion(.textStart): true
        case .sequence(let nodes): nodes.first.map(isAnchored) ?? false
        case .alternatives(let nodes): nodes.allSatisfy(isAnchored)
        default: false
        }
    }

    private mutating func append(_ instruction: RegexProgram.Instruction) throws(RegularExpression.SyntaxError) {
        guard program.instructions.count < Self.instructionLimit else {
            throw RegularExpression.SyntaxError("expression too large", pattern)
        }
        program.instructions.append(instruction)
    }

    private var next: Int { program.instructions.count }

    private mutating func emit(_ node: RegexNode) throws(RegularExpression.SyntaxError) {
        switch node {
        case .empty: break
        case .characters(let members):
            let index = classIndexes[members] ?? program.classes.count
            if index == program.classes.count {
                program.classes.append(members)
                classIndexes[members] = index
            }
            try append(.characters(index))
        case .assertion(let assertion): try append(.assertion(assertion))
        case .sequence(let nodes): for node in nodes { try emit(node) }
        case .alternatives(let nodes): try emit(alternatives: nodes)
        case .repeated(let inner, let minimum, let maximum, let isGreedy):
            for _ in 0..<minimum { try emit(inner) }
            guard let maximum else { return try emit(star: inner, isGreedy) }
            var splits: [Int] = []
            for _ in minimum..<maximum {
                splits.append(next)
                try append(.jump(0))
                try emit(inner)
            }
            for split in splits {
                program.instructions[split] = isGreedy ? .split(split + 1, next) : .split(next, split + 1)
            }
        }
    }

    private mutating func emit(star inner: RegexNode, _ isGreedy: Bool) throws(RegularExpression.SyntaxError) {
        let split = next
        try append(.jump(0))
        try emit(inner)
        try append(.jump(split))
        program.instructions[split] = isGreedy ? .split(split + 1, next) : .split(next, split + 1)
    }

    private mutating func emit(alternatives nodes: [RegexNode]) throws(RegularExpression.SyntaxError) {
        var jumps: [Int] = []
        for node in nodes.dropLast() {
            let split = next
            try append(.jump(0))
            try emit(node)
            jumps.append(next)
            try append(.jump(0))
            program.instructions[split] = .split(split + 1, next)
        }
        if let last = nodes.last { try emit(last) }
        for jump in jumps { program.instructions[jump] = .jump(next) }
    }
}
