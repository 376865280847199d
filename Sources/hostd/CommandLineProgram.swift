import Kernel

/// Finds the command, reads its options, runs it.
enum CommandLineProgram {
    static func run(_ words: [String]) -> Int32 {
        guard let first = words.first else {
            Output.errorLine(Help.overview)
            return ExitCode.usage
        }
        if ["--help", "-h", "help"].contains(first) { return help(Array(words.dropFirst())) }
        if first == "--version" { return run(["version"]) }
        if first == "plugin-host" { return PluginHostCommand.run(Array(words.dropFirst())) }
        guard let specification = Commands.all.first(where: { words.starts(with: $0.words) }) else {
            return unknown(words)
        }
        let rest = Array(words.dropFirst(specification.words.count))
        if rest.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
            Output.line(Help.text(of: specification))
            return ExitCode.success
        }
        do throws(UsageError) {
            return specification.run(try specification.parse(rest))
        } catch {
            Output.errorLine("hostd \(specification.name): \(error.message)")
            Output.errorLine("See: hostd \(specification.name) --help")
            return ExitCode.usage
        }
    }

    /// `hostd help`, `hostd help image`, `hostd help image load`.
    private static func help(_ words: [String]) -> Int32 {
        if words.isEmpty {
            Output.line(Help.overview)
            return ExitCode.success
        }
        let matching = Commands.all.filter { $0.words.starts(with: words) }
        guard !matching.isEmpty else { return unknown(words) }
        Output.line(matching.map { Help.text(of: $0) }.joined(separator: "\n\n"))
        return ExitCode.success
    }

    private static func unknown(_ words: [String]) -> Int32 {
        let group = Commands.all.filter { $0.words.first == words.first }
        if !group.isEmpty, words.count == 1 || words.dropFirst().allSatisfy({ $0 == "--help" || $0 == "-h" }) {
            let text = group.map { Help.line(of: $0) }.joined(separator: "\n")
            guard words.count == 1 else {
                Output.line("Commands:\n" + text)
                return ExitCode.success
            }
            Output.errorLine("hostd \(words[0]): a command is missing. There are:\n" + text)
            return ExitCode.usage
        }
        let isOption = words[0].hasPrefix("-")
        let typed = group.isEmpty ? words[0] : words.prefix(2).joined(separator: " ")
        let known =
            isOption ? ["--help", "--version"] : group.isEmpty ? Commands.all.map { $0.words[0] } : group.map(\.name)
        Output.errorLine(
            "hostd: unknown \(isOption ? "option" : "command") \(typed)" + suggestion(for: typed, among: known))
        Output.errorLine("See: hostd --help")
        return ExitCode.usage
    }
}
