import Glibc
import Kernel

enum OtherCommands {
    static func version(_ command: ParsedCommand) -> Int32 {
        Output.line("hostd \(HostEnvironment.version)")
        return ExitCode.success
    }

    static func reload(_ command: ParsedCommand) -> Int32 {
        var hasFailed = false
        let status = Client.with(command) { client throws(ControlFailure) in
            let answer = try client.request(["command": "reload"])
            hasFailed = !answer["failed"].arrayValue.isEmpty
            Output.line(Client.isJSON(command) ? answer.serializedString() : text(ofReload: answer))
        }
        return hasFailed ? ExitCode.failure : status
    }

    private static func text(ofReload answer: JSON) -> String {
        let failures = answer["failed"].arrayValue.map { failure in
            "\(failure["plugin"].stringValue ?? ""): \(failure["reason"].stringValue ?? "")"
        }
        let parts = [
            ("Applied:", answer["applied"].arrayValue.compactMap(\.stringValue)),
            ("Failed, and left as it was:", failures),
            ("At the next start:", answer["atNextStart"].arrayValue.compactMap(\.stringValue)),
        ]
        let lines = parts.filter { !$0.1.isEmpty }.flatMap { [$0.0] + $0.1.map { "  \($0)" } }
        return lines.isEmpty ? "The configuration is valid and unchanged." : lines.joined(separator: "\n")
    }

    static func stop(_ command: ParsedCommand) -> Int32 {
        Client.with(command) { client throws(ControlFailure) in
            _ = try client.request([
                "command": "stop", "stopWorkloads": .bool(command.flags.contains("--stop-workloads")),
            ])
        }
    }

    static func call(_ command: ParsedCommand) -> Int32 {
        var files: [Int32] = []
        defer { for file in files { close(file) } }
        if let name = command["--file"] {
            let file = open(name, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else {
                Output.errorLine("hostd call: cannot open \(name): \(String(cString: strerror(errno)))")
                return ExitCode.failure
            }
            files.append(file)
        }
        guard let seconds = UInt32(command["--timeout"] ?? "0") else {
            Output.errorLine("hostd call: --timeout needs a whole number of seconds")
            return ExitCode.usage
        }
        return Client.with(command) { client throws(ControlFailure) in
            let answer = try client.call(
                command.arguments[0], command.arguments[1], arguments(command), plugin: command["--plugin"],
                files: files,
                timeoutMilliseconds: Int64(seconds) * 1000)
            if let text = answer["text"].stringValue { return Output.line(text) }
            Output.line((answer["value"].exists ? answer["value"] : answer).serializedString())
        }
    }

    private static func arguments(_ command: ParsedCommand) -> [JSON] {
        guard command.arguments.count > 2 else { return [] }
        let text = command.arguments[2]
        guard let value = try? JSON(parsing: text) else { return [.string(text)] }  // Plain text is allowed as well.
        return command.flags.contains("--list") ? value.arrayValue : [value]
    }
}
