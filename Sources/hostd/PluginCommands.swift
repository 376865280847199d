import Glibc
import Kernel

enum PluginCommands {
    static func list(_ command: ParsedCommand) -> Int32 {
        Client.with(command) { client throws(ControlFailure) in
            let answer = try client.request(["command": "plugins"])
            Output.line(Client.isJSON(command) ? answer.serializedString() : text(answer["plugins"].arrayValue))
        }
    }

    /// Becomes the conformance kit, a program of its own.
    static func check(_ command: ParsedCommand) -> Int32 {
        let program = "\(PluginSearch.beside().libexecDirectory)/hostd-plugin-check"
        var words = [program]
        for (name, value) in command.options.sorted(by: { $0.key < $1.key }) { words += [name, value] }
        // The checks run in directories of their own.
        let files = command.arguments.map { Client.absolute($0) }
        var arguments = (words + files).map { strdup($0) } + [nil]
        execv(program, &arguments)
        Output.errorLine("hostd: cannot run \(program): \(String(cString: strerror(errno)))")
        return ExitCode.usage
    }

    /// One line a role; the plugin's own columns in its first line, what went wrong below it.
    static func text(_ plugins: [JSON]) -> String {
        var rows = [
            [
                "NAME", "VERSION", "STATE", "ISOLATION", "RESTARTS", "GENERATION", "LAST SWAP", "ROLE", "CALLS",
                "ERRORS",
                "P50", "P99", "PATH",
            ]
        ]
        var notes: [String] = []
        for plugin in plugins {
            let text = { (key: String) in plugin[key].stringValue ?? "" }
            var head = [
                text("name"), text("version").isEmpty ? "-" : text("version"), text("state"),
                text("isolation").isEmpty ? "-" : text("isolation"), "\(plugin["restarts"].integerValue ?? 0)",
                "\(plugin["generation"].integerValue ?? 0)", lastSwap(plugin["lastSwap"]),
            ]
            let path = text("path").isEmpty ? "-" : text("path")
            let roles = plugin["roles"].arrayValue
            if roles.isEmpty { rows.append(head + ["-", "-", "-", "-", "-", path]) }
            for (index, role) in roles.enumerated() {
                rows.append(head + figures(role) + [index == 0 ? path : ""])
                head = [String](repeating: "", count: head.count)
            }
            if let reason = plugin["lastSwap"]["reason"].stringValue, !reason.isEmpty {
                notes.append("\(text("name")): the last swap failed: \(reason)")
            }
            if !text("reason").isEmpty { notes.append("\(text("name")): \(text("reason"))") }
        }
        return ([Client.table(rows)] + notes).joined(separator: "\n")
    }

    private static func lastSwap(_ swap: JSON) -> String {
        guard let result = swap["result"].stringValue, let time = swap["time"].stringValue else { return "-" }
        return "\(result) \(time)"
    }

    static func swap(_ command: ParsedCommand) -> Int32 {
        var request = JSONObject()
        if let target = command["--to"] {
            // A path is relative to where the command runs; hostd runs elsewhere.
            request["library"] = .string(target.contains("/") ? Client.absolute(target) : target)
        }
        if let text = command["--options"] {
            guard let options = try? JSON(parsing: text), options.objectValue != nil else {
                Output.errorLine("hostd plugin swap: --options is not a JSON object: \(text)")
                return ExitCode.usage
            }
            request["options"] = options
        }
        return send(command, "swap", request)
    }

    static func rollback(_ command: ParsedCommand) -> Int32 { send(command, "rollback", [:]) }

    private static func send(_ command: ParsedCommand, _ action: String, _ more: JSONObject) -> Int32 {
        var request = more
        let subject = command.arguments[0]
        request["action"] = .string(action)
        request[subject.contains("/") ? "role" : "plugin"] = .string(subject)
        request["trigger"] = .string(action == "swap" ? "command" : "rollback")
        if command.flags.contains("--discard-state") { request["discardState"] = true }
        if let text = command["--timeout"] {
            guard let seconds = Int64(text), (1...3600).contains(seconds) else {
                Output.errorLine("hostd plugin \(action): --timeout needs a number of seconds from 1 to 3600")
                return ExitCode.usage
            }
            request["timeoutMilliseconds"] = .integer(seconds * 1000)
        }
        let message: JSON = ["command": "swap", "request": .object(request)]
        return Client.with(command) { client throws(ControlFailure) in
            let answer = try client.request(message)
            Output.line(Client.isJSON(command) ? answer.serializedString() : text(ofSwap: answer))
        }
    }

    private static func text(ofSwap answer: JSON) -> String {
        let swap = answer["lastSwap"]
        let side = { (side: JSON) in "\(side["library"].stringValue ?? "") \(side["version"].stringValue ?? "")" }
        return "\(answer["plugin"].stringValue ?? ""): generation \(answer["generation"].integerValue ?? 0), "
            + "\(side(swap["from"])) → \(side(swap["to"])) in \(swap["milliseconds"].integerValue ?? 0) ms, "
            + "calls held for \(swap["gapMicroseconds"].integerValue ?? 0) µs"
    }

    private static func figures(_ role: JSON) -> [String] {
        let id = (role["id"].stringValue ?? "") + (role["selected"].boolValue == true ? "*" : "")
        guard let calls = role["calls"].integerValue else { return [id, "-", "-", "-", "-"] }
        let latency = { (key: String) in calls == 0 ? "-" : Client.duration(role[key].integerValue ?? 0) }
        return [
            id, "\(calls)", "\(role["errors"].integerValue ?? 0)", latency("p50Nanoseconds"), latency("p99Nanoseconds"),
        ]
    }
}
