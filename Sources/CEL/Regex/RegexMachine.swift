/// Runs a program over a text, all its threads at once: at most one thread for each instruction, so the time is the length
/// of the text times that of the program at worst.
struct RegexMachine {
    /// Threads in order of preference.
    fileprivate struct Threads {
        var list: [(instruction: Int, start: Int)] = []
        /// The generation in which an instruction was added last.
        var marks: [Int]
        var pending: [Int] = []
    }

    private let program: RegexProgram
    private var current: Threads
    private var following: Threads
    private var generation = 0

    init(_ program: RegexProgram) {
        self.program = program
        current = Threads(marks: [Int](repeating: 0, count: program.instructions.count))
        following = current
    }

    mutating func hasMatch(_ text: [Unicode.Scalar]) -> Bool { run(text, from: 0, wantsRange: false) != nil }

    mutating func firstMatch(_ text: [Unicode.Scalar], from start: Int) -> Range<Int>? {
        run(text, from: start, wantsRange: true)
    }

    private mutating func run(_ text: [Unicode.Scalar], from first: Int, wantsRange: Bool) -> Range<Int>? {
        var match: Range<Int>?
        var position = first
        current.list.removeAll(keepingCapacity: true)
        generation += 1
        var isOpen = generation
        while true {
            // A new thread begins at each place until something matches.
            if match == nil, !program.isAnchored || position == 0 {
                current.add(0, start: position, isOpen, program, text, position)
            }
            if current.list.isEmpty, match != nil || program.isAnchored { break }
            generation += 1
            let nextGeneration = generation
            following.list.removeAll(keepingCapacity: true)
            for index in current.list.indices {
                let thread = current.list[index]
                switch program.instructions[thread.instruction] {
                case .characters(let members):
                    guard position < text.count, program.classes[members].contains(text[position]) else { continue }
                    following.add(
                        thread.instruction + 1, start: thread.start, nextGeneration, program, text, position + 1)
                case .match:
                    match = thread.start..<position
                    if !wantsRange { return match }
                case .assertion, .split, .jump: continue
                }
                // Threads behind a match are preferred less.
                if case .match = program.instructions[thread.instruction] { break }
            }
            swap(&current, &following)
            isOpen = nextGeneration
            position += 1
            if position > text.count { break }
        }
        return match
    }

    fileprivate static func holds(_ assertion: RegexAssertion, _ text: [Unicode.Scalar], _ position: Int) -> Bool {
        switch assertion {
        case .textStart: position == 0
        case .textEnd: position == text.count
        case .lineStart: position == 0 || text[position - 1] == "\n"
        case .lineEnd: position == text.count || text[position] == "\n"
        case .wordBoundary: isBoundary(text, position)
        case .noWordBoundary: !isBoundary(text, position)
        }
    }

    private static func isBoundary(_ text: [Unicode.Scalar], _ position: Int) -> Bool {
        func isWord(_ index: Int) -> Bool {
            text.indices.contains(index) && CharacterClass.words.contains { $0.contains(text[index].value) }
        }
        return isWord(position - 1) != isWord(position)
    }
}

extension RegexMachine.Threads {
    /// Follows jumps and assertions from an instruction and adds the threads that take a code point or match.
    fileprivate mutating func add(
        _ instruction: Int, start: Int, _ mark: Int, _ program: RegexProgram, _ text: [Unicode.Scalar], _ position: Int
    ) {
        pending.removeAll(keepingCapacity: true)
        pending.append(instruction)
        while let next = pending.popLast() {
            guard marks[next] != mark else { continue }
            marks[next] = mark
            switch program.instructions[next] {
            case .jump(let target): pending.append(target)
            case .split(let preferred, let other):
                pending.append(other)
                pending.append(preferred)
            case .assertion(let assertion):
                if RegexMachine.holds(assertion, text, position) { pending.append(next + 1) }
            case .characters, .match: list.append((next, start))
            }
        }
    }
}
