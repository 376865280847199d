import Glibc

/// The words of a command line, from which options are taken one by one.
struct Arguments {
    private(set) var words: [String]

    init(_ words: some Sequence<String>) { self.words = Array(words) }

    /// Takes "--name" out.
    mutating func flag(_ name: String) -> Bool {
        defer { words.removeAll { $0 == "--" + name } }
        return words.contains("--" + name)
    }

    /// Takes "--name VALUE" out.
    mutating func option(_ name: String) -> String? {
        guard let place = words.firstIndex(of: "--" + name) else { return nil }
        guard place + 1 < words.count else { fail("--\(name) needs a value") }
        defer { words.removeSubrange(place...place + 1) }
        return words[place + 1]
    }

    mutating func number(_ name: String, otherwise standard: UInt64) -> UInt64 {
        guard let text = option(name) else { return standard }
        guard let value = UInt64(text) else { fail("--\(name) \(text) is not a number") }
        return value
    }
}

/// Ends the program with a sentence on standard error.
func fail(_ message: String) -> Never {
    let line = "StoreCrash: \(message)\n"
    _ = write(2, line, line.utf8.count)
    exit(1)
}

/// One line on standard output, at once.
func report(_ line: String) {
    let line = line + "\n"
    _ = write(1, line, line.utf8.count)
}
