import Kernel

/// What a command takes and how its help describes it.
struct CommandSpecification: Sendable {
    struct Option: Sendable {
        let name: String
        /// Name of the value in the help; nil for a flag.
        var value: String?
        let help: String
        /// The values that are possible; empty = any.
        var choices: [String] = []
    }

    /// Words of the command, such as ["image", "load"].
    let words: [String]
    /// Names of the arguments that follow.
    var arguments: [String] = []
    /// How many of them may be left out at the end.
    var optionalArguments = 0
    /// Whether the last argument may be given several times.
    var repeatsLastArgument = false
    let summary: String
    var details = ""
    var options: [Option] = []
    let run: @Sendable (ParsedCommand) -> Int32

    var name: String { words.joined(separator: " ") }
}

/// A command line that fits its specification.
struct ParsedCommand: Sendable {
    var options: [String: String] = [:]
    var flags: Set<String> = []
    var arguments: [String] = []

    subscript(option: String) -> String? { options[option] }
}

struct UsageError: Error {
    let message: String
}

extension CommandSpecification {
    /// Reads what follows the command's words.
    func parse(_ words: [String]) throws(UsageError) -> ParsedCommand {
        var parsed = ParsedCommand()
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                parsed.arguments += rest
                break
            }
            guard word.hasPrefix("-"), word != "-" else {
                parsed.arguments.append(word)
                continue
            }
            try parseOption(word, &rest, into: &parsed)
        }
        let least = arguments.count - optionalArguments
        let most = repeatsLastArgument ? Int.max : arguments.count
        guard (least...most).contains(parsed.arguments.count) else {
            let expected = arguments.isEmpty ? "no arguments" : arguments.joined(separator: " ")
            throw UsageError(message: "expected \(expected), found \(parsed.arguments.count) arguments")
        }
        return parsed
    }

    private func parseOption(
        _ word: String, _ rest: inout ArraySlice<String>, into parsed: inout ParsedCommand
    ) throws(UsageError) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let option = options.first(where: { $0.name == parts[0] }) else {
            throw UsageError(
                message: "unknown option \(parts[0])" + suggestion(for: parts[0], among: options.map(\.name)))
        }
        guard let value = option.value else {
            guard parts.count == 1 else { throw UsageError(message: "\(option.name) takes no value") }
            parsed.flags.insert(option.name)
            return
        }
        guard let text = parts.count == 2 ? parts[1] : rest.popFirst(), !text.isEmpty else {
            throw UsageError(message: "\(option.name) needs a value: \(option.name) \(value)")
        }
        guard option.choices.isEmpty || option.choices.contains(text) else {
            let choices = option.choices.joined(separator: ", ")
            throw UsageError(
                message: "\(option.name) cannot be \"\(text)\"; allowed: \(choices)"
                    + suggestion(for: text, among: option.choices))
        }
        guard parsed.options.updateValue(text, forKey: option.name) == nil else {
            throw UsageError(message: "\(option.name) is given twice")
        }
    }
}
