/// A parsed pattern.
indirect enum RegexNode: Sendable {
    case empty
    case characters(CharacterClass)
    case assertion(RegexAssertion)
    case sequence([RegexNode])
    /// The first that matches is preferred.
    case alternatives([RegexNode])
    case repeated(RegexNode, minimum: Int, maximum: Int?, isGreedy: Bool)
}

enum RegexAssertion: Sendable, Hashable {
    case textStart
    case textEnd
    case lineStart
    case lineEnd
    case wordBoundary
    case noWordBoundary
}

/// Reads a pattern. See https://github.com/google/re2/wiki/Syntax.
struct RegexParser {
    typealias SyntaxError = RegularExpression.SyntaxError

    private struct Flags {
        var ignoresCase = false
        var isMultiline = false
        var dotMatchesNewline = false
        var isUngreedy = false
    }

    private static let depthLimit = 200
    private static let repeatLimit = 1000

    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var flags = Flags()
    private var depth = 0

    init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

    mutating func parse() throws(SyntaxError) -> RegexNode {
        let node = try alternatives()
        if position < scalars.count { throw SyntaxError("unexpected )", text(0)) }
        return node
    }

    // MARK: - Text

    private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
        position + ahead < scalars.count ? scalars[position + ahead] : nil
    }

    private mutating func accept(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard wanted.indices.allSatisfy({ peek($0) == wanted[$0] }) else { return false }
        position += wanted.count
        return true
    }

    /// The pattern from a place to the present one.
    private func text(_ start: Int, _ end: Int? = nil) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars[start..<(end ?? scalars.count)])
        return text
    }

    // MARK: - Structure

    private mutating func alternatives() throws(SyntaxError) -> RegexNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw SyntaxError("expression nests too deeply", text(0)) }
        var branches: [RegexNode] = []
        repeat { branches.append(try sequence()) } while accept("|")
        return branches.count == 1 ? branches[0] : .alternatives(branches)
    }

    private mutating func sequence() throws(SyntaxError) -> RegexNode {
        var nodes: [RegexNode] = []
        while let next = peek(), next != "|", next != ")" {
            let start = position
            guard let atom = try atom() else { continue }
            nodes.append(try repetition(of: atom, start))
        }
        return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
    }

    private mutating func repetition(of atom: RegexNode, _ start: Int) throws(SyntaxError) -> RegexNode {
        let operatorStart = position
        guard let bounds = try bounds() else { return atom }
        let isLazy = accept("?")
        let node = RegexNode.repeated(
            atom, minimum: bounds.minimum, maximum: bounds.maximum, isGreedy: isLazy == flags.isUngreedy)
        let end = position
        if try self.bounds() != nil {
            throw SyntaxError("invalid nested repetition operator", text(operatorStart, max(end, position)))
        }
        return node
    }

    /// A repetition operator at the present position; nil when there is none.
    private mutating func bounds() throws(SyntaxError) -> (minimum: Int, maximum: Int?)? {
        if accept("*") { return (0, nil) }
        if accept("+") { return (1, nil) }
        if accept("?") { return (0, 1) }
        guard peek() == "{" else { return nil }
        let start = position
        position += 1
        guard let minimum = number() else {
            position = start
            return nil
        }
        var maximum: Int? = minimum
        if accept(",") { maximum = peek() == "}" ? nil : number() ?? -1 }
        guard accept("}"), maximum != -1 else {
            position = start
            return nil
        }
        guard minimum <= Self.repeatLimit, maximum.map({ $0 <= Self.repeatLimit && $0 >= minimum }) ?? true else {
            throw SyntaxError("invalid repeat count", text(start, position))
        }
        return (minimum, maximum)
    }

    private mutating func number() -> Int? {
        let start = position
        while let scalar = peek(), ("0"..."9").contains(scalar), position - start < 6 { position += 1 }
        return position > start ? Int(text(start, position)) : nil
    }

    // MARK: - Atoms

    /// What one repetition operator refers to; nil for flags, which are none.
    private mutating func atom() throws(SyntaxError) -> RegexNode? {
        let start = position
        guard let next = peek() else { return nil }
        switch next {
        case "(": return try group(start)
        case "[": return .characters(try bracket(start))
        case ".":
            position += 1
            return .characters(
                flags.dotMatchesNewline ? CharacterClass([0...0x10FFFF]) : CharacterClass([0...9, 11...0x10FFFF]))
        case "^":
            position += 1
            return .assertion(flags.isMultiline ? .lineStart : .textStart)
        case "$":
            position += 1
            return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
        case "\\": return try escape(start)
        case "*", "+", "?": throw SyntaxError("missing argument to repetition operator", String(Character(next)))
        default:
            if next == "{", try bounds() != nil {
                throw SyntaxError("missing argument to repetition operator", text(start, position))
            }
            position += 1
            return literal(next)
        }
    }

    private func literal(_ scalar: Unicode.Scalar) -> RegexNode {
        .characters(CharacterClass(folded([scalar.value...scalar.value])))
    }

    private func folded(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
        flags.ignoresCase ? CharacterClass.folded(ranges) : ranges
    }

    private mutating func group(_ start: Int) throws(SyntaxError) -> RegexNode? {
        position += 1
        let outer = flags
        if accept("?") {
            if accept("P<") || accept("<") {
                let nameStart = position
                while let scalar = peek(),
                    scalar.properties.isAlphabetic || scalar == "_" || ("0"..."9").contains(scalar)
                {
                    position += 1
                }
                guard position > nameStart, accept(">") else {
                    throw SyntaxError("invalid named capture", text(start))
                }
            } else if try groupFlags(start) {
                return nil
            }
        }
        let node = try alternatives()
        guard accept(")") else { throw SyntaxError("missing closing )", text(0)) }
        flags = outer
        return node
    }

    /// Flags after `(?`.
    /// - Returns: whether they are for what follows rather than a group's.
    private mutating func groupFlags(_ start: Int) throws(SyntaxError) -> Bool {
        var isOn = true
        while let scalar = peek() {
            position += 1
            switch scalar {
            case "i": flags.ignoresCase = isOn
            case "m": flags.isMultiline = isOn
            case "s": flags.dotMatchesNewline = isOn
            case "U": flags.isUngreedy = isOn
            case "-" where isOn: isOn = false
            case ":": return false
            case ")": return true
            default: throw SyntaxError("invalid or unsupported Perl syntax", text(start, position))
            }
        }
        throw SyntaxError("missing argument to repetition operator", text(start))
    }

    private mutating func escape(_ start: Int) throws(SyntaxError) -> RegexNode {
        guard let next = peek(1) else { throw SyntaxError("trailing backslash at end of expression", "") }
        let assertions: [Unicode.Scalar: RegexAssertion] = [
            "A": .textStart, "z": .textEnd, "b": .wordBoundary, "B": .noWordBoundary,
        ]
        if let assertion = assertions[next] {
            position += 2
            return .assertion(assertion)
        }
        if next == "Q" {
            position += 2
            var nodes: [RegexNode] = []
            while let scalar = peek(), !accept("\\E") {
                nodes.append(literal(scalar))
                position += 1
            }
            return .sequence(nodes)
        }
        if let members = try classEscape(start) {
            return .characters(CharacterClass(members.ranges, categories: members.categories))
        }
        return .characters(CharacterClass(folded([try characterEscape(start)].map { $0...$0 })))
    }

    private typealias Members = (ranges: [ClosedRange<UInt32>], categories: [CharacterClass.Categories])

    /// `\d`, `\pL` and the like; nil when the escape is of one character.
    private mutating func classEscape(_ start: Int) throws(SyntaxError) -> Members? {
        guard let kind = peek(1) else { return nil }
        let classes: [Unicode.Scalar: [ClosedRange<UInt32>]] = [
            "d": CharacterClass.digits, "w": CharacterClass.words, "s": CharacterClass.spaces,
            "D": CharacterClass.complement(CharacterClass.digits), "W": CharacterClass.complement(CharacterClass.words),
            "S": CharacterClass.complement(CharacterClass.spaces),
        ]
        if let ranges = classes[kind] {
            position += 2
            return (ranges, [])
        }
        guard kind == "p" || kind == "P" else { return nil }
        position += 2
        var isNegated = kind == "P"
        var name = ""
        if accept("{") {
            if accept("^") { isNegated.toggle() }
            while let scalar = peek(), scalar != "}" {
                name.unicodeScalars.append(scalar)
                position += 1
            }
            guard accept("}") else { throw SyntaxError("invalid character class range", text(start)) }
        } else if let scalar = peek() {
            name = String(Character(scalar))
            position += 1
        }
        if name == "Any" { return isNegated ? ([], []) : ([0...0x10FFFF], []) }
        guard RegexUnicode.categories.contains(name) else {
            throw SyntaxError("invalid character class range", text(start, position))
        }
        return ([], [.init(name: name, isNegated: isNegated)])
    }

    private mutating func characterEscape(_ start: Int) throws(SyntaxError) -> UInt32 {
        guard let kind = peek(1) else { throw SyntaxError("trailing backslash at end of expression", "") }
        position += 2
        let plain: [Unicode.Scalar: UInt32] = ["a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11]
        if let value = plain[kind] { return value }
        if kind == "x" { return try hexadecimal(start) }
        if ("0"..."7").contains(kind) {
            var value = kind.value - 0x30
            var digits = 1
            // One digit alone would be a reference to a group, which cannot be matched in linear time.
            guard kind == "0" || peek().map({ ("0"..."7").contains($0) }) == true else {
                throw SyntaxError("invalid escape sequence", text(start, position))
            }
            while digits < 3, let digit = peek(), ("0"..."7").contains(digit) {
                value = value * 8 + digit.value - 0x30
                position += 1
                digits += 1
            }
            return value
        }
        guard kind.isASCII, !kind.properties.isAlphabetic, !("0"..."9").contains(kind) else {
            throw SyntaxError("invalid escape sequence", text(start, position))
        }
        return kind.value
    }

    private mutating func hexadecimal(_ start: Int) throws(SyntaxError) -> UInt32 {
        let isBraced = accept("{")
        let digitsStart = position
        while let scalar = peek(), scalar.properties.isASCIIHexDigit, isBraced || position - digitsStart < 2 {
            position += 1
        }
        let value = UInt32(text(digitsStart, position), radix: 16)
        let isComplete = isBraced ? accept("}") : position - digitsStart == 2
        guard isComplete, let value, value <= 0x10FFFF else {
            throw SyntaxError("invalid escape sequence", text(start, position))
        }
        return value
    }

    // MARK: - Brackets

    private mutating func bracket(_ start: Int) throws(SyntaxError) -> CharacterClass {
        position += 1
        let isNegated = accept("^")
        var ranges: [ClosedRange<UInt32>] = []
        var categories: [CharacterClass.Categories] = []
        var isFirst = true
        while let next = peek(), next != "]" || isFirst {
            isFirst = false
            if next == "[", peek(1) == ":", let named = try posixClass() {
                ranges += named
            } else if next == "\\", let members = try classEscape(position) {
                ranges += members.ranges
                categories += members.categories
            } else {
                ranges.append(try bracketRange())
            }
        }
        guard accept("]") else { throw SyntaxError("missing closing ]", text(start)) }
        return CharacterClass(folded(ranges), categories: categories, isNegated: isNegated)
    }

    private mutating func posixClass() throws(SyntaxError) -> [ClosedRange<UInt32>]? {
        let start = position
        position += 2
        let isNegated = accept("^")
        let nameStart = position
        while let scalar = peek(), ("a"..."z").contains(scalar) { position += 1 }
        let name = text(nameStart, position)
        guard accept(":]") else {
            position = start
            return nil
        }
        guard let ranges = CharacterClass.named[name] else {
            throw SyntaxError("invalid character class range", text(start, position))
        }
        return isNegated ? CharacterClass.complement(ranges) : ranges
    }

    private mutating func bracketRange() throws(SyntaxError) -> ClosedRange<UInt32> {
        let start = position
        let lower = try bracketCharacter()
        guard peek() == "-", let after = peek(1), after != "]" else { return lower...lower }
        position += 1
        let upper = try bracketCharacter()
        guard lower <= upper else { throw SyntaxError("invalid character class range", text(start, position)) }
        return lower...upper
    }

    private mutating func bracketCharacter() throws(SyntaxError) -> UInt32 {
        guard let next = peek() else { throw SyntaxError("missing closing ]", text(0)) }
        if next == "\\" { return try characterEscape(position) }
        position += 1
        return next.value
    }
}
