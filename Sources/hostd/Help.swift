import Kernel

/// Help texts, made from the specifications of the commands.
enum Help {
    static var overview: String {
        let commands = Commands.all.map { line(of: $0) }.joined(separator: "\n")
        let codes = ExitCode.explanations.map { "  \($0.code)  \($0.meaning)" }.joined(separator: "\n")
        return """
            hostd \(HostEnvironment.version): a container orchestrator with the API of Kubernetes, made of plugins.

            Usage: hostd COMMAND [OPTIONS]

            Commands:
            \(commands)

            Each command explains itself: hostd COMMAND --help

            Environment:
              HOSTD_DATA  the data directory when --data is not given

            Exit codes:
            \(codes)
            """
    }

    static func line(of command: CommandSpecification) -> String {
        "  " + padded(([command.name] + command.arguments).joined(separator: " "), to: 28) + command.summary
    }

    static func text(of command: CommandSpecification) -> String {
        var arguments = command.arguments
        for index in arguments.indices.suffix(command.optionalArguments) { arguments[index] = "[\(arguments[index])]" }
        let options = command.options.isEmpty ? [] : ["[OPTIONS]"]
        var text = "Usage: hostd " + ([command.name] + options + arguments).joined(separator: " ")
        text += "\n\n\(command.summary)\n"
        if !command.details.isEmpty { text += "\n\(command.details)\n" }
        text += "\nOptions:\n"
        let rows =
            command.options.map { option in
                let choices = option.choices.isEmpty ? "" : " One of: \(option.choices.joined(separator: ", "))."
                return (option.name + (option.value.map { " \($0)" } ?? ""), option.help + choices)
            } + [("--help", "Shows this text.")]
        return text + rows.map { "  " + padded($0.0, to: 28) + $0.1 }.joined(separator: "\n")
    }

    static func padded(_ text: String, to width: Int) -> String {
        text.count < width ? text + String(repeating: " ", count: width - text.count) : text + "  "
    }
}
